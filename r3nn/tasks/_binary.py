"""Defines the tasks of Deletang et al. 2023 that reckon with binary numbers."""

import dataclasses
import functools
import math
import operator
import random
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from r3nn.tasks._simulated import drawn, guessed
from r3nn.tasks._slots import Slots, take

_SIGN, _END = 2, 2  # the sign between two numbers in the inputs; the class behind the last bit


@dataclasses.dataclass(frozen=True)
class _Binary(Slots):
    """Reads bits, and writes a number and END: classes 0, 1 and 2.

    Attributes:
      lowest_first: whether the lowest bit of the answer is the first.
    """

    out_size = 3
    lowest_first: ClassVar[bool] = True

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses what is likeliest at each slot, by a simulation; see the class."""
        return _baseline(self, self.size(length))

    def result(self, chance: random.Random, n: int) -> int:
        """Draws a word of n symbols, and returns the number that is its answer."""
        raise NotImplementedError(f"{type(self).__name__}.result must be given.")


@dataclasses.dataclass(frozen=True)
class _TwoNumbers(_Binary):
    """Reads two numbers with a sign between them, lowest bits first."""

    vocab = 4
    min_length = 6

    def steps(self, n):
        """Counts n symbols and n slots."""
        return 2 * n

    def size(self, length):
        """Does what `Slots.size` says."""
        return length // 2

    def symbols(self, key, n, count):
        """Does what `Slots.symbols` says."""
        sign, bits = jax.random.split(key)
        bits = jax.random.randint(bits, (count,), 0, 2, jnp.int32)
        sign = jax.random.randint(sign, (), 1, n - 1, jnp.int32)
        return jnp.where(jnp.arange(count, dtype=jnp.int32) == sign, _SIGN, bits)

    def answer(self, symbols, n, count):
        """Does what `Slots.answer` says."""
        place = jnp.arange(len(symbols), dtype=jnp.int32)
        sign = jnp.argmax(symbols == _SIGN).astype(jnp.int32)
        first = jnp.where(place < sign, symbols, 0)
        second = jnp.where(sign + 1 + place < n, take(symbols, sign + 1 + place), 0)
        return _ended(_bits(self.columns(first, second)), count)

    def columns(self, first: jax.Array, second: jax.Array) -> jax.Array:
        """Returns what each bit of the result has to add up, before carries, int32 [N]."""
        raise NotImplementedError(f"{type(self).__name__}.columns must be given.")

    def result(self, chance, n):
        """Does what `_Binary.result` says."""
        sign = chance.randint(1, n - 2)
        return self.combine(chance.getrandbits(sign), chance.getrandbits(n - 1 - sign))


@dataclasses.dataclass(frozen=True)
class BinaryAddition(_TwoNumbers):
    """Adds two binary numbers, which stand with their lowest bits first.

        x = a_0 .. a_{k-1}  +  b_0 .. b_{l-1}  _ .. _        k ~ U{1 .. n - 2},  l = n - 1 - k,
        y =                        - .. -      c_0 .. END    a, b ~ U{0, 1}

    The numbers may have zeros at their ends, the sum has none but that of 0. Inputs ids int32 [B, T]: the
    bits, + and the slot are 0 to 3. Targets int32 [B, T] of three classes, 0, 1 and END = 2. Behind n symbols
    come n slots, and the loss counts at them up to END. The source's n is the number of symbols: a sequence
    has 2n steps.

    Example, length 12, 2 + 3 = 5, with _ for the slot:

        x    0   1   +   1   1   0   _   _   _   _   _   _
        y    -   -   -   -   -   -   1   0   1   E   -   -

    Baseline: the first bit is fair, and END comes around the length of the longer number: it is measured on a
    draw that is always the same (`r3nn/tasks/_simulated.py`). An accuracy of .59 for length 9, .50 from 40
    on.

    Differs from the source, whose numbers are at least 1, with n + 1 slots.
    Source: Deletang et al. 2023, "Neural Networks and the Chomsky Hierarchy".
    """

    letters = "01+_"
    combine = staticmethod(operator.add)

    def columns(self, first, second):
        """Does what `_TwoNumbers.columns` says."""
        return first + second


@dataclasses.dataclass(frozen=True)
class BinaryMultiplication(_TwoNumbers):
    """Multiplies two binary numbers, which stand with their lowest bits first.

        x = a_0 .. a_{k-1}  *  b_0 .. b_{l-1}  _ .. _        k ~ U{1 .. n - 2},  l = n - 1 - k,
        y =                        - .. -      c_0 .. END    a, b ~ U{0, 1}

    The numbers may have zeros at their ends, the product has none but that of 0. Inputs ids int32 [B, T]: the
    bits, * and the slot are 0 to 3. Targets int32 [B, T] of three classes, 0, 1 and END = 2. Behind n symbols
    come n slots, and the loss counts at them up to END. The source's n is the number of symbols: a sequence
    has 2n steps.

    Example, length 12, 2 * 3 = 6, with _ for the slot:

        x    0   1   *   1   1   0   _   _   _   _   _   _
        y    -   -   -   -   -   -   0   1   1   E   -   -

    Baseline: the first bit is 0 in three of four products, the others are nearly fair: it is measured on a
    draw that is always the same (`r3nn/tasks/_simulated.py`). An accuracy of .77 for length 9, .53 for 40,
    .50 for 500.

    Differs from the source, whose numbers are at least 1 (its slots were not checked).
    Source: Deletang et al. 2023, "Neural Networks and the Chomsky Hierarchy".
    """

    letters = "01*_"
    combine = staticmethod(operator.mul)

    def columns(self, first, second):
        """Does what `_TwoNumbers.columns` says: adds up the first number, shifted, for each bit of the
        second."""

        def step(carry, bit):
            shifted, total = carry
            return (jnp.roll(shifted, 1), total + bit * shifted), None

        (_, total), _ = lax.scan(step, (first, jnp.zeros_like(first)), second)
        return total


@dataclasses.dataclass(frozen=True)
class SquareRoot(_Binary):
    """Takes the square root of a binary number, rounded down; both stand with their highest bits first.

        x = a_1 .. a_n  _ .. _            a_i ~ U{0, 1}
        y =   - .. -    c_1 .. END

    The number may begin with zeros, the root does not unless it is 0. Inputs ids int32 [B, T]: the bits and
    the slot are 0 to 2. Targets int32 [B, T] of three classes, 0, 1 and END = 2. Behind n symbols come
    ceil(n / 2) + 1 slots, and the loss counts at them up to END. The source's n is the number of symbols:
    steps(n) = n + ceil(n / 2) + 1.

    Example, length 10, the root of 34 is 5, with _ for the slot:

        x    1   0   0   0   1   0   _   _   _   _
        y    -   -   -   -   -   -   1   0   1   E

    Baseline: the first bit is nearly always 1, and END mostly stands in the last slot: it is measured on a
    draw that is always the same (`r3nn/tasks/_simulated.py`). An accuracy of .74 for
    length 9, .56 for 40, .51 for 500.

    Differs from the source, whose numbers are at least 1, and whose roots have ceil(n / 2)
    digits, with zeros in front and no END.
    Source: Deletang et al. 2023, "Neural Networks and the Chomsky Hierarchy".
    """

    vocab = 3
    min_length = 3
    letters = "01_"
    lowest_first = False

    def result(self, chance, n):
        """Does what `_Binary.result` says."""
        return math.isqrt(chance.getrandbits(n))

    def steps(self, n):
        """Counts n symbols, half as many slots, and one for END."""
        return n + (n + 1) // 2 + 1

    def size(self, length):
        """Does what `Slots.size` says: 3k steps are those of 2k - 1 symbols, 3k + 1 those of 2k."""
        return 2 * (length // 3) - (2 - length % 3) // 2

    def symbols(self, key, n, count):
        """Does what `Slots.symbols` says."""
        del n
        return jax.random.randint(key, (count,), 0, 2, jnp.int32)

    def answer(self, symbols, n, count):
        """Does what `Slots.answer` says.

        Goes bit by bit, as on paper: with the root r of the upper 2i bits and what is left of them, w, the
        next two bits make 4w + them; where that is at least 4r + 1, the next bit of the root is 1, and 4r + 1
        is taken off. These numbers are as long as the word, so they are held by their bits, the lowest first.
        """
        size = len(symbols) // 2 + 4
        pairs, odd = (n + 1) // 2, n % 2
        place = jnp.arange(size, dtype=jnp.int32)

        def step(carry, i):
            root, rest = carry
            high, low = 2 * i - odd, 2 * i - odd + 1
            high, low = (jnp.where(at >= 0, take(symbols, at), 0) for at in (high, low))
            now = jnp.roll(rest, 2).at[:2].set(jnp.stack([low, high]))
            trial = jnp.roll(root, 2).at[:2].set(jnp.array([1, 0], jnp.int32))
            differs = now != trial
            highest = (size - 1 - jnp.argmax(differs[::-1])).astype(jnp.int32)
            fits = ~differs.any() | (now[highest] > trial[highest])
            now = jnp.where(fits, _bits(now - trial), now)
            root = jnp.roll(root, 1).at[0].set(fits.astype(jnp.int32))
            going = i < pairs
            return (jnp.where(going, root, carry[0]), jnp.where(going, now, rest)), None

        zero = jnp.zeros(size, jnp.int32)
        (root, _), _ = lax.scan(step, (zero, zero), jnp.arange((len(symbols) + 1) // 2, dtype=jnp.int32))
        bits = 1 + jnp.max(jnp.where(root == 1, place, 0))
        answer = jnp.arange(count, dtype=jnp.int32)
        return jnp.where(answer < bits, take(root, bits - 1 - answer), _END), bits + 1


def _bits(columns: jax.Array) -> jax.Array:
    """Carries, or borrows, from the lowest column up, int32 [N] -> bits [N]."""

    def step(carry, column):
        total = carry + column
        return total >> 1, total & 1

    return lax.scan(step, jnp.int32(0), columns)[1]


def _ended(bits: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """Returns (a number's bits, the lowest first, and END behind the highest 1, int32 [count]; how many)."""
    size = 1 + jnp.max(jnp.where(bits == 1, jnp.arange(len(bits), dtype=jnp.int32), 0))
    place = jnp.arange(count, dtype=jnp.int32)
    return jnp.where(place < size, take(bits, place), _END), size + 1


@functools.cache
def _baseline(task: _Binary, n: int) -> dict[str, float]:
    """Guesses what is the most frequent at each slot, in answers that Python reckons; see the class."""
    chance, rows, bytes_ = random.Random(0), drawn(n), n // 8 + 1
    results = [task.result(chance, n) for _ in range(rows)]
    whole = np.frombuffer(b"".join(x.to_bytes(bytes_, "little") for x in results), np.uint8).reshape(
        rows, bytes_
    )
    bits = np.unpackbits(whole, axis=1, bitorder="little")  # [rows, 8 bytes]
    size = np.array([max(1, x.bit_length()) for x in results])[:, None]
    place = np.arange(size.max() + 1)
    source = place if task.lowest_first else size - 1 - place
    source = np.broadcast_to(source, (rows, len(place))).clip(0, bits.shape[1] - 1)
    answers = np.where(place < size, np.take_along_axis(bits, source, axis=1), _END)
    return guessed(answers, place <= size, task.out_size)
