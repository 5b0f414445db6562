"""Handles trees of arrays: where their batch axes are, which leaves are numbers to differentiate, their
steps."""

import math

import jax
import jax.numpy as jnp
from jax import export, lax


def batch_axes(cell, params):
    """Finds, for each leaf of the cell's state, the axis at which its batch axes start (0, unless
    stacked)."""

    def shapes(size):
        return jax.eval_shape(lambda p: cell.initial_state(p, (size,)), params)

    def first_difference(two, three):
        return next(i for i, (a, b) in enumerate(zip(two.shape, three.shape, strict=True)) if a != b)

    return jax.tree.map(first_difference, shapes(2), shapes(3))


def split(tree):
    """Divides a tree into its differentiable leaves and the others (integers, booleans, keys), with None
    elsewhere."""

    def differentiable(leaf):
        return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)

    chosen = jax.tree.map(lambda leaf: leaf if differentiable(leaf) else None, tree)
    others = jax.tree.map(lambda leaf: None if differentiable(leaf) else leaf, tree)
    return chosen, others


def join(chosen, others):
    """Puts the two trees together again that `split` has made."""
    return jax.tree.map(lambda a, b: b if a is None else a, chosen, others, is_leaf=lambda leaf: leaf is None)


def like(values, numbers):
    """Returns the values of those leaves that `split` has kept as numbers; None elsewhere."""
    is_none = lambda leaf: leaf is None
    return jax.tree.map(lambda n, value: None if n is None else value, numbers, values, is_leaf=is_none)


def to_batch(tree, axes, rank):
    """Merges time, axis 0, and the `rank` batch axes of each leaf, [T, ..., *batch, ...], into the one axis
    that opens its batch."""

    def merge(axis, leaf):
        leaf = jnp.moveaxis(leaf, 0, axis)
        shape = leaf.shape
        merged = math.prod(shape[axis : axis + rank + 1])
        return leaf.reshape(*shape[:axis], merged, *shape[axis + rank + 1 :])

    return jax.tree.map(merge, axes, tree)


def before(entry, states, reverse: bool):
    """Returns the state before each step of a block: states [C, ...] shifted by one, `entry` [...] first."""

    def of_leaf(first, all_):
        parts = [all_[1:], first[None]] if reverse else [first[None], all_[:-1]]
        return jnp.concatenate(parts)

    return jax.tree.map(of_leaf, entry, states)


def match_varying_axes(*trees):
    """Gives all leaves the same varying mesh axes, so that they can share a loop inside `shard_map`."""
    axes = frozenset().union(*map(_varying, jax.tree.leaves(trees)))

    def vary(leaf):
        missing = tuple(axes - _varying(leaf))
        return lax.pcast(leaf, missing, to="varying") if missing else leaf

    return jax.tree.map(vary, trees) if axes else trees


def _varying(leaf) -> frozenset:
    """Returns the mesh axes over which a value differs from device to device, inside `shard_map`."""
    return frozenset(jax.typeof(leaf).mat.varying)


# `jax.export` takes symbolic sizes, of which nothing is known.


def length_of(tree):
    """Returns T, of a tree of arrays [T, ...]: an int, or a symbolic size."""
    return jax.tree.leaves(tree)[0].shape[0]


def known(size) -> bool:
    """Says whether a size is a number, not a symbol."""
    return not export.is_symbolic_dim(size)
