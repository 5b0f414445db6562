"""Defines Dyck languages of bounded depth: which bracket may close now?"""

import dataclasses
import functools

import numpy as np

from r3nn._lookup import FieldError, check_int
from r3nn.tasks._base import Automaton
from r3nn.tasks._tracking import Machine

_MAX_STATES = 1500


@dataclasses.dataclass(frozen=True)
class Dyck(Machine):
    """Which bracket was the last to open of those that are still open, of k kinds and at most m at once?

    k = `kinds`, m = `depth`. Where nothing is open a bracket opens, where m are open the last one closes;
    else either comes with chance 1/2. Of those that open, each kind is as likely.

    Inputs ids int32 [B, T]: bracket i opens by id i and closes by id k + i. Targets int32 [B, T] of k + 1
    classes: the kind of bracket that may close next, or k where none is open; every step counts.

    Example, k = 2, m = 4, length 8, with ( for 0, [ for 1, ) for 2, ] for 3:

        x    (   [   [   ]   ]   )   [   ]
        y    0   1   1   1   0   2   1   2

    Baseline: the likeliest class after so many steps, which is computed from the automaton: "none" at an even
    number of steps if it is likelier than each kind, else any kind.

    Source: Hewitt et al. 2020, "RNNs Can Generate Bounded Hierarchical Languages with Optimal Memory": the
    language Dyck-(k, m), of which O(m log k) units are enough.
    """

    kinds: int = 2
    depth: int = 4

    def __post_init__(self) -> None:
        check_int("kinds", self.kinds, 1)
        check_int("depth", self.depth, 1)
        # The depth goes first: a power of a great one is a number nobody waits for.
        if self.depth > _MAX_STATES or sum(self.kinds**d for d in range(self.depth + 1)) > _MAX_STATES:
            what = f"depth={self.depth} of {self.kinds} kinds makes more than {_MAX_STATES} stacks"
            raise FieldError("depth", f"{what}: it must be smaller, or kinds must.")

    @property
    def metric(self) -> str:
        """Names the fraction of right steps."""
        return "accuracy"

    def automaton(self) -> Automaton:
        """Returns the machine whose states are the stacks, the shorter ones first."""
        return _machine(self.kinds, self.depth)

    def chances(self) -> np.ndarray:
        """Does what `Machine.chances` says."""
        allowed = self.automaton().next >= 0
        opens, closes = allowed[:, : self.kinds], allowed[:, self.kinds :]
        both = np.concatenate([opens / self.kinds, closes], axis=1)
        return both / both.sum(axis=1, keepdims=True)

    def decode(self, ids: np.ndarray) -> str:
        """Does what `Task.decode` says."""
        names = "([{<"[: self.kinds] + ")]}>"[: self.kinds] if self.kinds <= 4 else ""
        return "".join(names[i] for i in ids) if names else super().decode(ids)


@functools.cache
def _machine(kinds: int, depth: int) -> Automaton:
    stacks, new = [()], [()]
    for _ in range(depth):
        new = [(*stack, kind) for stack in new for kind in range(kinds)]
        stacks += new
    number = {stack: i for i, stack in enumerate(stacks)}
    moves = np.full((len(stacks), 2 * kinds), -1, np.int32)
    for i, stack in enumerate(stacks):
        for kind in range(kinds):
            moves[i, kind] = number.get((*stack, kind), -1)
        if stack:
            moves[i, kinds + stack[-1]] = number[stack[:-1]]
    return Automaton(moves, np.array([stack[-1] if stack else kinds for stack in stacks], np.int32), 0)
