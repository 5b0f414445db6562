"""Defines the two kinds of task: float targets under squared error, classes under cross-entropy."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from r3nn import losses
from r3nn.tasks._base import Batch, Tally, Task


@dataclasses.dataclass(frozen=True)
class Regression(Task):
    """A regression has a squared error against float targets.

    Attributes:
      tolerance: an output this close to its target counts as correct, and `metrics` then has the
        fraction of correct steps as "within_tolerance". None: no such metric.
    """

    kind = "regression"
    metric = "mse"
    higher_is_better = False
    tolerance: ClassVar[float | None] = None

    @property
    def fractions(self) -> tuple[str, ...]:
        """Names within_tolerance, where the task has a tolerance."""
        return () if self.tolerance is None else ("within_tolerance",)

    def tally(self, predictions: jax.Array, batch: Batch) -> Tally:
        """Does what `Task.tally` says; the loss of a step is the mean over O of the squared errors."""
        loss = losses.squared_error(predictions, batch.targets, batch.mask)
        error = jnp.abs(predictions.astype(loss.dtype) - batch.targets.astype(loss.dtype))
        hit = (error < (self.tolerance or 0)).all(axis=-1)
        return Tally(loss, _count(hit & batch.mask), _count(batch.mask))

    def metrics(self, tally: Tally) -> dict[str, jax.Array]:
        """Computes mse, and within_tolerance where the task has a tolerance."""
        result = {"mse": losses.mean(tally.loss, tally.count)}
        if self.tolerance is not None:
            result["within_tolerance"] = losses.mean(tally.correct, tally.count)
        return result


@dataclasses.dataclass(frozen=True)
class Classification(Task):
    """A classification has the cross-entropy of a softmax against class ids."""

    kind = "classification"
    metric = "accuracy"
    higher_is_better = True
    tie_breaker = "cross_entropy"
    fractions = ("accuracy", "sequence_accuracy")

    def tally(self, predictions: jax.Array, batch: Batch) -> Tally:
        """Does what `Task.tally` says; predictions are logits. A step with a NaN logit is never correct."""
        loss = losses.cross_entropy(predictions, batch.targets, batch.mask)
        hit = predictions.argmax(axis=-1).astype(batch.targets.dtype) == batch.targets
        hit &= ~jnp.isnan(predictions).any(axis=-1)
        return Tally(loss, _count(hit & batch.mask), _count(batch.mask))

    def metrics(self, tally: Tally) -> dict[str, jax.Array]:
        """Computes cross_entropy (nats) and accuracy per counted step; sequence_accuracy: all steps right.

        A sequence of which nothing counted does not enter sequence_accuracy.
        """
        counted = tally.count > 0
        return {
            "cross_entropy": losses.mean(tally.loss, tally.count),
            "accuracy": losses.mean(tally.correct, tally.count),
            "sequence_accuracy": losses.mean(counted & (tally.correct == tally.count), counted),
        }


def _count(x: jax.Array) -> jax.Array:
    return x.sum(axis=-1, dtype=jnp.int32)
