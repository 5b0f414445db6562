"""Initializes parameters: input and recurrent weights, and the gate biases that set a cell's time constants.

Every initializer is `(key, shape, dtype=float32) -> Array`, the form that `jax.nn.initializers` uses, but for
the default: theirs is float64 where x64 is on.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp

lecun_normal = jax.nn.initializers.lecun_normal(dtype=jnp.float32)
glorot_uniform = jax.nn.initializers.glorot_uniform(dtype=jnp.float32)
normal = partial(jax.nn.initializers.normal, dtype=jnp.float32)
unit_uniform = jax.nn.initializers.uniform(1.0, dtype=jnp.float32)


def zeros(key, shape, dtype=jnp.float32):
    """Returns zeros of this shape."""
    return jnp.zeros(shape, dtype)


def orthogonal(key, shape, dtype=jnp.float32):
    """Draws a random orthogonal matrix, in at least float32: no QR knows bfloat16."""
    return jax.nn.initializers.orthogonal()(key, shape, solvable(dtype)).astype(dtype)


def solvable(dtype):
    """Returns the dtype itself, or float32 for the smaller ones, which no solver of matrices knows."""
    return jnp.float32 if jnp.finfo(dtype).bits < 32 else dtype


def chrono(max_time):
    """Makes the bias of a gate that *keeps*, for time constants spread over 1 .. max_time - 1 steps.

    A gate that keeps with value k forgets over 1 / (1 - k) steps, so b = log U(1, max_time - 1)
    spreads the units over all memory lengths; a gate that *writes* takes -b.

    Source: Tallec & Ollivier 2018, "Can recurrent neural networks warp time?", section 3, eq. 16.
    Raises: ValueError unless max_time > 2, and finite.
    """
    if not 2 < max_time < math.inf:
        raise ValueError(f"chrono={max_time}: the longest time constant must be above 2 steps, and finite.")

    def init(key, shape, dtype=jnp.float32):
        return jnp.log(jax.random.uniform(key, shape, dtype, 1.0, max_time - 1.0))

    return init


def diagonal_normal(key, shape, dtype=jnp.float32):
    """Draws N(0, 1/H) for the diagonal [H] of a matrix [H, H]: Xavier's variance 2 / (fan in + fan out)."""
    return jax.random.normal(key, shape, dtype) / shape[-1] ** 0.5


def uniform(bound):
    """Makes an initializer that draws U(-bound, bound); bound: a number, or None for 1/√H, H the last axis of
    the shape."""

    def init(key, shape, dtype=jnp.float32):
        limit = shape[-1] ** -0.5 if bound is None else bound
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return init
