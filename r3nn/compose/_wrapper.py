"""A composition around one cell."""

import dataclasses
from typing import ClassVar

from r3nn.cells import Cell
from r3nn.cells._base import Params, check_cell
from r3nn.cells._composition import Composition, run_part
from r3nn.time._noise import part


@dataclasses.dataclass(frozen=True)
class Wrapper(Composition):
    """A composition around one cell, which it is in all that a subclass does not change."""

    #: whether params are a NamedTuple of the subclass's own, whose field `cell` holds the inner cell's
    own_params: ClassVar[bool] = False
    #: whether the inner cell's products are the wrapper's too, and so all its modes. A subclass then changes
    #: `core` (elementwise) and `step` alike, and what the products read in `recur` and `products` alike
    structured: ClassVar[bool] = False
    cell: Cell

    def __post_init__(self):
        check_cell(self.cell)

    stepwise = property(lambda self: self.cell.stepwise)
    rerun = property(lambda self: self.cell.rerun)
    recurrence = property(lambda self: self.cell.recurrence if self.structured else "opaque")
    affine = property(lambda self: self.structured and self.cell.affine)
    bounds = property(lambda self: self.cell.bounds if self.structured else None)

    def inner(self, params: Params) -> Params:
        """The inner cell's part of the params."""
        return params.cell if self.own_params else params

    def _within(self, params, change):
        return params._replace(cell=change(params.cell)) if self.own_params else change(params)

    def inner_x(self, params: Params, x):
        """What the inner cell gets as x."""
        return part(self.cell, x)

    def init(self, key, in_size, hidden_size, **options):
        """The inner cell's params."""
        return self.cell.init(key, in_size, hidden_size, **options)

    def initial_state(self, params, batch_shape=()):
        """The inner cell's."""
        return self.cell.initial_state(self.inner(params), batch_shape)

    def prepare(self, params):
        """The inner cell's."""
        return self._within(params, self.cell.prepare)

    def lower(self, params, wrap):
        """The inner cell's."""
        return self._within(params, lambda params: self.cell.lower(params, wrap))

    def project(self, params, x):
        """The inner cell's."""
        return self.cell.project(self.inner(params), self.inner_x(params, x))

    def weights(self, params):
        """The inner cell's."""
        return self.cell.weights(self.inner(params))

    def recur(self, params, state, u):
        """The inner cell's."""
        return self.cell.recur(self.inner(params), state, u)

    def products(self, packed):
        """The inner cell's."""
        return self.cell.products(packed)

    def core(self, params, state, u, r):
        """The inner cell's."""
        return self.cell.core(self.inner(params), state, u, r)

    def step(self, params, state, u, call=run_part):
        """The inner cell's."""
        return call(self.cell, self.inner(params), state, u)

    def hidden(self, state):
        """The inner cell's."""
        return self.cell.hidden(state)

    def output(self, params, state, x):
        """The inner cell's."""
        return self.cell.output(self.inner(params), state, self.inner_x(params, x))

    def in_size(self, params):
        """The inner cell's."""
        return self.cell.in_size(self.inner(params))
