"""Defines what tasks share that ask for a signal's later values: an error on the scale of the signal."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from r3nn import losses
from r3nn._lookup import check_int
from r3nn.tasks._base import Batch
from r3nn.tasks._kinds import Regression


class ForecastTally(NamedTuple):
    """Holds a `Tally`, and the error that a guess of 0 would make.

    Attributes:
      power: floating [B], the squares of the targets, summed over the counted steps.
    """

    loss: jax.Array
    correct: jax.Array
    count: jax.Array
    power: jax.Array


@dataclasses.dataclass(frozen=True)
class Forecast(Regression):
    """A forecast is a regression whose headline is nrmse, the root of squared errors over squared targets.

    The signals have a mean of 0 in the long run, so that a guess of it scores 1. The loss counts from step
    `after` on: a network that has seen little of a signal cannot know what comes, however good it is.
    """

    after: int = 0

    metric = "nrmse"

    def __post_init__(self) -> None:
        check_int("after", self.after, 0)

    @property
    def min_length(self) -> int:
        """Returns the length of which one step counts."""
        return self.after + 1

    def counted(self, max_length: int) -> int:
        """Counts the steps from `after` on."""
        return max_length - self.after

    def counts(self, max_length: int) -> jax.Array:
        """Says which of so many steps count, bool [max_length]."""
        return jnp.arange(max_length, dtype=jnp.int32) >= self.after

    def tally(self, predictions: jax.Array, batch: Batch) -> ForecastTally:
        """Does what `Task.tally` says."""
        power = losses.squared_error(jnp.zeros_like(batch.targets), batch.targets, batch.mask)
        return ForecastTally(*super().tally(predictions, batch), power)

    def metrics(self, tally: ForecastTally) -> dict[str, jax.Array]:
        """Computes mse and nrmse."""
        power = tally.power.sum()
        ratio = tally.loss.sum() / jnp.where(power > 0, power, 1)
        return {**super().metrics(tally), "nrmse": jnp.sqrt(ratio)}
