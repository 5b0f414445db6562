"""Defines the prediction of the Lorenz system, one step ahead; a trained network can then run free."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from r3nn.tasks._forecast import Forecast

_WARM_UP = 500  # steps from a start near the attractor to one on it
_MEAN, _STD = np.float32([0, 0, 23.55]), np.float32([7.92, 9.01, 8.63])  # in the long run


@dataclasses.dataclass(frozen=True)
class Lorenz(Forecast):
    """Says where the state of a chaotic system is at the next step.

        du/dt = 10 (v - u)        dv/dt = u (28 - w) - v        dw/dt = u v - 8/3 w
        x[t]  = (s[t] - mean) / std,  s = (u, v, w) at times 0.02 t
        y[t]  = x[t + 1]

    By the method of Runge and Kutta, from a start drawn at random and run until it is on the attractor. Mean
    and std are those of the three in the long run. Inputs and targets float32 [B, T, 3]. The loss counts from
    step `after` on.

    As each target is the next input, a trained network goes on by itself, and `lyapunov`, how fast nearby
    states diverge, is what its free run is judged by.

    Example, length 3:

        x    ( .10, .14, -.31)    ( .11, .16, -.35)    ( .12, .19, -.38)
        y    ( .11, .16, -.35)    ( .12, .19, -.38)    ( .14, .22, -.41)

    Baseline: the mean is guessed, 0: mse 1, nrmse 1. To repeat the input scores about 0.2.

    Source: Lorenz 1963, "Deterministic Nonperiodic Flow"; as a test of free-running networks Pathak et al.
    2017, "Using Machine Learning to Replicate Chaotic Attractors and Calculate Lyapunov Exponents from Data".
    """

    in_size = 3
    out_size = 3
    lyapunov = 0.9056 * 0.02

    def example(
        self, key: jax.Array, length: jax.Array, max_length: int
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Does what `Task.example` says."""
        start = _MEAN + _STD * jax.random.uniform(key, (3,), jnp.float32, -1, 1)

        def step(state, _):
            state = lorenz_step(state)
            return state, (state - _MEAN) / _STD

        _, states = lax.scan(step, start, None, _WARM_UP + max_length + 1)
        return states[_WARM_UP:-1], states[_WARM_UP + 1 :], self.counts(max_length)

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses 0, the mean, whatever the length; see the class."""
        del length
        return {"mse": 1.0, "nrmse": 1.0}


def lorenz_step(state: jax.Array, dt: float = 0.02) -> jax.Array:
    """Takes the system [..., 3] a step further, by the classical method of Runge and Kutta."""
    k1 = _slope(state)
    k2 = _slope(state + dt / 2 * k1)
    k3 = _slope(state + dt / 2 * k2)
    k4 = _slope(state + dt * k3)
    return state + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def _slope(state: jax.Array) -> jax.Array:
    u, v, w = state[..., 0], state[..., 1], state[..., 2]
    return jnp.stack([10 * (v - u), u * (28 - w) - v, u * v - 8 / 3 * w], axis=-1)
