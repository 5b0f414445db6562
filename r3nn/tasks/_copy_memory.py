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


_LAYOUTS = ("delimiter", "delimiters", "markers")


@dataclasses.dataclass(frozen=True)
class CopyMemory(Classification):
    """Repeats K symbols after a gap, in one of the three layouts of the literature.

    S = `symbols`, K = `recall`. Blank is 0, the symbols are 1..S, the delimiter is S + 1, written # here:

        layout        x                                          y
        delimiter     d_1 .. d_K  T - 1 blanks  #  K blanks      T + K blanks  d_1 .. d_K
        delimiters    d_1 .. d_K  T - 1 blanks  K + 1 times #    the same
        markers       d_1 .. d_K  T blanks      K times #        the same              d_k ~ U{1 .. S}

    T is the gap by which the literature calls the problem; a sequence has `steps(T)` = T + 2K steps (T = 1000
    is length 1020). Inputs ids int32 [B, T] of S + 2 kinds; of "delimiters", as in its source, the same
    numbers as one feature, float32 [B, T, 1]. Targets int32 [B, T] of S + 1 classes.

    `loss_over="recall"` counts the last K steps. "all" is the published loss of the first two layouts, the
    mean over every step: there the blanks, learnt in a minute, dilute loss and gradient by K / length, so
    that a curriculum over lengths would also be one over step sizes. Either way cross_entropy, accuracy and
    sequence_accuracy are of the recalled symbols alone; "all" adds diluted_cross_entropy, the number to lay
    beside published ones.

    Example, K = 2, length 8 (T = 4), in the three layouts:

        x    3   7   0   0   0   9   0   0
        x    3   7   0   0   0   9   9   9
        x    3   7   0   0   0   0   9   9
        y    0   0   0   0   0   0   3   7

    Baseline: blanks in the right places cost nothing, the symbols are guessed: ln S = 2.079
    nats, accuracy 1/S, all of them S^-K; diluted K ln S / length = 10 ln 8 / (T + 20).

    Source: Hochreiter & Schmidhuber 1997, "Long Short-Term Memory"; with one delimiter Arjovsky, Shah &
    Bengio 2016, "Unitary Evolution Recurrent Neural Networks", and Wisdom et al. 2016, "Full-Capacity Unitary
    Recurrent Neural Networks"; with K + 1 Bai, Kolter & Koltun 2018, "An empirical evaluation of generic
    convolutional and recurrent networks for sequence modeling" (whose tenth class is never the answer); with
    markers Gu, Goel & Re 2022, "Efficiently modeling long sequences with structured state spaces".
    """

    symbols: int = 8
    recall: int = 10
    layout: str = "delimiter"
    loss_over: str = "recall"

    def __post_init__(self) -> None:
        check_int("symbols", self.symbols, 1)
        check_int("recall", self.recall, 1)
        check_choice("layout", self.layout, _LAYOUTS)
        check_choice("loss_over", self.loss_over, ("recall", "all"))

    @property
    def vocab(self) -> int | None:
        """Counts the ids: blank, symbols and delimiter."""
        return None if self.layout == "delimiters" else self.symbols + 2

    @property
    def in_size(self) -> int:
        """Counts the ids, or the one feature."""
        return self.vocab or 1

    @property
    def out_size(self) -> int:
        """Counts the classes: blank and symbols."""
        return self.symbols + 1

    @property
    def min_length(self) -> int:
        """Returns the length for T = 1."""
        return self.steps(1)

    def steps(self, n: int) -> int:
        """Adds the symbols and their recall to a gap of n."""
        return n + 2 * self.recall

    def drawn(self, key: jax.Array, room: jax.Array, max_length: int) -> tuple[jax.Array, jax.Array]:
        """Draws the symbols, and in which of the first `room` steps they stand, in order: int32 [K] twice."""
        del room, max_length
        data = jax.random.randint(key, (self.recall,), 1, self.symbols + 1, jnp.int32)
        return data, jnp.arange(self.recall, dtype=jnp.int32)

    def example(
        self, key: jax.Array, length: jax.Array, max_length: int
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Does what `Task.example` says."""
        answer = length - self.recall
        first = answer if self.layout == "markers" else answer - 1
        data, places = self.drawn(key, first, max_length)
        blanks = jnp.zeros(max_length, jnp.int32)
        t = jnp.arange(max_length, dtype=jnp.int32)
        marked = t == first if self.layout == "delimiter" else t >= first
        inputs = jnp.where(marked, self.symbols + 1, blanks.at[places].set(data))
        if self.vocab is None:
            inputs = inputs.astype(jnp.float32)[:, None]
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
