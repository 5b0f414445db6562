"""Defines the tasks of Deletang et al. 2023 that write a word's symbols again, in another order."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from r3nn._lookup import check_int
from r3nn.tasks._slots import Slots, take


@dataclasses.dataclass(frozen=True)
class _Strings(Slots):
    """Reads n uniform symbols, and has as many slots.

    Attributes:
      kinds: how many symbols there are.
    """

    kinds: int = 2
    min_length = 2

    def __post_init__(self) -> None:
        check_int("kinds", self.kinds, 2)

    @property
    def vocab(self) -> int:
        """Counts the symbols and the slot."""
        return self.kinds + 1

    @property
    def out_size(self) -> int:
        """Counts the symbols that an answer is written in."""
        return self.kinds

    def steps(self, n):
        """Counts n symbols and n slots."""
        return 2 * n

    def size(self, length):
        """Does what `Slots.size` says."""
        return length // 2

    def symbols(self, key, n, count):
        """Does what `Slots.symbols` says."""
        del n
        return jax.random.randint(key, (count,), 0, self.kinds, jnp.int32)

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses each symbol of the answer; see the class."""
        n = self.size(length)
        return _uniform(self.kinds, self.steps(n) - n)


@dataclasses.dataclass(frozen=True)
class ReverseString(_Strings):
    """Writes a word from its end to its beginning.

        x = s_1 .. s_n  _ .. _          s_i ~ U{0 .. V - 1},  V = `kinds`
        y =   - .. -   s_n .. s_1

    Inputs ids int32 [B, T] of the V symbols and of the slot, V; targets int32 [B, T] of V classes. The loss
    counts at the slots. The source's n is the number of symbols: a sequence has 2n steps.

    Example, length 8, with _ for the slot:

        x    0   1   1   1   _   _   _   _
        y    -   -   -   -   1   1   1   0

    Baseline: the symbols are independent and uniform: cross-entropy ln V, accuracy 1/V, all of them V^-n.

    Source: Deletang et al. 2023, "Neural Networks and the Chomsky Hierarchy".
    """

    def answer(self, symbols, n, count):
        """Does what `Slots.answer` says."""
        return take(symbols, n - 1 - jnp.arange(count, dtype=jnp.int32)), n


@dataclasses.dataclass(frozen=True)
class OddsFirst(_Strings):
    """Writes the symbols at odd places of a word, then those at even ones.

        x = s_1 .. s_n  _ .. _                            s_i ~ U{0 .. V - 1},  V = `kinds`
        y =   - .. -   s_1 s_3 s_5 .. s_2 s_4 s_6 ..

    Inputs ids int32 [B, T] of the V symbols and of the slot, V; targets int32 [B, T] of V classes. The loss
    counts at the slots. The source's n is the number of symbols: a sequence has 2n steps.

    Example, length 8, with _ for the slot:

        x    0   1   1   1   _   _   _   _
        y    -   -   -   -   0   1   1   1      s_1 s_3, then s_2 s_4

    Baseline: the symbols are independent and uniform: cross-entropy ln V, accuracy 1/V, all of them V^-n.

    Source: Deletang et al. 2023, "Neural Networks and the Chomsky Hierarchy".
    """

    def answer(self, symbols, n, count):
        """Does what `Slots.answer` says."""
        place, odds = jnp.arange(count, dtype=jnp.int32), (n + 1) // 2
        return take(symbols, jnp.where(place < odds, 2 * place, 2 * (place - odds) + 1)), n


