"""Defines two tasks of POPGym under supervision: repeat what stood k steps ago, or what stood first."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from r3nn._lookup import check_int
from r3nn.tasks._base import Automaton
from r3nn.tasks._kinds import Classification
from r3nn.tasks._tracking import Tracking


@dataclasses.dataclass(frozen=True)
class RepeatPrevious(Classification):
    """Which symbol stood k steps ago?

        x[t] ~ U{0 .. S - 1},    y[t] = x[t - k] for t >= k          S = `symbols`, k = `delay`

    A network has to hold k symbols at once, and to move each on at every step. Inputs ids int32 [B, T] of S
    kinds, targets int32 [B, T] of S classes; the loss counts from step k on.

    Example, length 6, k = 2:

        x    3   0   1   1   2   0
        y    -   -   3   0   1   1

    Baseline: the symbols are independent and uniform: cross-entropy ln S, accuracy 1/S, all of them
    S^-(length - k).

    Source: Morad et al. 2023, "POPGym: benchmarking partially observable reinforcement learning": four suits,
    k = 4, 32 and 64 in 52, 104 and 156 steps, dealt from decks, without replacement, to an agent that is paid
    for right answers; here the symbols are independent, and the answers are given.
    """

    delay: int = 8
    symbols: int = 4

    def __post_init__(self) -> None:
        check_int("delay", self.delay, 1)
        check_int("symbols", self.symbols, 2)

    @property
    def vocab(self) -> int:
        """Counts the symbols that a step may show, S."""
        return self.symbols

    @property
    def out_size(self) -> int:
        """Counts the symbols that an answer may be, S."""
        return self.symbols

    @property
    def min_length(self) -> int:
        """Returns the shortest length at which a step counts."""
        return self.delay + 1

    def example(
        self, key: jax.Array, length: jax.Array, max_length: int
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Does what `Task.example` says."""
        del length
        inputs = jax.random.randint(key, (max_length,), 0, self.symbols, jnp.int32)
        counts = jnp.arange(max_length) >= self.delay
        return inputs, jnp.where(counts, jnp.roll(inputs, self.delay), 0), counts

    def counted(self, max_length: int) -> int:
        """Counts all steps but the first k."""
        return max_length - self.delay

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses each symbol; see the class."""
        return {
            "cross_entropy": math.log(self.symbols),
            "accuracy": 1 / self.symbols,
            "sequence_accuracy": float(self.symbols) ** -self.counted(length),
        }


@dataclasses.dataclass(frozen=True)
class RepeatFirst(Tracking):
    """Which symbol stood at the first step?

        x[t] ~ U{0 .. S - 1},    y[t] = x[0]          S = `symbols`

    Inputs and targets int32 [B, T] of S kinds. `labels` ("every" step here, or the "last") and `words` as in
    `parity`. Sequences are drawn piece by piece.

    Example, length 5:

        x    2   0   3   3   1
        y    2   2   2   2   2

    Baseline: one symbol guessed all through: cross-entropy ln S, accuracy 1/S, all of them 1/S.

    Source: Morad et al. 2023, "POPGym: benchmarking partially observable reinforcement learning": four suits
    in 52, 416 and 832 steps.
    """

    labels: str = "every"
    symbols: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("symbols", self.symbols, 2)

    def automaton(self) -> Automaton:
        """Returns the machine of S + 1 states: before the first symbol, and 1 + that symbol."""
        return _first(self.symbols)


@functools.cache
def _first(symbols: int) -> Automaton:
    held = np.arange(symbols + 1, dtype=np.int32)
    moves = np.repeat(held[:, None], symbols, axis=1)
    moves[0] = held[1:]
    return Automaton(moves, held - 1, 0)
