"""Keeps the running mean of a body's outputs, which a model carries if it predicts from the mean over a
sequence."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from r3nn._serialize import serializable

Array = jax.Array


@serializable
class Mean(NamedTuple):
    """Holds the body's own carry, and its outputs summed over the steps since the start or the last reset."""

    body: Any
    total: Array  # [*batch, H], or [L, *batch, H]; float32 at least: a sum over many steps needs the bits
    count: Array  # int32 [*batch], steps that were summed

    @classmethod
    def start(cls, body, output: jax.ShapeDtypeStruct, batch_shape: tuple[int, ...]) -> "Mean":
        """Makes the carry before the first step. output: that of one step."""
        dtype = jnp.promote_types(output.dtype, jnp.float32)
        return cls(body, jnp.zeros(output.shape, dtype), jnp.zeros(batch_shape, jnp.int32))

    def after(self, body, outputs: Array, mask: Array | None, reset: Array | None) -> "Mean":
        """Adds the outputs of further steps, [T, *batch, H] or [T, L, *batch, H].

        mask, reset: bool [T, *batch] as in `unroll`: steps without a mask do not count, nor do those before
        a reset.
        """
        batch, depths = self.count.shape, [1] * (outputs.ndim - self.count.ndim - 2)
        counted = jnp.ones((len(outputs), *batch), bool) if mask is None else jnp.asarray(mask)
        total, count = self.total, self.count
        if reset is not None:
            segment, last = jnp.cumsum(reset, 0, jnp.int32), jnp.sum(reset, 0, dtype=jnp.int32)
            counted &= segment == last[None]
            total = jnp.where((last == 0).reshape(*depths, *batch, 1), total, 0)
            count = jnp.where(last == 0, count, 0)
        kept = jnp.where(counted.reshape(-1, *depths, *batch, 1), outputs.astype(total.dtype), 0)
        return Mean(body, total + kept.sum(0), count + counted.sum(0, dtype=jnp.int32))

    def value(self) -> Array:
        """Returns the mean, shaped as `total`; 0 where nothing was summed."""
        count = jnp.maximum(self.count, 1).astype(self.total.dtype)
        return self.total / count.reshape(*[1] * (self.total.ndim - count.ndim - 1), *count.shape, 1)
