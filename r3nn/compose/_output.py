"""Defines `with_output`, which computes something at every step in place of a cell's output."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from r3nn._serialize import serializable
from r3nn.cells._base import Cell, Params
from r3nn.compose._wrapper import Wrapper
from r3nn.time._noise import bare, put


@serializable
class WithOutputParams(NamedTuple):
    """Holds the inner cell's params, and what f takes: any tree of arrays, or None."""

    cell: Params
    extra: Any = None


@dataclasses.dataclass(frozen=True)
class WithOutput(Wrapper):
    """Puts out y_t = f(extra, cell's y_t, rest of x_t), computed block by block in mode "chunked".

    f may return any tree of [..., anything]: a prediction, or a loss [...], so that a sequence of a million
    steps keeps a million numbers. What x_t holds beyond the D features of the cell, such as the
    targets of that loss, goes to f. Other arrays go in `extra`: a traced array that f closes over is an
    UnexpectedTracerError in mode "chunked", which "auto" picks too, where memory is given or scarce.
    """

    own_params = True
    elementwise = True
    f: Callable

    def init(self, key, in_size, hidden_size, **options):
        """Draws the inner cell's params, for its own D features; the caller sets `extra`."""
        return WithOutputParams(super().init(key, in_size, hidden_size, **options))

    def inner_x(self, params, x):
        """Returns the first D features of x, which are the inner cell's."""
        width, given = self.cell.in_size(params.cell), bare(x).shape[-1]
        if given < width:
            raise ValueError(f"with_output: xs has {given} features, and its cell takes the first {width}.")
        return super().inner_x(params, put(x, bare(x)[..., :width]))

    def output(self, params, state, x):
        """Computes f(extra, the inner output, the rest of x)."""
        y = super().output(params, state, x)
        return self.f(params.extra, y, bare(x)[..., self.cell.in_size(params.cell) :])

    def in_size(self, params):
        """Raises NotImplementedError: inputs may have any width from the inner cell's D on."""
        raise NotImplementedError("with_output: takes any width from its cell's on.")


def with_output(cell: Cell, f: Callable) -> WithOutput:
    """Returns the cell with f(extra, y, rest of x) in place of its output y; params: (cell's params, extra).

    unroll(with_output(gru, loss), WithOutputParams(params, readout), None, xs_and_targets, mode="chunked")

    Raises (when run): ValueError for xs narrower than the cell's D.
    """
    return WithOutput(cell, f)
