"""Trees whose leaves are stacked over depth, [L, ...]."""

import jax
import jax.numpy as jnp


def take(tree, index):
    """Each leaf's entry, or entries, at this index of its first axis."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def unstack(tree):
    """(level 1, levels 2 to L), the latter stacked."""
    first, rest = _split(tree, [1])
    return take(first, 0), rest


def apart(tree, count: int) -> list:
    """A tree stacked [count, ...] as a list of trees."""
    return [take(part, 0) for part in _split(tree, count)]


def _split(tree, where) -> list:
    """`jnp.split` of each leaf: its gradient is one concatenation, that of slices a sum of padded ones."""
    leaves, structure = jax.tree.flatten(tree)
    pieces = [jnp.split(leaf, where) for leaf in leaves]
    count = where if isinstance(where, int) else len(where) + 1
    return [jax.tree.unflatten(structure, [piece[i] for piece in pieces]) for i in range(count)]


def stack_all(trees: list):
    """The inverse of `apart`."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def stack(first, rest):
    """The inverse of `unstack`; rest=None: level 1 is all there is."""
    if rest is None:
        return jax.tree.map(lambda leaf: leaf[None], first)
    return jax.tree.map(lambda f, r: jnp.concatenate([f[None], r]), first, rest)
