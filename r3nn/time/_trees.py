"""Trees of states: where their batch axes are, which leaves are numbers to differentiate."""

import math

import jax
import jax.numpy as jnp
from jax import lax


def batch_axes(cell, params):
    """For each leaf of the cell's state, the axis at which its batch axes start (0, unless stacked)."""

    def shapes(size):
        return jax.eval_shape(lambda p: cell.initial_state(p, (size,)), params)

    def first_difference(two, three):
        return next(i for i, (a, b) in enumerate(zip(two.shape, three.shape, strict=True)) if a != b)

    return jax.tree.map(first_difference, shapes(2), shapes(3))


def split(tree):
    """A tree's differentiable leaves, and the others (integers, booleans, keys); None elsewhere."""

    def differentiable(leaf):
        return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)

    chosen = jax.tree.map(lambda leaf: leaf if differentiable(leaf) else None, tree)
    others = jax.tree.map(lambda leaf: None if differentiable(leaf) else leaf, tree)
    return chosen, others


def join(chosen, others):
    """The inverse of `split`."""
    return jax.tree.map(lambda a, b: b if a is None else a, chosen, others, is_leaf=lambda leaf: leaf is None)


def numeric(axes, numbers):
    """The axes of those leaves that `split` has kept; None elsewhere."""
    return jax.tree.map(
        lambda n, axis: None if n is None else axis, numbers, axes, is_leaf=lambda leaf: leaf is None
    )


def merge(tree, axes, count):
    """Merge `count` axes of each leaf, from the one at `axes` on, into one."""

    def of_leaf(axis, leaf):
        shape = leaf.shape
        merged = math.prod(shape[axis : axis + count])
        return leaf.reshape(*shape[:axis], merged, *shape[axis + count :])

    return jax.tree.map(of_leaf, axes, tree)


def to_batch(tree, axes, rank):
    """Merge time, axis 0, and the `rank` batch axes of each leaf into the one axis that opens its batch."""
    return merge(jax.tree.map(lambda axis, leaf: jnp.moveaxis(leaf, 0, axis), axes, tree), axes, rank + 1)


def vary_alike(*trees):
    """Give all leaves the same varying mesh axes, so that they can share a loop inside `shard_map`."""
    axes = frozenset().union(*map(varying, jax.tree.leaves(trees)))

    def vary(leaf):
        missing = tuple(axes - varying(leaf))
        return lax.pcast(leaf, missing, to="varying") if missing else leaf

    return jax.tree.map(vary, trees) if axes else trees


def varying(leaf) -> frozenset:
    """The mesh axes over which a value differs from device to device, inside `shard_map`."""
    return frozenset(jax.typeof(leaf).mat.varying)
