"""Defines copy memory: keep ten symbols over a long gap, then say them again."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from r3nn import losses
from r3nn._lookup import check_choice, check_int
from r3nn.tasks._base import Batch, Tally
from r3nn.tasks._kinds import Classification


class RecallTally(NamedTuple):
    """Holds a `Tally` of the steps that train, and one of the recalled symbols alone."""

    loss: jax.Array
    correct: jax.Array
    count: jax.Array
    recall: Tally


@dataclasses.dataclass(frozen=True)
class CopyMemory(Classification):
    """Repeats K symbols after a gap: K symbols, T - 1 blanks, a delimiter, K blanks.

    S = `symbols`, K = `recall`, and T = length - 2K is the gap by which the literature calls the
    problem (T = 1000 is length 1020). Blank is 0, the symbols are 1..S, the delimiter is S + 1:

        x = d_1 .. d_K  0 .. 0  S+1  0 .. 0           d_k ~ U{1 .. S}
        y = 0 .. .. .. .. .. .. 0    d_1 .. d_K

    Inputs ids int32 [B, T] of S + 2 kinds, targets int32 [B, T] of S + 1 classes.

    `loss_over="recall"` counts the last K steps. "all" is the published loss, the mean over every
    step: there the blanks, learnt in a minute, dilute loss and gradient by K / length, so that a
    curriculum over lengths would also be one over step sizes. Either way cross_entropy, accuracy
    and sequence_accuracy are of the recalled symbols alone; "all" adds diluted_cross_entropy, the
    number to lay beside published ones.

    Example, K = 2, length 8 (T = 4):

        x    3   7   0   0   0   9   0   0
        y    0   0   0   0   0   0   3   7

    Baseline: blanks in the right places cost nothing, the symbols are guessed: ln S = 2.079
    nats, accuracy 1/S, all of them S^-K; diluted K ln S / length = 10 ln 8 / (T + 20).

    Source: Hochreiter & Schmidhuber 1997, "Long Short-Term Memory"; in this form Arjovsky, Shah &
    Bengio 2016, "Unitary Evolution Recurrent Neural Networks", and Wisdom et al. 2016,
    "Full-Capacity Unitary Recurrent Neural Networks".
    """

    symbols: int = 8
    recall: int = 10
    loss_over: str = "recall"

    def __post_init__(self) -> None:
        check_int("symbols", self.symbols, 1)
        check_int("recall", self.recall, 1)
        check_choice("loss_over", self.loss_over, ("recall", "all"))

    @property
    def vocab(self) -> int:
        """Counts the ids: blank, symbols and delimiter."""
        return self.symbols + 2

    @property
    def out_size(self) -> int:
        """Counts the classes: blank and symbols."""
        return self.symbols + 1

    @property
    def min_length(self) -> int:
        """Returns the length for T = 1: the delimiter stands right behind the symbols."""
        return 2 * self.recall + 1

    def example(
        self, key: jax.Array, length: jax.Array, max_length: int
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Does what `Task.example` says."""
        data = jax.random.randint(key, (self.recall,), 1, self.symbols + 1, jnp.int32)
        blanks = jnp.zeros(max_length, jnp.int32)
        answer = length - self.recall
        t = jnp.arange(max_length, dtype=jnp.int32)
        inputs = lax.dynamic_update_slice(blanks, data, (0,))
        inputs = jnp.where(t == answer - 1, self.symbols + 1, inputs)
        targets = lax.dynamic_update_slice(blanks, data, (answer,))
        return inputs, targets, t >= (0 if self.loss_over == "all" else answer)

    def counted(self, max_length: int) -> int:
        """Counts the recalled symbols, or all steps."""
        return self.recall if self.loss_over == "recall" else max_length

    def tally(self, predictions: jax.Array, batch: Batch) -> RecallTally:
        """Does what `Task.tally` says."""
        recalled = batch._replace(mask=batch.mask & (batch.targets > 0))
        trained = super().tally(predictions, batch)
        return RecallTally(*trained, recall=super().tally(predictions, recalled))

    def metrics(self, tally: RecallTally) -> dict[str, jax.Array]:
        """Computes those of `Classification`, over recalled symbols; see the class."""
        result = super().metrics(tally.recall)
        if self.loss_over == "all":
            result["diluted_cross_entropy"] = losses.mean(tally.loss, tally.count)
        return result

    def baseline(self, length: int) -> dict[str, float]:
        """Puts blanks in their places, and guesses the symbols; see the class."""
        result = {
            "cross_entropy": math.log(self.symbols),
            "accuracy": 1 / self.symbols,
            "sequence_accuracy": self.symbols**-self.recall,
        }
        if self.loss_over == "all":
            result["diluted_cross_entropy"] = self.recall * math.log(self.symbols) / length
        return result
