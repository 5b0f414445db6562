"""Defines two tasks of counters: the languages a^n b^n and a^n b^n c^n, and the majority of symbols."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from r3nn._lookup import check_choice, check_int
from r3nn.tasks._kinds import Classification
from r3nn.tasks._simulated import drawn, guessed


@dataclasses.dataclass(frozen=True)
class AnBn(Classification):
    """How many b have to follow n times a; and, with three letters, how many c?

        x = a .. a  b .. b  (c .. c)       n of each, n ~ U{1 .. length // letters}

    The target is the next letter wherever it is certain, which is from the first b on, and there alone the
    loss counts; behind the last letter it is the end. Inputs ids int32 [B, T]: a, b (and c) are 0, 1 (and 2).
    Targets int32 [B, T] of letters + 1 classes, the letters and the end. All steps of a word have to be
    right, so sequence_accuracy is the headline. `sizes="greatest"` always takes the greatest n, to ask
    whether a network counts so far exactly. The source's n is ours: steps(n) = letters n.

    Example, two letters, length 7, n = 3, with $ for the end:

        x    a   a   a   b   b   b
        y    -   -   -   b   b   $

    Baseline: the class that is likeliest at a step, over all n that reach it, which is computed exactly. With
    "greatest" nothing is unknown: accuracy 1, cross-entropy 0.

    Source: Weiss, Goldberg & Yahav 2018, "On the Practical Computational Power of Finite Precision RNNs for
    Language Recognition", who train on n up to 100 (50 for three letters).
    """

    letters: int = 2
    sizes: str = "uniform"

    own_lengths = True
    metric = "sequence_accuracy"

    def __post_init__(self) -> None:
        check_int("letters", self.letters, 2, 3)
        check_choice("sizes", self.sizes, ("uniform", "greatest"))

    @property
    def vocab(self) -> int:
        """Counts the letters that a word is written in."""
        return self.letters

    @property
    def out_size(self) -> int:
        """Counts the letters and the end."""
        return self.letters + 1

    @property
    def min_length(self) -> int:
        """Returns the length of each letter once."""
        return self.letters

    def counted(self, max_length: int) -> int:
        """Counts the steps behind the first letter of the longest word."""
        return (self.letters - 1) * (max_length // self.letters)

    def steps(self, n: int) -> int:
        """Counts each letter n times."""
        return self.letters * n

    def example(self, key, length, max_length):
        """Does what `Task.example` says."""
        greatest = length // self.letters
        n = greatest
        if self.sizes == "uniform":
            n = jax.random.randint(key, (), 1, greatest + 1, jnp.int32)
        t = jnp.arange(max_length, dtype=jnp.int32)
        return (*self._word(t, n), self.steps(n))

    def _word(self, t, n):
        """Returns inputs, targets and mask at steps t of the word with n of each letter."""
        return (t // n).clip(0, self.letters - 1), ((t + 1) // n).clip(0, self.letters), t >= n

    def latent(self, batch):
        """Returns how many of the letter that is now read are still to come, int32 [B, T]; for an a, how many
        were."""
        count = jax.nn.one_hot(batch.inputs, self.letters, dtype=jnp.int32).cumsum(axis=1)
        now = jnp.take_along_axis(count, batch.inputs[..., None], axis=-1)[..., 0]
        return jnp.where(batch.inputs == 0, now, count[..., 0] - now)

    def decode(self, ids: np.ndarray) -> str:
        """Does what `Task.decode` says."""
        return "".join("abc"[i] for i in ids)

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses what most words ask for at each step; see the class."""
        greatest = length // self.letters
        sizes = range(1, greatest + 1) if self.sizes == "uniform" else [greatest]
        counts = np.zeros((self.steps(greatest), self.out_size))
        asked = {n: self._word(np.arange(n, self.steps(n)), n)[1] for n in sizes}
        for n, targets in asked.items():
            counts[np.arange(n, self.steps(n)), targets] += 1
        share, guess = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), counts.argmax(axis=1)
        right = sum((guess[n : self.steps(n)] == targets).all() for n, targets in asked.items())
        return {
            "cross_entropy": float(-(counts * np.log(np.where(share > 0, share, 1))).sum() / counts.sum()),
            "accuracy": float(counts.max(axis=1).sum() / counts.sum()),
            "sequence_accuracy": float(right / len(sizes)),
        }


