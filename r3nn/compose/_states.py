"""Defines `with_states`, which puts out all states of a cell over time in place of its outputs."""

import dataclasses

from r3nn.cells._base import Cell
from r3nn.compose._wrapper import Wrapper


@dataclasses.dataclass(frozen=True)
class WithStates(Wrapper):
    """Puts out y_t = state_t, whole: a tree of [..., anything], such as the `LSTMState` of an lstm."""

    elementwise = True

    def output(self, params, state, x):
        """Returns the state as it is."""
        return state


def with_states(cell: Cell) -> WithStates:
    """Returns the cell with its state in place of its output y, so that `unroll` returns the states of all T
    steps.

    _, states = unroll(with_states(lstm), params, None, xs); states.c is [T, *batch, H]

    Params are the cell's. Leaves are those of `initial_state` behind T: of a deep cell [T, L, *batch, H].
    It takes every mode that the cell takes, and is the outermost: other compositions need outputs [..., H].

    Raises: TypeError for what is no cell.
    """
    return WithStates(cell)
