"""Computes Lyapunov exponents: how fast nearby states diverge, or converge, along a trajectory."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree

from r3nn.cells import Cell
from r3nn.time.arrays.trees import join, split

Array = jax.Array


class Exponents(NamedTuple):
    """Holds the k largest exponents, per step, in nats.

    Attributes:
      exponents: [k], their mean over the sequences, the largest first.
      error: [k], the standard error of that mean over the sequences; NaN for one sequence.
      each: [B, k], those of each sequence.
    """

    exponents: Array
    error: Array
    each: Array


def lyapunov_exponents(
    step: Callable, state: Any, xs: Any, k: int | None = None, *, warmup: int = 0, every: int = 1
) -> Array:
    """Computes the k largest Lyapunov exponents along one trajectory, by a QR decomposition of k tangents.

    s_t = step(s_{t-1}, x_t) moves tangents by its derivative, which no matrix holds: each tangent is a jvp.
    Every so many steps QR makes them orthonormal again, and log |diag R| is what they have grown by. Of a map
    that contracts, all exponents are negative; the largest of a chaotic one is positive.

    Args:
      step: (state, x) -> state, of one sequence: no batch.
      state: a tree of arrays, the state before the first step; leaves that are no numbers are carried along.
      xs: a tree of leaves [T, ...]: what drives it; or the number of steps of a map that nothing drives,
        whose x is None.
      k: how many exponents; None: all.
      warmup: the first steps, which turn the tangents to where they grow and do not count.
      every: steps from one QR to the next. With many, tangents grow apart by more than floats hold.

    Returns:
      [k], per step, in nats; the largest first, up to what QR has not yet sorted. NaN where a state is no
      number or infinite.

    Source: Benettin et al. 1980; Vogt et al. 2022, "On Lyapunov Exponents for RNNs".
    """
    numbers, others = split(state)
    start, back = ravel_pytree(numbers)
    k = start.size if k is None else min(k, start.size)
    xs, steps = (None, xs) if isinstance(xs, int) else (xs, jax.tree.leaves(xs)[0].shape[0])
    blocks, skipped = steps // every, -(-warmup // every)
    if blocks <= skipped:
        raise ValueError(f"xs must have at least {every} steps more than warmup={warmup}, got {steps}.")
    cut = lambda leaf: leaf[: blocks * every].reshape(blocks, every, *leaf.shape[1:])

    def advance(flat, others, x):
        numbers, others = split(step(join(back(flat), others), x))
        return ravel_pytree(numbers)[0], others

    def move(carry, x):
        flat, others, tangents = carry
        flat, along, others = jax.linearize(lambda flat: advance(flat, others, x), flat, has_aux=True)
        return (flat, others, jax.vmap(along, 1, 1)(tangents)), None

    def block(carry, xs):
        (flat, others, tangents), _ = lax.scan(move, carry, xs, every)
        tangents, r = jnp.linalg.qr(tangents)
        grown = jnp.maximum(jnp.abs(jnp.diagonal(r)), jnp.finfo(flat.dtype).tiny)
        return (flat, others, tangents), jnp.log(grown)

    tangents = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (start.size, k), start.dtype))[0]
    _, logs = lax.scan(block, (start, others, tangents), jax.tree.map(cut, xs), blocks)
    return logs[skipped:].sum(axis=0) / ((blocks - skipped) * every)


def cell_exponents(
    cell: Cell, params: Any, xs: Array, k: int | None = None, *, warmup: int = 0, every: int = 1
) -> Exponents:
    """Computes the k largest Lyapunov exponents of a cell or a composition along sequences of inputs.

    xs: [T, B, D], as `unroll` takes them; for the exponents under a constant input, repeat it. Each sequence
    starts in the initial state. warmup, every: as of `lyapunov_exponents`.
    """
    ready = cell.prepare(params)
    step = lambda state, x: cell.step(ready, state, cell.project(ready, x))
    one = lambda xs: lyapunov_exponents(step, cell.initial_state(params), xs, k, warmup=warmup, every=every)
    each = jax.vmap(one, in_axes=1)(xs)
    error = (
        each.std(axis=0, ddof=1) / jnp.sqrt(len(each)) if len(each) > 1 else jnp.full_like(each[0], jnp.nan)
    )
    return Exponents(each.mean(axis=0), error, each)
