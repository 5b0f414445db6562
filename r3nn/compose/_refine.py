"""Defines `refine`, by which a cell takes several steps within one time step."""

import dataclasses

from jax import lax

from r3nn._lookup import check_int
from r3nn.cells import Cell
from r3nn.compose._wrapper import Wrapper
from r3nn.time.arrays.trees import match_varying_axes


@dataclasses.dataclass(frozen=True)
class Refine(Wrapper):
    """Takes n steps of the cell for every time step, all on the same input (and with the same noise):

        s ← f(s, x_t)   n times;   y_t from the last

    Source: Graves 2016, arXiv 1603.08983, "Adaptive computation time", with a fixed number of ponder steps.
    """

    n: int

    def __post_init__(self):
        super().__post_init__()
        check_int("refine n", self.n, 1)

    def step(self, params, state, u):
        """Takes n inner steps on one u."""
        inner = lambda state, _: (self.cell.step(params, state, u), None)
        state, *_ = match_varying_axes(state, params, u)
        return lax.scan(inner, state, length=self.n)[0]


def refine(cell: Cell, n: int) -> Refine:
    """Takes n steps of the cell within each time step.

    Raises: ValueError for n below 1, TypeError for what is no cell.
    """
    return Refine(cell, n)
