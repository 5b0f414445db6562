"""Stacks trees of arrays over depth, [L, ...], and takes them apart."""

import jax
import jax.numpy as jnp


def take(tree, index):
    """Takes each leaf's entry, or entries, at this index of its first axis."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def unstack(tree):
    """Divides a tree stacked [L, ...] into (level 1 [...], levels 2 to L, stacked [L-1, ...])."""
    first, rest = _split(tree, [1])
    return take(first, 0), rest


def apart(tree, count: int) -> list:
    """Divides a tree stacked [count, ...] into a list of trees."""
    return [take(part, 0) for part in _split(tree, count)]


def _split(tree, where) -> list:
    """Splits each leaf by `jnp.split`, whose gradient is one concatenation; that of slices is a sum of padded
    ones."""
    leaves, structure = jax.tree.flatten(tree)
    pieces = [jnp.split(leaf, where) for leaf in leaves]
    count = where if isinstance(where, int) else len(where) + 1
    return [jax.tree.unflatten(structure, [piece[i] for piece in pieces]) for i in range(count)]


def stack_all(trees: list):
    """Stacks a list of trees; undoes `apart`."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def stack(first, rest):
    """Stacks level 1 before levels 2 to L; undoes `unstack`. rest=None: level 1 is all there is."""
    if rest is None:
        return jax.tree.map(lambda leaf: leaf[None], first)
    return jax.tree.map(lambda f, r: jnp.concatenate([f[None], r]), first, rest)
