"""Defines multi-query associative recall: the values of keys that are named again, in any order."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax import lax

from r3nn._lookup import FieldError, check_choice, check_int
from r3nn.tasks._kinds import Classification

_POWER = 0.01  # the source's a, of a density of gaps a g^(a - 1)


@dataclasses.dataclass(frozen=True)
class MQAR(Classification):
    """Reads N pairs of a key and a value, then keys, each once: what is the value of each?

        x = k_1 v_1 .. k_N v_N   _ .. _  k_i  _ .. _  k_j  ..        y = v_i at k_i

    N = `pairs`, V = `symbols`: keys are 1 .. V/2 - 1, values V/2 .. V - 1, both drawn without replacement;
    0 is the filler, _. The i-th key comes again 2 g_i steps behind the pairs; the g_i are drawn without
    replacement from those that fit, with chances in proportion to (g + 1)^-.99, so that most queries come
    soon. With `filler` = "random" each filler is any of the V tokens, keys too. Inputs ids int32 [B, T] of V
    kinds, targets int32 [B, T] of V classes; the loss counts at the N queries. A state has to hold about
    N log2 V bits, and to be read by content.

    Example, N = 2, V = 16, length 12:

        x    3   9   5  14   5   0   0   0   3   0   0   0
        y    -   -   -   -  14   -   -   -   9   -   -   -

    Baseline: one of V/2 values: cross-entropy ln(V/2), accuracy 2/V. All N are right at best for a guess of
    another value at each step: (V/2 - N)! / (V/2)!.

    Source: Arora et al. 2023, "Zoology: measuring and improving recall in efficient language models", with
    V = 8,192, and N = 4, 8, 16, 64 in 64, 128, 256, 512 steps.
    """

    pairs: int = 4
    symbols: int = 256
    filler: str = "blank"

    def __post_init__(self) -> None:
        check_int("pairs", self.pairs, 1)
        check_int("symbols", self.symbols, 4)
        if self.symbols < 2 * self.pairs + 2 or self.symbols % 2:
            must = f"must be even and at least 2 x pairs + 2 = {2 * self.pairs + 2}"
            raise FieldError("symbols", f"symbols {must}, got {self.symbols}.")
        check_choice("filler", self.filler, ("blank", "random"))

    @property
    def vocab(self) -> int:
        """Counts filler, keys and values."""
        return self.symbols

    @property
    def out_size(self) -> int:
        """Counts the classes, of which the upper half are values."""
        return self.symbols

    @property
    def min_length(self) -> int:
        """Returns the length in which all pairs and queries just fit."""
        return 4 * self.pairs

    def example(
        self, key: jax.Array, length: jax.Array, max_length: int
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Does what `Task.example` says."""
        key_keys, key_values, key_gaps, key_filler = jax.random.split(key, 4)
        n, half = self.pairs, self.symbols // 2
        keys = 1 + _without_replacement(key_keys, jnp.zeros(half - 1, jnp.float32), n)
        values = half + _without_replacement(key_values, jnp.zeros(half, jnp.float32), n)
        gap = jnp.arange((max_length - 2 * n) // 2, dtype=jnp.int32)
        weights = jnp.where(
            gap < (length - 2 * n) // 2, (_POWER - 1) * jnp.log1p(gap.astype(jnp.float32)), -jnp.inf
        )
        queries = 2 * (n + _without_replacement(key_gaps, weights, n))
        blank = jnp.zeros(max_length, jnp.int32)
        filler = blank
        if self.filler == "random":
            filler = jax.random.randint(key_filler, (max_length,), 0, self.symbols, jnp.int32)
        inputs = lax.dynamic_update_slice(filler, jnp.stack([keys, values], axis=1).ravel(), (0,))
        mask = jnp.zeros(max_length, bool).at[queries].set(True)
        return inputs.at[queries].set(keys), blank.at[queries].set(values), mask

    def counted(self, max_length: int) -> int:
        """Counts the queries: one for each pair."""
        del max_length
        return self.pairs

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses the values; see the class."""
        del length
        half = self.symbols // 2
        return {
            "cross_entropy": math.log(half),
            "accuracy": 1 / half,
            "sequence_accuracy": 1 / math.perm(half, self.pairs),
        }


def _without_replacement(key: jax.Array, weights: jax.Array, count: int) -> jax.Array:
    """Draws `count` places of logarithmic weights [n], one after another without replacement, int32 [count].

    The greatest of weights with Gumbel noise are such a draw, in its order.
    """
    return lax.top_k(weights + jax.random.gumbel(key, weights.shape, jnp.float32), count)[1]
