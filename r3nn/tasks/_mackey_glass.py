"""Defines the prediction of the Mackey-Glass series: a chaotic signal, some steps ahead."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from r3nn._lookup import check_int
from r3nn.tasks._forecast import Forecast

_DELAY = 17  # tau, in steps
_PARTS = 10  # Euler's steps in one step of the series
_MEAN = -0.0655  # of tanh(x - 1) in the long run


@dataclasses.dataclass(frozen=True)
class MackeyGlass(Forecast):
    """Says which value the series has `ahead` steps later, at each step.

        dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t)
        s[t]  = tanh(x(washout + t + 1) - 1) + 0.0655
        x[t]  = s[t],  y[t] = s[t + ahead]

    Each sequence is a series of its own, by Euler's method with ten steps in one of the series, from a past
    x(t) ~ U[1.1, 1.3) of its own at t <= 0. Inputs and targets float32 [B, T, 1]. The loss counts from step
    `after` on: what comes depends on 17 steps and more of the past.

    Example, length 4, ahead = 2, where the series is s = .1 .2 .4 .3 .0 -.2 ..:

        x   .1   .2   .4   .3
        y   .4   .3   .0  -.2

    Baseline: as all pasts are alike, so are the series for some hundred steps, and the mean over series at
    each step, here over 1,024 of them, is a good guess at first (nrmse .20 at a length of 5, .65 at 1,000,
    .92 at 5,000). To repeat the input scores 1.62.

    Source: Mackey & Glass 1977, "Oscillation and Chaos in Physiological Control Systems"; in this form, with
    5,000 steps, Voelker, Kajic & Eliasmith 2019, "Legendre Memory Units", whose repository later corrected
    what it had asked for: the past.
    """

    ahead: int = 15
    washout: int = 100

    in_size = 1
    out_size = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("ahead", self.ahead, 1)
        check_int("washout", self.washout, 0)

    def past(self, key: jax.Array) -> jax.Array:
        """Draws x before the first of Euler's steps, oldest first, the present last: float32 [171]."""
        return jax.random.uniform(key, (_DELAY * _PARTS + 1,), jnp.float32, 1.1, 1.3)

    def example(
        self, key: jax.Array, length: jax.Array, max_length: int
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Does what `Task.example` says."""
        past, count = self.past(key), self.washout + max_length + self.ahead
        _, x = lax.scan(_delay_of_steps, past, None, -(-count // _DELAY))
        signal = jnp.tanh(x.reshape(-1)[_PARTS - 1 :: _PARTS][self.washout : count] - 1) - _MEAN
        return signal[:max_length, None], signal[self.ahead :, None], self.counts(max_length)

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses the mean over series at each step; see the class."""
        batch = self.sample(jax.random.key(0), 1024, length, length)
        targets = np.asarray(batch.targets, np.float64)[:, self.after :]
        mse = targets.var(axis=0).mean()
        return {"mse": float(mse), "nrmse": float(np.sqrt(mse / np.square(targets).mean()))}


def _delay_of_steps(past: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
    """Takes as many of Euler's steps as the delay has, 170 -> (the past behind them [171], they [170]).

    What depends on the delayed x is known of all these steps; left is x' = .99 x + known, which is a sum.
    """
    delayed, present = past[:-1], past[-1]
    known = (0.2 / _PARTS) * delayed / (1 + delayed**10)
    weights = np.float32((1 - 0.1 / _PARTS) ** np.arange(1, len(delayed) + 1))
    x = weights * (present + jnp.cumsum(known / weights))
    return jnp.concatenate([past[-1:], x]), x
