"""Computes with K x K blocks, one per unit, and the K-vectors that they multiply, at all steps or at one.

Both have one of two forms. Planes: blocks[i][j] is an array [T, *batch, H] of all units, or None for zero,
and vectors[j] is one: K is small, and every operation elementwise. Matrices: blocks are [..., K, K] and
vectors [..., K].
"""

import jax
import jax.numpy as jnp


def times(a, s):
    """Multiplies a vector by a block, a s."""
    if not isinstance(a, tuple):
        return jnp.matmul(a, s[..., None])[..., 0]
    return tuple(_sum([x * y for x, y in zip(row, s, strict=True) if x is not None], s[0]) for row in a)


def _sum(terms, like):
    return sum(terms[1:], terms[0]) if terms else jnp.zeros_like(like)


def add(s, other):
    """Adds two vectors, s + other."""
    return jax.tree.map(jnp.add, s, other)


def transpose(a):
    """Transposes a block, aᵀ."""
    return tuple(zip(*a, strict=True)) if isinstance(a, tuple) else a.swapaxes(-1, -2)


def compose(a, p):
    """Multiplies two blocks, a p, where no plane of p is None."""
    return (
        tuple(zip(*(times(a, column) for column in transpose(p)), strict=True))
        if isinstance(a, tuple)
        else a @ p
    )


def outer(λ, s, like):
    """Computes λ sᵀ, where `like` is not None."""
    if not isinstance(like, tuple):
        return λ[..., :, None] * s[..., None, :]
    rows = zip(like, λ, strict=True)
    return tuple(tuple(None if a is None else l * x for a, x in zip(row, s, strict=True)) for row, l in rows)


def spread(a, s):
    """Broadcasts a to the units of s, with a plane of its own for every entry."""
    if not isinstance(a, tuple):
        return jnp.broadcast_to(a, (*s.shape, s.shape[-1]))
    zero = jnp.zeros_like(s[0])
    return tuple(tuple(zero if x is None else zero + x for x in row) for row in a)


def sum_to(d, like):
    """Sums d over the axes that `like` has broadcast."""

    def of_leaf(x, d):
        axes = [i for i, n in enumerate(x.shape) if n != d.shape[i]]
        return d.sum(axis=axes, keepdims=True) if axes else d

    return jax.tree.map(of_leaf, like, d)
