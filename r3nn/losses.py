"""Sums losses over time, under a mask.

Each function takes predictions [..., T, O], targets and a mask bool [..., T], and returns one sum
per sequence, float32 [...] (float64 for float64 predictions). Sums, not means: the sum over a long
sequence is the sum over its chunks, whatever the chunks are.

Where the mask is False nothing contributes, to values or to gradients, not even NaN: `where` stands
before the nonlinear part as well as behind it, because 0 * NaN in a backward pass is NaN.
"""

import chex
import jax
import jax.numpy as jnp


def squared_error(predictions: jax.Array, targets: jax.Array, mask: jax.Array) -> jax.Array:
    """Sums the squared error over time, averaged over the O features of a step.

    Args:
      predictions: floating [..., T, O].
      targets: floating [..., T, O].
      mask: bool [..., T].

    Returns:
      Floating [...].

    Raises:
      AssertionError: the shapes do not fit together.
    """
    chex.assert_equal_shape([predictions, targets])
    chex.assert_shape(mask, predictions.shape[:-1])
    keep, dtype = mask[..., None], _at_least_float32(predictions)
    predictions, targets = (jnp.where(keep, x, 0).astype(dtype) for x in (predictions, targets))
    return jnp.square(predictions - targets).mean(axis=-1).sum(axis=-1)


def cross_entropy(predictions: jax.Array, targets: jax.Array, mask: jax.Array) -> jax.Array:
    """Sums -log softmax(predictions)[target] over time, in nats.

    Args:
      predictions: logits, floating [..., T, O].
      targets: class ids in [0, O) where the mask is True, integer [..., T].
      mask: bool [..., T].

    Returns:
      Floating [...].

    Raises:
      AssertionError: the shapes do not fit together.
    """
    chex.assert_equal_shape([targets, mask])
    chex.assert_shape(mask, predictions.shape[:-1])
    logits = jnp.where(mask[..., None], predictions, 0).astype(_at_least_float32(predictions))
    # A comparison, not a gather: its gradient is no scatter, so it is deterministic on GPUs too.
    hit = jax.nn.one_hot(targets, logits.shape[-1], dtype=bool)
    chosen = jnp.where(hit, logits, 0).sum(axis=-1)
    surprise = jax.nn.logsumexp(logits, axis=-1) - chosen
    return jnp.where(mask, surprise, 0).sum(axis=-1)


def mean(total: jax.Array, count: jax.Array) -> jax.Array:
    """Computes sum(total) / max(sum(count), 1), a floating scalar; integers are summed as float32."""
    total, count = _floating(total).sum(), _floating(count).sum()
    return total / jnp.maximum(count, 1).astype(total.dtype)


def _at_least_float32(x: jax.Array) -> jnp.dtype:
    """Returns the dtype to sum in: bfloat16 has 8 bits, and a sum over time needs more."""
    return x.dtype if jnp.finfo(x.dtype).bits > 32 else jnp.dtype(jnp.float32)


def _floating(x: jax.Array) -> jax.Array:
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)
