"""Defines modular arithmetic without brackets: what is a sum of products, modulo 5?"""

import dataclasses
import functools

import numpy as np

from r3nn._lookup import check_choice
from r3nn.tasks._base import Automaton
from r3nn.tasks._tracking import Machine

_MOD = 5
_PLUS, _MINUS, _TIMES, _EQUALS = range(_MOD, _MOD + 4)


@dataclasses.dataclass(frozen=True)
class ModularArithmetic(Machine):
    """What is the value of an expression of digits, +, - and *, modulo 5?

        x = d_1 o_1 d_2 o_2 .. d_k =        d ~ U{0 .. 4},  o ~ U{+, -, *}

    A * goes before + and -, so that two numbers have to be remembered, the total of the finished terms and
    the product of the present one. Inputs ids int32 [B, T]: the digits are 0 to 4, then +, -, * and =.
    Targets int32 [B, T] in [0, 5). With `labels="last"` the loss counts at the =, with "every" also at each
    digit, whose target is the value of the expression so far. The source's n, an odd number, is that of the
    symbols before the =: a sequence has n + 1 steps, and always an even number.

    Example, length 8:

        x    2   +   3   *   4   -   1   =
        y    2   -   0   -   4   -   3   3      2, 2 + 3, 2 + 3 * 4, 2 + 3 * 4 - 1

    Baseline: a value is 0 a little more often than others, by 3 * 0: the likeliest one is right with a chance
    of .2 for a digit, .253 for three symbols, .232 for five, and soon of .2 again. It is computed from the
    automaton.

    Source: Deletang et al. 2023, "Neural Networks and the Chomsky Hierarchy", where * goes before + too.
    """

    labels: str = "last"

    own_lengths = True
    min_length = 2

    def __post_init__(self) -> None:
        check_choice("labels", self.labels, ("last", "every"))

    def automaton(self) -> Automaton:
        """Returns the machine of 55 states.

        State 5t + f stands before a digit, t the total and f what it is multiplied by, signed; 25 + 5t + p
        behind one, p the product; 50 + v behind the =, v the value.
        """
        return _machine()

    def chances(self) -> np.ndarray:
        """Does what `Machine.chances` says: no = comes but at the end."""
        return _chances()[0]

    def endings(self) -> tuple[np.ndarray, ...]:
        """Does what `Machine.endings` says: the last step is the =."""
        return (_chances()[1],)

    def own(self, length):
        """Does what `Machine.own` says."""
        return length // 2 * 2

    def counts(self, t, length):
        """Does what `Machine.counts` says."""
        return t < length if self.labels == "every" else t == self.own(length) - 1

    def counted(self, max_length: int) -> int:
        """Counts the =, and with labels="every" each digit."""
        return 1 if self.labels == "last" else max_length // 2 + 1

    def steps(self, n: int) -> int:
        """Counts n symbols and the =."""
        return n + 1

    def decode(self, ids: np.ndarray) -> str:
        """Does what `Task.decode` says."""
        return "".join("01234+-*="[i] for i in ids)


@functools.cache
def _machine() -> Automaton:
    total, factor = (each.ravel() for each in np.divmod(np.arange(_MOD**2), _MOD))
    behind, end = _MOD**2, 2 * _MOD**2
    moves = np.full((end + _MOD, _EQUALS + 1), -1, np.int32)
    value = (total + factor) % _MOD  # where the factor is a product
    moves[:behind, :_MOD] = behind + _MOD * total[:, None] + factor[:, None] * np.arange(_MOD) % _MOD
    moves[behind:end, _PLUS] = _MOD * value + 1
    moves[behind:end, _MINUS] = _MOD * value + _MOD - 1
    moves[behind:end, _TIMES] = _MOD * total + factor
    moves[behind:end, _EQUALS] = end + value
    output = np.concatenate([np.full(behind, -1), value, np.arange(_MOD)]).astype(np.int32)
    return Automaton(moves, output, 1)


@functools.cache
def _chances() -> tuple[np.ndarray, np.ndarray]:
    """Returns those of all steps but the last, and those of the last."""
    allowed = (_machine().next >= 0).astype(float)
    last = allowed * (np.arange(_EQUALS + 1) == _EQUALS)
    allowed[:, _EQUALS] = 0
    return allowed / np.maximum(allowed.sum(axis=1, keepdims=True), 1), last
