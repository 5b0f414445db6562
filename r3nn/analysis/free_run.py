"""Judges a model that runs free: how long it follows the true signal, and how chaotic it is by itself."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from r3nn.model import Model, ModelParams

Array = jax.Array


def running_free(model: Model, params: ModelParams, xs: Array) -> tuple[Callable[[Any], Any], Any]:
    """Drives a model by a true signal -> (step, state): from there on, step(state) is a step of its free run.

    In a step the model is fed its own last output, and the state holds that and its carry. A step can be
    differentiated in any way, as the model goes over time by JAX's own rules.

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


def largest_exponent(step: Callable[[Any], Any], state: Any, steps: int, skip: int = 0) -> Array:
    """Measures how fast nearby states part under a map: its largest Lyapunov exponent, in nats a step.

    A random direction goes through the derivative of each step; behind `skip` steps it points to where
    states part fastest, and the mean logarithm of its growth over `steps` more is the result, floating [].
    Negative: states come together. In a NaN or infinite state it is NaN.

    Args:
      step: state -> state, differentiable forwards; the state is any tree of arrays, of which the floating
        ones count.
    """
    leaves, structure = jax.tree.flatten(state)
    floating = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]

    def moved(values, others):
        values, others = iter(values), iter(others)
        before = structure.unflatten([next(values if is_float else others) for is_float in floating])
        return divided(jax.tree.leaves(step(before)))

    def divided(leaves):
        pairs = [*zip(leaves, floating, strict=True)]
        return [leaf for leaf, is_float in pairs if is_float], [
            leaf for leaf, is_float in pairs if not is_float
        ]

    def grow(now, _):
        (values, others), direction = now
        values, direction, others = jax.jvp(
            lambda values: moved(values, others), (values,), (direction,), has_aux=True
        )
        size = jnp.sqrt(sum(jnp.square(leaf).sum() for leaf in direction))
        return ((values, others), [leaf / jnp.where(size == 0, 1, size) for leaf in direction]), jnp.log(size)

    values, others = divided(leaves)
    keys = jax.random.split(jax.random.key(0), len(values))
    direction = [
        jax.random.normal(key, leaf.shape, leaf.dtype) for key, leaf in zip(keys, values, strict=True)
    ]
    _, growth = lax.scan(grow, ((values, others), direction), None, skip + steps)
    return growth[skip:].mean()
