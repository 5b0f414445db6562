"""Vectors of parameters beside arrays with batch axes: of one rank before they meet, so that nothing depends
on NumPy's promotion of ranks, which `jax.numpy_rank_promotion("raise")` forbids."""

import jax
from jax import lax


def along(vector: jax.Array, a: jax.Array) -> jax.Array:
    """A vector [H] beside a [..., H]: with leading axes of size 1, [1, ..., 1, H]."""
    return lax.broadcast_to_rank(vector, max(vector.ndim, a.ndim))


def plus(a: jax.Array, bias: jax.Array | None) -> jax.Array:
    """a [..., H] + bias [H]; a, where there is no bias."""
    return a if bias is None else a + along(bias, a)
