"""Measures how far gradients reach: the derivative with respect to the state of each part at each step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from r3nn.cells import Cell
from r3nn.time import adjoint

Array = jax.Array


class Flow(NamedTuple):
    """Holds the gradient's size at one part of a cell, such as a level of depth.

    Attributes:
      cell: the part.
      size: [T], |dL/ds_t|, the square root of its mean square over the sequences.
    """

    cell: Cell
    size: Array


class Decay(NamedTuple):
    """Says how a gradient falls with the lag, the number of steps that it has gone back.

    Attributes:
      horizon: the least lag at which its size is below 1e-3 of that at lag 0; None: at no lag there is.
      rate: the slope of its logarithm per step, of a straight line fitted up to the horizon.
      error: the standard error of that slope.
    """

    horizon: int | None
    rate: float
    error: float


def gradient_flow(
    cell: Cell,
    params: Any,
    xs: Array,
    loss: Callable | None = None,
    *,
    key: Array | None = None,
    **flags: Any,
) -> list[Flow]:
    """Computes |dL/ds_t| for the state s_t behind each part of a cell, at each step.

    Without a loss, L is the last output in a random direction of length 1 for each sequence: |dy_T/ds_t| says
    how much of the past reaches the end, whatever is learned. The gradient of a loss also fades because the
    loss falls. In float32 a gradient below 1e-38 is 0; run it under `jax.enable_x64(True)`, with parameters
    and inputs of float64.

    Args:
      cell, params, xs: as of `unroll`: xs is [T, B, D].
      loss: (final state, outputs [T, B, ...]) -> a number, the sum over the sequences.
      key: of the random directions; by default jax.random.key(0).
      flags: mask, reset, state and the like, as of `r3nn.time.adjoint`.
    """
    key = jax.random.key(0) if key is None else key

    def last(final, ys):
        y = jax.tree.leaves(ys)[0][-1]
        direction = jax.random.normal(key, y.shape, y.dtype)
        axes = tuple(range(1, y.ndim))
        return jnp.sum(y * direction / jnp.sqrt(jnp.sum(direction**2, axis=axes, keepdims=True)))

    state = flags.pop("state", None)
    parts = adjoint(cell, params, state, xs, last if loss is None else loss, **flags)
    return [Flow(part.cell, _size(part.adjoint, xs.shape[1])) for part in parts]


def _size(tree: Any, sequences: int) -> Array:
    """Returns the root of the mean square over sequences, [T]."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if leaf is not None]
    squares = sum(jnp.sum(jnp.square(leaf).reshape(len(leaf), -1), axis=1) for leaf in leaves)
    return jnp.sqrt(squares / sequences)


def decay(size: Array, fraction: float = 1e-3) -> Decay:
    """Says how far a gradient reaches back. size: [T], by step, as `Flow` has it."""
    back = np.asarray(size, np.float64)[::-1]
    low = np.flatnonzero(back < fraction * back[0])
    horizon = int(low[0]) if len(low) else None
    lags = np.arange(len(back) if horizon is None else max(horizon, 2))
    lags = lags[back[lags] > 0]
    if len(lags) < 3:
        return Decay(horizon, float("nan"), float("nan"))
    logs = np.log(back[lags])
    slope, offset = np.polyfit(lags, logs, 1)
    rest = logs - slope * lags - offset
    error = np.sqrt(rest @ rest / (len(lags) - 2) / np.sum((lags - lags.mean()) ** 2))
    return Decay(horizon, float(slope), float(error))
