"""Defines the flip-flop language: one bit of memory, which many distractions leave as it is."""

import dataclasses
import functools

import numpy as np

from r3nn._lookup import FieldError
from r3nn.tasks._base import Automaton
from r3nn.tasks._tracking import Machine

_WRITE, _READ, _IGNORE, _ZERO, _ONE = range(5)


@dataclasses.dataclass(frozen=True)
class FlipFlop(Machine):
    """What was the bit last written?

        x = i_1 b_1 i_2 b_2 .. i_k b_k          i_1 = w, i_k = r; others i, w, r: p, (1 - p)/2, (1 - p)/2

    p = `ignore`. Behind a w (write) and an i (ignore) the bit is uniform; behind an r (read) stands the bit
    behind the last w. Inputs ids int32 [B, T]: w r i 0 1 are 0 to 4. Targets int32 [B, T] of two classes: at
    each r, where alone the loss counts, the bit that comes next. A sequence has an even number of steps; the
    source has 512.

    Example, length 8:

        x    w   1   i   0   r   1   r   1
        y    -   -   -   -   1   -   1   -

    Baseline: each bit is fair: cross-entropy ln 2, accuracy 1/2; for sequence_accuracy, which is computed
    from the automaton, the same bit is guessed all through.

    Source: Liu et al. 2023, "Exposing Attention Glitches with Flip-Flop Language Modeling", arXiv 2306.00946:
    FFL(p), where p = .8 is trained on, .98 and .1 are the sparse and the dense test.
    """

    ignore: float = 0.8

    own_lengths = True
    min_length = 4

    def __post_init__(self) -> None:
        if (
            isinstance(self.ignore, bool)
            or not isinstance(self.ignore, int | float)
            or not 0 <= self.ignore <= 1
        ):
            raise FieldError("ignore", f"ignore must be a number from 0 to 1, got {self.ignore!r}.")

    def automaton(self) -> Automaton:
        """Returns the machine of eight states.

        0 is before the first instruction; m, which is 1 or 2, behind a bit, where m - 1 is in memory; 3
        behind a w; 3 + m behind an i, 5 + m behind an r.
        """
        return _machine()

    def chances(self) -> np.ndarray:
        """Does what `Machine.chances` says."""
        chances = super().chances().copy()
        chances[1:3, [_WRITE, _READ, _IGNORE]] = (1 - self.ignore) / 2, (1 - self.ignore) / 2, self.ignore
        return chances

    def endings(self) -> tuple[np.ndarray, ...]:
        """Does what `Machine.endings` says: the last instruction is r."""
        reads = self.chances()
        reads[1:3] = np.eye(_ONE + 1)[_READ]
        return reads, self.chances()

    def counted(self, max_length: int) -> int:
        """Bounds the reads: every other step, but for the first write."""
        return max_length // 2 - 1

    def own(self, length):
        """Does what `Machine.own` says."""
        return length // 2 * 2

    def decode(self, ids: np.ndarray) -> str:
        """Does what `Task.decode` says."""
        return "".join("wri01"[i] for i in ids)


@functools.cache
def _machine() -> Automaton:
    moves = np.full((8, _ONE + 1), -1, np.int32)
    moves[0, _WRITE] = 3
    moves[3, [_ZERO, _ONE]] = 1, 2
    for m in (1, 2):
        moves[m, [_WRITE, _READ, _IGNORE]] = 3, 5 + m, 3 + m
        moves[3 + m, [_ZERO, _ONE]] = m
        moves[5 + m, _ZERO + m - 1] = m
    return Automaton(moves, np.array([-1, -1, -1, -1, -1, -1, 0, 1], np.int32), 0)
