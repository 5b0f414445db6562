"""Defines parity: one bit of state that every input can flip."""

import dataclasses
import functools

import numpy as np

from r3nn.tasks._base import Automaton
from r3nn.tasks._tracking import Tracking


@dataclasses.dataclass(frozen=True)
class Parity(Tracking):
    """Is the number of ones so far odd?

        x[t] ~ U{0, 1},    y[t] = (x[0] + ... + x[t]) mod 2

    Inputs and targets int32 [B, T]. `labels` says at which steps the loss counts: "last" (the
    published protocol; the targets of the other steps are there, unmasked) or "every". `words="mixed"` adds
    periodic, sparse and repeated words to the random ones.

    Example, length 5:

        x    1   0   1   1   0
        y    1   1   0   1   1      labels="last": only the 1 at the end counts

    Baseline: without the inputs the running parities are independent fair bits: cross-entropy
    ln 2, accuracy 1/2; all counted steps right with probability 1/2 ("last") or 2^-length
    ("every").

    Source: Minsky & Papert 1969, "Perceptrons"; as a test of length generalisation Deletang et al.
    2023, "Neural Networks and the Chomsky Hierarchy".
    """

    def automaton(self) -> Automaton:
        """Returns the machine of two states, which are their own outputs."""
        return _machine()


@functools.cache
def _machine() -> Automaton:
    return Automaton(np.array([[0, 1], [1, 0]], np.int32), np.arange(2, dtype=np.int32), 0)
