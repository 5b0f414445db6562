"""Defines the loops behind `linear_scan`: all states of s_t = a_t s_{t-1} + b_t, with no derivative of their
own.

Everywhere `tile` is the steps of a tile, where tiles run at once; 1: steps run one after the other.
"""

import jax
import jax.numpy as jnp
from jax import lax

from r3nn.time.arrays.trees import before, known, length_of
from r3nn.time.parallel.per_unit import add, compose, spread, times

#: steps of a tile, unless one says: all devices but CPUs run many tiles at once
STEPS = 32


def all_states(a, b, carry, reverse, tile):
    """Computes all states [T, ...] from the entry `carry`, with no derivative of its own."""
    count = max(1, length_of(b) // tile) if tile > 1 and known(length_of(b)) else 1
    if count == 1:
        return in_turn(a, b, carry, reverse, tile)[1]
    whole = length_of(b) // count * count
    if whole == length_of(b):
        return _in_tiles(a, b, carry, reverse, count, tile)
    first, rest = ((_cut(a, part), _cut(b, part)) for part in (slice(whole), slice(whole, None)))
    if reverse:
        carry, end = in_turn(*rest, carry, reverse, tile)
        start = _in_tiles(*first, carry, reverse, count, tile)
    else:
        start = _in_tiles(*first, carry, reverse, count, tile)
        _, end = in_turn(*rest, row(start, -1), reverse, tile)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), start, end)


def in_turn(a, b, carry, reverse, tile):
    """Runs step after step -> (the last state, all states [T, ...])."""

    def body(s, t):
        s = add(times(row(a, t), s), row(b, t))
        return s, s

    steps = length_of(b)
    return lax.scan(body, carry, jnp.arange(steps), reverse=reverse, unroll=_unroll(steps, tile))


def _in_tiles(a, b, carry, reverse, count, tile):
    """Reduces each tile, then scans, with the tiles as one more batch axis -> all states [T, ...]."""
    steps = length_of(b) // count
    tiled = lambda x: x[None] if x.shape[0] == 1 else x.reshape(count, steps, *x.shape[1:]).swapaxes(0, 1)
    a, b = jax.tree.map(tiled, (a, b))
    products, lasts = reduce(a, b, reverse, tile)
    exits = all_states(products, lasts, carry, reverse, tile)
    _, s = in_turn(a, b, before(carry, exits, reverse), reverse, tile)
    return jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(count * steps, *x.shape[2:]), s)


def reduce(a, b, reverse, tile):
    """Folds all steps into one, s_T = products s_0 + last -> (products, last)."""

    def body(carry, t):
        products, last = carry
        here = row(a, t)
        return (compose(here, products), add(times(here, last), row(b, t))), None

    first, steps = (-1, jnp.arange(length_of(b) - 1)) if reverse else (0, jnp.arange(1, length_of(b)))
    carry = spread(row(a, first), row(b, first)), row(b, first)
    return lax.scan(body, carry, steps, reverse=reverse, unroll=_unroll(steps.shape[0], tile))[0]


def row(tree, t):
    """Takes step t of each leaf, [T, ...]; of a leaf [1, ...], the same at every step, its only one."""
    index = lambda x: x[0] if x.shape[0] == 1 else lax.dynamic_index_in_dim(x, t, keepdims=False)
    return jax.tree.map(index, tree)


def _cut(tree, part):
    return jax.tree.map(lambda x: x if x.shape[0] == 1 else x[part], tree)


def _unroll(steps, tile):
    """Says whether to unroll a loop: one of a few steps becomes a single kernel on accelerators; on CPUs it
    only costs."""
    return tile > 1 and known(steps) and steps <= 2 * tile


def usual_tile() -> int:
    """Returns the steps of a tile on this device."""
    return STEPS if jax.default_backend() != "cpu" else 1
