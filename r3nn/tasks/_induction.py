"""Defines induction heads: what stood behind the special symbol, when that one comes again?"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from r3nn._lookup import check_int
from r3nn.tasks._base import Batch
from r3nn.tasks._kinds import Classification


@dataclasses.dataclass(frozen=True)
class InductionHeads(Classification):
    """Which symbol stood behind the special one, #, when that comes again at the end?

        x = s .. s  #  s_?  s .. s  #          s ~ U{0 .. S - 1}, S = `symbols`; # is S
        y =        - .. -          s_?

    The first # stands at any step but the last two, each as likely. Inputs ids int32 [B, T] of S + 1 kinds,
    targets int32 [B, T] of S classes; the loss counts at the last step.

    Example, length 7, with S = 15:

        x    4   2   #  11   0   2   #
        y    -   -   -   -   -   -  11

    Baseline: the symbol is uniform: cross-entropy ln S, accuracy 1/S.

    Source: Olsson et al. 2022, "In-context learning and induction heads"; in this form Gu & Dao 2023, "Mamba:
    linear-time sequence modeling with selective state spaces": 16 kinds, 256 steps in training.
    """

    symbols: int = 15

    min_length = 3

    def __post_init__(self) -> None:
        check_int("symbols", self.symbols, 2)

    @property
    def vocab(self) -> int:
        """Counts the symbols and the special one."""
        return self.symbols + 1

    @property
    def out_size(self) -> int:
        """Counts the symbols that may be asked for."""
        return self.symbols

    def example(
        self, key: jax.Array, length: jax.Array, max_length: int
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Does what `Task.example` says."""
        key_symbols, key_place = jax.random.split(key)
        symbols = jax.random.randint(key_symbols, (max_length,), 0, self.symbols, jnp.int32)
        place = jax.random.randint(key_place, (), 0, length - 2, jnp.int32)
        t = jnp.arange(max_length, dtype=jnp.int32)
        last = t == length - 1
        inputs = jnp.where(last | (t == place), self.symbols, symbols)
        return inputs, jnp.where(last, symbols[place + 1], 0), last

    def counted(self, max_length: int) -> int:
        """Counts the last step."""
        del max_length
        return 1

    def latent(self, batch: Batch) -> jax.Array:
        """Returns the symbol that stood behind the special one, and S before that, int32 [B, T]."""
        behind = jnp.cumsum(jnp.roll(batch.inputs, 1, axis=1).at[:, 0].set(0) == self.symbols, axis=1) > 0
        first = jnp.argmax(behind, axis=1)[:, None]
        return jnp.where(behind, jnp.take_along_axis(batch.inputs, first, axis=1), self.symbols)

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses the symbol; see the class."""
        del length
        chance = 1 / self.symbols
        return {"cross_entropy": math.log(self.symbols), "accuracy": chance, "sequence_accuracy": chance}
