"""How many steps, and whether a size is known: `jax.export` takes symbolic ones, of which nothing is."""

import jax
from jax import export


def length_of(tree):
    """T, of a tree of arrays [T, ...]: an int, or a symbolic size."""
    return jax.tree.leaves(tree)[0].shape[0]


def known(size) -> bool:
    """Whether a size is a number, not a symbol."""
    return not export.is_symbolic_dim(size)