@dataclasses.dataclass(frozen=True)
class Majority(Classification):
    """Which symbol is the most frequent so far?

        x[t] ~ U{0 .. V - 1},  V = `symbols`,    y[t] = the symbol that stands most often in x[0] .. x[t]

    Of several that are as frequent it is the smallest: with two symbols y[t] = 1 if more than half are ones.
    Inputs and targets int32 [B, T]. `labels` says at which steps the loss counts, at the "last" or at "every"
    one.

    Example, length 5:

        x    1   0   1   1   0
        y    1   0   1   1   1      labels="last": only the 1 at the end counts

    Baseline: with two symbols, 0 at an even number n of steps, with chance 1/2 + C(n, n/2) / 2^(n+1), and 1/2
    at an odd one; every step right with the chance that a walk never gets above 0, C(n, n // 2) / 2^n. With
    more symbols it is measured on a draw that is always the same (`r3nn/tasks/_simulated.py`).

    Source: majority is the standard language of counters; as a benchmark Beck et al. 2024, "xLSTM: Extended
    Long Short-Term Memory".
    """

    symbols: int = 2
    labels: str = "last"

    def __post_init__(self) -> None:
        check_int("symbols", self.symbols, 2)
        check_choice("labels", self.labels, ("last", "every"))

    @property
    def vocab(self) -> int:
        """Counts the symbols that a step may show."""
        return self.symbols

    @property
    def out_size(self) -> int:
        """Counts the symbols that an answer may be."""
        return self.symbols

    def example(self, key, length, max_length):
        """Does what `Task.example` says."""
        x = jax.random.randint(key, (max_length,), 0, self.symbols, jnp.int32)
        counts = jax.nn.one_hot(x, self.symbols, dtype=jnp.int32).cumsum(axis=0)
        t = jnp.arange(max_length, dtype=jnp.int32)
        asked = t < length if self.labels == "every" else t == length - 1
        return x, counts.argmax(axis=-1).astype(jnp.int32), asked

    def counted(self, max_length: int) -> int:
        """Counts one step, or all."""
        return 1 if self.labels == "last" else max_length

    def latent(self, batch):
        """Returns how many more ones than zeros there are, int32 [B, T]; of more symbols, the counts
        [B, T, V]."""
        counts = jax.nn.one_hot(batch.inputs, self.symbols, dtype=jnp.int32).cumsum(axis=1)
        return counts[..., 1] - counts[..., 0] if self.symbols == 2 else counts

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses 0, the likelier one; see the class."""
        if self.symbols > 2:
            return _majority(self.symbols, self.labels, length)
        n = np.arange(1, length + 1) if self.labels == "every" else np.array([length])
        middle = np.array([_middle(k) for k in n.tolist()])
        zero = np.where(n % 2 == 0, (1 + middle) / 2, 0.5)
        chance = np.stack([zero, 1 - zero])
        return {
            "cross_entropy": float(-(chance * np.log(chance)).sum(axis=0).mean()),
            "accuracy": float(zero.mean()),
            "sequence_accuracy": float(middle[-1] if self.labels == "every" else zero[-1]),
        }


def _middle(n: int) -> float:
    """Returns C(n, n // 2) / 2^n."""
    return math.exp(
        math.lgamma(n + 1) - math.lgamma(n // 2 + 1) - math.lgamma(n - n // 2 + 1) - n * math.log(2)
    )


@functools.cache
def _majority(symbols: int, labels: str, length: int) -> dict[str, float]:
    """Guesses what is the most frequent of the answers to random words; see the class."""
    rng, rows = np.random.default_rng(0), drawn(length)
    if labels == "last":
        answers = rng.multinomial(length, [1 / symbols] * symbols, 2**17).argmax(axis=1)[:, None]
    else:
        words = rng.integers(0, symbols, (rows, length))
        answers = np.stack([(words == v).cumsum(axis=1, dtype=np.int32) for v in range(symbols)]).argmax(
            axis=0
        )
    return guessed(answers, np.full(answers.shape, True), symbols)
