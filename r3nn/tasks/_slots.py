"""Defines what tasks share that read a word and then write an answer, one symbol a slot."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from r3nn.tasks._kinds import Classification


@dataclasses.dataclass(frozen=True)
class Slots(Classification):
    """A task of this kind has n symbols, then one slot for each symbol of its answer.

    The slots all hold one token, the last id, and the loss counts there alone. A subclass gives `size`, its
    inverse `steps`, `symbols`, and `answer`, the rule of the task. As not every length is that of a word and
    its slots, a sequence has its own, the greatest that fits.

    Attributes:
      letters: the ids as people write them; "" for numbers.
    """

    own_lengths = True
    letters: ClassVar[str] = ""

    def size(self, length: Any) -> Any:
        """Returns the greatest n whose `steps` are at most `length`, an int or a traced one."""
        raise NotImplementedError(f"{type(self).__name__}.size must be given.")

    def symbols(self, key: jax.Array, n: jax.Array, count: int) -> jax.Array:
        """Draws a word of n symbols, int32 [count]; behind them anything may stand."""
        raise NotImplementedError(f"{type(self).__name__}.symbols must be given.")

    def answer(self, symbols: jax.Array, n: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
        """Returns (the answer to the first n of the symbols, int32 [count], of which as many count as the
        second number says, int32 [])."""
        raise NotImplementedError(f"{type(self).__name__}.answer must be given.")

    def counted(self, max_length: int) -> int:
        """Bounds the steps that count by the slots of the longest word."""
        n = self.size(max_length)
        return int(self.steps(n) - n)

    def example(
        self, key: jax.Array, length: jax.Array, max_length: int
    ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """Does what `Task.example` says."""
        n = self.size(length)
        symbols = self.symbols(key, n, max_length)
        answer, asked = self.answer(symbols, n, max_length)
        slot = jnp.arange(max_length, dtype=jnp.int32) - n
        inputs = jnp.where(slot < 0, symbols, self.vocab - 1)
        return inputs, answer[jnp.maximum(slot, 0)], (slot >= 0) & (slot < asked), self.steps(n)

    def decode(self, ids: np.ndarray) -> str:
        """Does what `Task.decode` says."""
        return "".join(self.letters[i] for i in ids) if self.letters else super().decode(ids)


def take(symbols: jax.Array, places: jax.Array) -> jax.Array:
    """Returns the symbols at these places, and any symbol at places that there are not."""
    return symbols[places.clip(0, len(symbols) - 1)]
