"""Defines `residual`, which adds a cell's input to its output."""

import dataclasses

from r3nn._lookup import FieldError
from r3nn.cells import Cell
from r3nn.compose._wrapper import Wrapper
from r3nn.time._noise import bare, part


@dataclasses.dataclass(frozen=True)
class Residual(Wrapper):
    """y_t = cell(x_t) + x_t. Source: He et al. 2016, arXiv 1512.03385, eq. 1."""

    def init(self, key, in_size, hidden_size, **options):
        """Draws the inner cell's params. Raises: ValueError unless in_size equals hidden_size."""
        if in_size != hidden_size:
            raise FieldError("residual", f"residual: in_size={in_size} must equal hidden_size={hidden_size}.")
        return super().init(key, in_size, hidden_size, **options)

    def output(self, params, state, x):
        """Returns the inner output plus x, [..., H]."""
        return super().output(params, state, x) + bare(x)

    def unroll_parts(self, run, params, state, xs):
        """Runs all steps of the inner cell, then adds xs."""
        state, ys = run(self.cell, params, state, part(self.cell, xs))
        return state, ys + bare(xs)


def residual(cell: Cell) -> Residual:
    """Adds the cell's input to its output.

    Raises: TypeError for what is no cell; in `init`, ValueError unless in_size equals hidden_size.
    """
    return Residual(cell)
