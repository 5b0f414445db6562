"""The matmul floor: the matrix products of a gated layer's forward and backward pass, and nothing else.

Those inside the loop run in a `lax.scan`, a small product at a time, each waiting for the one before. The
others are tried in two ways, at once over all T·B rows and in blocks of them, and the faster one counts:
blocks write no [T·B, G·H] array to fresh memory. What a cell recomputes is not counted: a perfect program
would not.
"""

import timeit
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

ROWS = 512  # of a block, at most


def floor(*layer: int) -> list[tuple[int, Callable]]:
    """(1, the faster of its ways) for each product of one layer, as `ways` has them."""
    time = lambda call: timeit.timeit(call, number=1)
    return [(1, min(calls, key=time) if len(calls) > 1 else calls[0]) for calls in ways(*layer)]


def ways(gates: int, batch: int, length: int, in_size: int, hidden: int) -> list[tuple[Callable, ...]]:
    """For each product of one layer of a cell with so many gates, the ways to compute it.

    Raises: AssertionError for numbers that are not finite, which may take longer.
    """
    rows, (x_key, h_key, d_key, w_key, u_key) = length * batch, jax.random.split(jax.random.key(2), 5)
    normal = lambda key, *shape: jax.random.normal(key, shape)
    xs, hs = normal(x_key, rows, in_size), normal(h_key, rows, hidden)
    ds, w = normal(d_key, rows, gates * hidden), normal(w_key, in_size, gates * hidden)
    orthogonal = jnp.linalg.qr(normal(u_key, hidden, hidden))[0]
    weights = jnp.concatenate([orthogonal / gates] * gates, axis=-1)  # the sum over gates keeps all norms
    state = jnp.ones((batch, hidden))
    rowwise = lambda rows, w: rows @ w
    over_rows = lambda left, right: left.T @ right
    programs = [
        ((partial(forward_loop, length, gates),), (state, weights)),
        ((partial(backward_loop, length, gates),), (state, weights)),
        ((rowwise, map_blocks), (xs, w)),  # inputs into every gate
        ((rowwise, map_blocks), (ds, w.T)),  # and back
        ((over_rows, sum_blocks), (xs, ds)),  # gradients of the two weights
        ((over_rows, sum_blocks), (hs, ds)),
    ]
    return [tuple(_ready(way, arguments) for way in each) for each, arguments in programs]


def _ready(program, arguments) -> Callable:
    compiled = jax.jit(program).lower(*arguments).compile()
    call = lambda: jax.block_until_ready(compiled(*arguments))
    if not jnp.isfinite(call()).all():
        raise AssertionError("a product of the matmul floor is not finite")
    return call


def forward_loop(length, gates, state, weights):
    """h @ U for all gates, [B, H] -> [B, G·H], T times."""
    step = lambda h, _: (sum(jnp.split(h @ weights, gates, axis=-1)), None)
    return lax.scan(step, state, length=length)[0]


def backward_loop(length, gates, state, weights):
    """δ @ Uᵀ, [B, G·H] -> [B, H], T times."""
    step = lambda λ, _: (jnp.concatenate([λ] * gates, axis=-1) @ weights.T, None)
    return lax.scan(step, state, length=length)[0]


def map_blocks(rows, w):
    """rows @ w, block by block, each over the one before: the last block [.., N]."""
    blocks = _blocks(rows)
    last = jnp.zeros((blocks.shape[1], w.shape[1]))
    return lax.scan(lambda _, block: (block @ w, None), last, blocks)[0]


def sum_blocks(left, right):
    """left.T @ right, summed up block by block."""
    total = jnp.zeros((left.shape[1], right.shape[1]))
    step = lambda total, pair: (total + pair[0].T @ pair[1], None)
    return lax.scan(step, total, (_blocks(left), _blocks(right)))[0]


def _blocks(rows):
    """[R, N] -> [blocks, at most ROWS, N]"""
    count = next(n for n in range(-(-len(rows) // ROWS), len(rows) + 1) if len(rows) % n == 0)
    return rows.reshape(count, -1, rows.shape[-1])
