"""Defines ListOps: the value of nested lists of digits under minimum, maximum, median and sum modulo 10."""

import dataclasses
import functools
import random

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from r3nn._lookup import check_int
from r3nn.tasks._kinds import Classification

_OPERATOR = 0.25  # the chance of one in place of a digit
_MIN, _CLOSE, _END = 10, 14, 15  # ids; _MIN + 1 to + 3 are MAX, MED and SM
_DRAWN = 10_000  # expressions for the trivial baseline
_NAMES = (*"0123456789", "[MIN", "[MAX", "[MED", "[SM", "]", "=")


@dataclasses.dataclass(frozen=True)
class ListOps(Classification):
    """What is the value of an expression of nested operators on lists of digits?

    The root is an operator with 2 to `arguments` arguments; each of these is an operator again with chance
    1/4, or else a digit; digits alone stand at `depth`, where the root is at 1. All choices are uniform. An
    expression that does not fit, or has fewer than `shortest` symbols, is drawn anew, so that short lengths
    have the shallower ones.

    MIN and MAX are the least and the greatest, MED is the median, of an even number the mean of the two in
    the middle, rounded down, and SM the sum modulo 10.

    Inputs ids int32 [B, T]: the digits are 0 to 9, then [MIN [MAX [MED [SM ] and, at the end, the slot =.
    Targets int32 [B, T] of ten classes; the loss counts at the slot. A sequence has its own length, whatever
    fits; the source's n counts the symbols before the slot: a sequence has up to n + 1 steps.

    Example, length 12, the sequence has 9 steps:

        x   [MAX   2  [MIN   7   4   ]   1   ]   =
        y     -    -    -    -   -   -   -   -   4

    Baseline: the value that is the likeliest of all expressions that fit, whatever their own lengths. It is
    measured on 10,000 expressions that are always the same: an accuracy of .13 for length 40, .14 for 500,
    .154 for 2001.

    Source: Nangia & Bowman 2018, "ListOps: A Diagnostic Dataset for Latent Tree Learning"; with
    shortest=500, lengths up to 2,000, depth 10 and 10 arguments, the distribution of Tay et al. 2021, "Long
    Range Arena".
    """

    arguments: int = 10
    depth: int = 10
    shortest: int = 0

    vocab = _END + 1
    out_size = 10
    own_lengths = True

    def __post_init__(self) -> None:
        check_int("arguments", self.arguments, 2)
        check_int("depth", self.depth, 2)
        check_int("shortest", self.shortest, 0)

    @property
    def min_length(self) -> int:
        """Returns the steps of the shortest expression: four symbols, or `shortest`, and the slot."""
        return max(4, self.shortest) + 1

    def counted(self, max_length: int) -> int:
        """Counts the last step."""
        return 1

    def steps(self, n: int) -> int:
        """Counts n symbols and the slot."""
        return n + 1

    def example(self, key, length, max_length):
        """Does what `Task.example` says: looks for a round from which an expression fits, then writes it."""

        def search(carry):
            begin, *state = carry
            state, _, _ = self._round(key, begin, state)
            at, _, due, *_ = state
            fits = (at + due <= length - 1) & ((due > 0) | (at >= self.shortest))
            return jax.tree.map(
                lambda on, anew: jnp.where(fits, on, anew),
                (begin, *state),
                (begin + at, *self._root()),
            )

        unfinished = lambda carry: carry[3] > 0
        start, size, *_ = lax.while_loop(unfinished, search, (jnp.int32(0), *self._root()))
        step = lambda state, _: (lambda state, *written: (state, written))(*self._round(key, start, state))
        _, (tokens, values) = lax.scan(step, self._root(), None, max_length)
        t = jnp.arange(max_length, dtype=jnp.int32)
        answer = jnp.full(max_length, values[size - 1])
        return jnp.where(t < size, tokens, _END), answer, t == size, size + 1

    def _root(self):
        """Returns the state before the first symbol: how many there are, the level, how many must come still,
        and of each level the operator, the arguments to come and how often each digit came as an argument."""
        levels = jnp.zeros(self.depth - 1, jnp.int32)
        counts = jnp.zeros((self.depth - 1, 10), jnp.int32)
        return jnp.int32(0), jnp.int32(-1), jnp.int32(1), levels, levels, counts

    def _round(self, key, begin, state):
        """Writes the symbol of round `begin` + those so far -> (the state, the symbol, the value that it
        closes)."""
        at, level, due, operators, missing, counts = state
        bits = jax.random.bits(jax.random.fold_in(key, begin + at), (4,), jnp.uint32)
        below = lambda bits, n: (bits % jnp.uint32(n)).astype(jnp.int32)
        operator, arguments, digit = (
            below(bits[1], 4),
            2 + below(bits[2], self.arguments - 1),
            below(bits[3], 10),
        )
        root, here = at == 0, jnp.maximum(level, 0)
        closes = ~root & (missing[here] == 0)
        opens = root | ((bits[0] < jnp.uint32(_OPERATOR * 2**32)) & (level < self.depth - 2) & ~closes)
        value = _value(operators[here], counts[here])
        symbol = jnp.where(closes, _CLOSE, jnp.where(opens, _MIN + operator, digit))
        # An argument arrives, at this level or, from below, at the one above.
        given, into = jnp.where(closes, value, digit), jnp.where(closes, level - 1, level)
        arrives = (~opens & (into >= 0)).astype(jnp.int32)
        counts = counts.at[jnp.maximum(into, 0)].add(arrives * jax.nn.one_hot(given, 10, dtype=jnp.int32))
        missing = missing.at[here].add(-(~root & ~closes).astype(jnp.int32))
        level = jnp.where(opens, level + 1, jnp.where(closes, level - 1, level))
        new = jnp.where(opens, level, self.depth)  # at a place that there is not, nothing is set
        operators = operators.at[new].set(operator, mode="drop")
        missing = missing.at[new].set(arguments, mode="drop")
        counts = counts.at[new].set(0, mode="drop")
        due = due + jnp.where(opens, arguments, -1)
        return (at + 1, level, due, operators, missing, counts), symbol, value

    def decode(self, ids: np.ndarray) -> str:
        """Does what `Task.decode` says."""
        return " ".join(_NAMES[i] for i in ids)

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses the likeliest value; see the class."""
        share = _shares(self.arguments, self.depth, self.shortest, length - 1)
        likeliest = float(share.max())
        positive = share[share > 0]
        return {
            "cross_entropy": float(-(positive * np.log(positive)).sum()),
            "accuracy": likeliest,
            "sequence_accuracy": likeliest,
        }


def _value(operator: jax.Array, counts: jax.Array) -> jax.Array:
    """Returns what an operator, 0 to 3, makes of so many of each digit [10], int32 []."""
    digits, below = jnp.arange(10, dtype=jnp.int32), jnp.cumsum(counts)
    n = below[-1]
    at = lambda place: (below <= place).sum(dtype=jnp.int32)  # the digit at this place of the sorted list
    middle = (at((n - 1) // 2) + at(n // 2)) // 2
    return jnp.stack([at(0), at(n - 1), middle, (digits * counts).sum(dtype=jnp.int32) % 10])[operator]


@functools.cache
def _shares(arguments: int, depth: int, shortest: int, size: int) -> np.ndarray:
    """Measures how often each digit is the value of an expression of `shortest` to `size` symbols."""
    chance = random.Random(0)
    counts = np.zeros(10)
    while counts.sum() < _DRAWN:
        tree = _tree(chance, arguments, depth, size, True)
        if tree is not None and tree[0] >= shortest:
            counts[tree[1]] += 1
    return counts / counts.sum()


def _tree(chance: random.Random, arguments: int, depth: int, size: int, root: bool) -> tuple[int, int] | None:
    """Draws a node of up to `depth` levels and `size` symbols -> (symbols, value); None: it does not fit."""
    if not root and (depth == 1 or chance.random() >= _OPERATOR):
        return (1, chance.randrange(10)) if size >= 1 else None
    count, operator = chance.randint(2, arguments), chance.randrange(4)
    used, values = 2, []
    for i in range(count):
        node = _tree(chance, arguments, depth - 1, size - used - (count - 1 - i), False)
        if node is None:
            return None
        used += node[0]
        values.append(node[1])
    if operator == 3:
        return used, sum(values) % 10
    values.sort()
    n = len(values)
    return used, (values[0], values[-1], (values[(n - 1) // 2] + values[n // 2]) // 2)[operator]
