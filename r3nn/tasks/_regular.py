"""Defines two regular tasks of Deletang et al. 2023: cycle navigation and even pairs."""

import dataclasses
import functools

import numpy as np

from r3nn._lookup import check_int
from r3nn.tasks._base import Automaton
from r3nn.tasks._tracking import Tracking


@dataclasses.dataclass(frozen=True)
class CycleNavigation(Tracking):
    """Where on a cycle of five places does a walk end, whose steps go back, stay or go on?

        x[t] ~ U{0, 1, 2},    y[t] = (y[t-1] + x[t] - 1) mod M,    y[-1] = 0,    M = `places`

    Inputs ids int32 [B, T] of three moves, targets int32 [B, T] in [0, M). `labels` and `words` as in
    `parity`.

    Example, length 5:

        x    2   2   0   1   0      on, on, back, stay, back
        y    1   2   1   1   0      labels="last": only the 0 at the end counts

    Baseline: the place that is likeliest after so many steps, which is 0; its chance falls from 1/3 after one
    step to 1/M. It is computed from the walk.

    Source: Deletang et al. 2023, "Neural Networks and the Chomsky Hierarchy".
    """

    places: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("places", self.places, 2, 720)

    def automaton(self) -> Automaton:
        """Returns the machine of M states, the places, which are their own outputs."""
        return _cycle(self.places)


@dataclasses.dataclass(frozen=True)
class EvenPairs(Tracking):
    """Are the pairs 01 and 10 together even in number, which is to say: is the last bit the first one?

        x[t] ~ U{0, 1},    y[t] = 1 if x[t] = x[0], else 0

    Inputs and targets int32 [B, T]. `labels` and `words` as in `parity`.

    Example, length 5, whose pairs are 10, 01, 11 and 10:

        x    1   0   1   1   0
        y    1   0   1   1   0      three of them unlike: the 0 at the end says odd

    Baseline: after one step the answer is 1; later the two are as likely: cross-entropy ln 2, accuracy 1/2.

    Source: Deletang et al. 2023, "Neural Networks and the Chomsky Hierarchy".
    """

    def automaton(self) -> Automaton:
        """Returns the machine of five states: before the first bit, and (first bit, last bit)."""
        return _pairs()


@functools.cache
def _cycle(places: int) -> Automaton:
    place = np.arange(places)
    moves = np.stack([place - 1, place, place + 1], axis=1) % places
    return Automaton(moves.astype(np.int32), place.astype(np.int32), 0)


@functools.cache
def _pairs() -> Automaton:
    # State 0 has seen nothing; 1 + 2 * first + last else.
    states = np.array([[1, 4], [1, 2], [1, 2], [3, 4], [3, 4]], np.int32)
    return Automaton(states, np.array([-1, 1, 0, 0, 1], np.int32), 0)
