"""Defines what `mask` and `reset` do: both are composed into a step before any mode or derivative sees it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from r3nn.time.arrays.trees import join, split


class Flags(NamedTuple):
    """Say which steps exist (mask) and which start afresh (reset): bool [T, *batch] each, or None."""

    mask: jax.Array | None
    reset: jax.Array | None


def where(flag, on_true, on_false, axes):
    """Selects, for each sequence, between two trees whose leaves have their batch axes at `axes`. flag: bool
    [*batch]."""

    def select(axis, a, b):
        trailing = (1,) * (b.ndim - axis - flag.ndim)
        shape = (1,) * axis + flag.shape + trailing
        return jnp.where(flag.reshape(shape), a, b)

    return jax.tree.map(select, axes, on_true, on_false)


def advance(step, initial, state, flags: Flags, axes):
    """Takes a step under its flags, bool [*batch]: s <- where(reset, s0, s); s <- where(mask, step(s), s).
    step(s) -> (s, r) may return something else, r, which is returned as it is."""
    start = state if flags.reset is None else where(flags.reset, initial, state, axes)
    stepped, r = step(start)
    return (stepped if flags.mask is None else where(flags.mask, stepped, start, axes)), r


def in_scan_order(flags: Flags, reverse: bool) -> Flags:
    """Moves `reset`, which marks the first step of a segment in time order, to the step at which a run enters
    the segment. In reverse that is the segment's last step, the one before the next segment's mark."""
    if flags.reset is None or not reverse:
        return flags
    never = jnp.zeros_like(flags.reset[:1])
    return flags._replace(reset=jnp.concatenate([flags.reset[1:], never]))


def carry_masked(xs, flags: Flags, reverse: bool):
    """Replaces the input of each masked step, which may hold NaN, by the last one that was not masked; xs are
    [T, *batch, D].

    0 where there is none, or none since the last reset: outputs that read x then repeat too.
    """
    steps = flags.mask.shape[0]
    time = jnp.expand_dims(jnp.arange(steps), range(1, flags.mask.ndim))
    if reverse:
        time = steps - 1 - time
    latest = lax.cummax(jnp.where(flags.mask, time, -1), axis=0, reverse=reverse)
    if flags.reset is not None:
        emptied = lax.cummax(jnp.where(flags.reset & ~flags.mask, time, -1), axis=0, reverse=reverse)
        latest = jnp.where(emptied > latest, -1, latest)
    index = steps - 1 - latest if reverse else latest

    def of_leaf(leaf):
        trailing = (...,) + (None,) * (leaf.ndim - index.ndim)
        taken = jnp.take_along_axis(leaf, jnp.where(latest < 0, 0, index)[trailing], axis=0)
        return jnp.where((latest >= 0)[trailing], taken, jnp.zeros_like(taken))

    return jax.tree.map(of_leaf, xs)


def zero_masked(xs, mask):
    """Replaces each number of a masked step's input by 0, as 0 * NaN would reach the weights; xs are [T,
    *batch, ...]."""
    numbers, others = split(xs)
    leading, zeros = (jax.tree.map(f, numbers) for f in (lambda _: 0, jnp.zeros_like))
    return join(where(mask, numbers, zeros, leading), others)
