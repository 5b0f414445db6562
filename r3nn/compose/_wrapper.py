"""Defines `Wrapper`, a composition of one cell."""

import dataclasses
from typing import ClassVar

from r3nn.cells import Cell
from r3nn.cells._base import Params, check_cell
from r3nn.cells._composition import Composition, prepare_part, run_part
from r3nn.time._noise import part


@dataclasses.dataclass(frozen=True)
class Wrapper(Composition):
    """A wrapper is a composition of one cell, and behaves as this cell in all that a subclass does not
    change."""

    #: whether params are a NamedTuple of the subclass's own, whose field `cell` holds the inner cell's
    own_params: ClassVar[bool] = False
    #: whether `step` does nothing beyond the inner cell's but elementwise, and affine in the state: the
    #: inner cell's recurrence, bounds and modes are then the wrapper's too
    elementwise: ClassVar[bool] = False
    cell: Cell

    def __post_init__(self):
        check_cell(self.cell)

    stepwise = property(lambda self: self.cell.stepwise)
    recurrence = property(lambda self: self.cell.recurrence if self.elementwise else "opaque")
    affine = property(lambda self: self.elementwise and self.cell.affine)
    bounds = property(lambda self: self.cell.bounds if self.elementwise else None)

    def inner(self, params: Params) -> Params:
        """Returns the inner cell's part of the params."""
        return params.cell if self.own_params else params

    def inner_x(self, params: Params, x):
        """Returns what the inner cell gets as x."""
        return part(self.cell, x)

    def init(self, key, in_size, hidden_size, **options):
        """Draws the inner cell's params."""
        return self.cell.init(key, in_size, hidden_size, **options)

    def initial_state(self, params, batch_shape=()):
        """Returns the inner cell's initial state."""
        return self.cell.initial_state(self.inner(params), batch_shape)

    def prepare(self, params, call=prepare_part):
        """Prepares the inner cell's params, through `call`."""
        inner = call(self.cell, self.inner(params))
        return params._replace(cell=inner) if self.own_params else inner

    def project(self, params, x):
        """Projects x as the inner cell does."""
        return self.cell.project(self.inner(params), self.inner_x(params, x))

    def step(self, params, state, u, call=run_part):
        """Takes the inner cell's step, through `call`."""
        return call(self.cell, self.inner(params), state, u)

    def hidden(self, state):
        """Reads h of the inner cell's state."""
        return self.cell.hidden(state)

    def output(self, params, state, x):
        """Returns the inner cell's output."""
        return self.cell.output(self.inner(params), state, self.inner_x(params, x))

    def in_size(self, params):
        """Returns the width of the inner cell's inputs."""
        return self.cell.in_size(self.inner(params))