@dataclasses.dataclass(frozen=True)
class Duplicate(_Strings):
    """Writes a word twice.

        x = s_1 .. s_n  _ .. .. .. .. _               s_i ~ U{0 .. V - 1},  V = `kinds`
        y =   - .. -   s_1 .. s_n  s_1 .. s_n

    Inputs ids int32 [B, T] of the V symbols and of the slot, V; targets int32 [B, T] of V classes. The loss
    counts at the slots. The source's n is the number of symbols: a sequence has 3n steps.

    Example, length 6, with _ for the slot:

        x    0   1   _   _   _   _
        y    -   -   0   1   0   1

    Baseline: each symbol of the answer is uniform: cross-entropy ln V, accuracy 1/V. All are right with
    probability V^-n, as a guess that is right of the first half is right of the second one too.

    Source: Deletang et al. 2023, "Neural Networks and the Chomsky Hierarchy".
    """

    min_length = 3

    def steps(self, n):
        """Counts n symbols and 2n slots."""
        return 3 * n

    def size(self, length):
        """Does what `Slots.size` says."""
        return length // 3

    def answer(self, symbols, n, count):
        """Does what `Slots.answer` says."""
        return take(symbols, jnp.arange(count, dtype=jnp.int32) % n), 2 * n

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses one word, twice; see the class."""
        return _uniform(self.kinds, self.size(length))


@dataclasses.dataclass(frozen=True)
class MissingDuplicate(_Strings):
    """Finds the one symbol that is missing in a word that stands there twice.

        x = s_1 .. s_k  s_1 .. s_k  _       one of the 2k symbols, anywhere, is a ?;  s_i ~ U{0 .. V - 1}
        y =           - .. -        s_?

    Inputs ids int32 [B, T] of the V = `kinds` symbols, of ?, which is V, and of the slot, V + 1; targets
    int32 [B, T] of V classes. The loss counts at the slot. The source's n is 2k: a sequence has n + 1 steps.

    Example, length 7, with _ for the slot:

        x    0   1   1   0   ?   1   _
        y    -   -   -   -   -   -   1      the second symbol is missing in the second word

    Baseline: the missing symbol is uniform: cross-entropy ln V, accuracy 1/V.

    Source: Deletang et al. 2023, "Neural Networks and the Chomsky Hierarchy".
    """

    min_length = 3

    @property
    def vocab(self) -> int:
        """Counts the symbols, ? and the slot."""
        return self.kinds + 2

    def steps(self, n):
        """Counts n symbols, an even number, and a slot."""
        return n // 2 * 2 + 1

    def size(self, length):
        """Does what `Slots.size` says."""
        return (length - 1) // 2 * 2

    def symbols(self, key, n, count):
        """Does what `Slots.symbols` says."""
        place = jnp.arange(count, dtype=jnp.int32)
        word, missing = jax.random.split(key)
        twice = super().symbols(word, n, count)[place % (n // 2)]
        return jnp.where(place == jax.random.randint(missing, (), 0, n, jnp.int32), self.kinds, twice)

    def answer(self, symbols, n, count):
        """Does what `Slots.answer` says."""
        place = jnp.arange(len(symbols), dtype=jnp.int32)
        missing = jnp.argmax((symbols == self.kinds) & (place < n)).astype(jnp.int32)
        found = symbols[(missing + n // 2) % n]
        return jnp.full(count, found), jnp.ones_like(n)


@dataclasses.dataclass(frozen=True)
class BucketSort(_Strings):
    """Sorts symbols of few kinds, which takes one counter a kind.

        x = s_1 .. s_n  _ .. _                 s_i ~ U{0 .. V - 1},  V = `kinds`
        y =   - .. -    s sorted

    Inputs ids int32 [B, T] of the V symbols and of the slot, V; targets int32 [B, T] of V classes. The loss
    counts at the slots. The source's n is the number of symbols: a sequence has 2n steps.

    Example, length 8, with _ for the slot:

        x    4   0   2   0   _   _   _   _
        y    -   -   -   -   0   0   2   4

    Baseline: for each slot the symbol that is likeliest there: the i-th of n sorted uniform symbols is at
    most v with the chance that Binomial(n, (v + 1) / V) is i or more. With V = 5 an accuracy of .69 for 20
    symbols, .78 for 40 and .94 for 500, so that what is published as 90 % means little.

    Source: Deletang et al. 2023, "Neural Networks and the Chomsky Hierarchy".
    """

    kinds: int = 5

    def answer(self, symbols, n, count):
        """Does what `Slots.answer` says."""
        place = jnp.arange(len(symbols), dtype=jnp.int32)
        ordered = jnp.sort(jnp.where(place < n, symbols, self.kinds))
        return take(ordered, jnp.arange(count, dtype=jnp.int32)), n

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses the likeliest symbol of each slot; see the class."""
        n = self.size(length)
        logs = np.array([math.lgamma(i + 1) for i in range(n + 1)])
        i, at_most = np.arange(n + 1), []
        for v in range(1, self.kinds):
            p = v / self.kinds
            pmf = np.exp(logs[n] - logs - logs[::-1] + i * math.log(p) + (n - i) * math.log(1 - p))
            at_most.append(pmf[::-1].cumsum()[::-1][1:])
        at_most = np.stack([np.zeros(n), *at_most, np.ones(n)]).clip(0, 1)
        share = np.diff(at_most, axis=0).clip(0)  # [V, n]
        counts = np.bincount(share.argmax(axis=0), minlength=self.kinds)
        positive = share[share > 0]
        return {
            "cross_entropy": float(-(positive * np.log(positive)).sum() / n),
            "accuracy": float(share.max(axis=0).mean()),
            "sequence_accuracy": math.exp(logs[n] - logs[counts].sum() - n * math.log(self.kinds)),
        }


def _uniform(kinds: int, guesses: int) -> dict[str, float]:
    """Guesses uniform symbols, of which so many are independent."""
    return {
        "cross_entropy": math.log(kinds),
        "accuracy": 1 / kinds,
        "sequence_accuracy": float(kinds) ** -guesses,
    }
