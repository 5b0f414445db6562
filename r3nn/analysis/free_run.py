"""Judges a model that runs free by how long it follows the true signal."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from r3nn.model import Model, ModelParams

Array = jax.Array


def running_free(model: Model, params: ModelParams, xs: Array) -> tuple[Callable[[Any], Any], Any]:
    """Drives a model by a true signal -> (step, state): from there on, step(state) is a step of its free run.

    In a step the model is fed its own last output, and the state holds that and its carry. A step can be
    differentiated in any way, as the model goes over time by JAX's own rules: `lyapunov_exponents` says how
    chaotic the model is by itself.

    Args:
      xs: the signal, time-major values [T, *batch, D] with D = O, at least one step. Its last step is the
        first that the free run is fed.
    """
    plain = dataclasses.replace(model, mode="plain", block=None, memory=None)

    def step(state):
        carry, ys = plain.generate(params, *state, 1)
        return carry, ys[0]

    carry = plain.start(params, xs.shape[1:-1])
    return step, (plain.chunk(params, carry, xs[:-1])[0], xs[-1].astype(params.readout.kernel.dtype))


def valid_steps(found: Array, true: Array, threshold: float = 0.4) -> Array:
    """Counts the steps until a free run first leaves the true signal, int32 [B]; all N where it never does.

    It has left where |found - true| is above `threshold` times the root mean square of |true|, or no number;
    |.| is the norm over D. Source: Pathak et al. 2018, "Model-Free Prediction of Large Spatiotemporally
    Chaotic Systems from Data", whose signals have mean 0 as well.

    Args:
      found, true: [B, N, D].
    """
    size = lambda x: jnp.linalg.norm(x, axis=-1)
    left = ~(size(found - true) <= threshold * jnp.sqrt(jnp.square(size(true)).mean()))
    return jnp.where(left.any(axis=1), left.argmax(axis=1), left.shape[1]).astype(jnp.int32)
