"""A cell that is another cell in all that it does not change."""

import dataclasses

from r3nn.cells import Cell
from r3nn.cells._base import Params, check_cell, in_turn
from r3nn.compose._composed import Composed
from r3nn.time._noise import part


@dataclasses.dataclass(frozen=True)
class Wrapper(Composed):
    """A cell that is another cell in all that a subclass does not change."""

    cell: Cell

    def __post_init__(self):
        check_cell(self.cell)

    stepwise = property(lambda self: self.cell.stepwise)
    rerun = property(lambda self: self.cell.rerun)

    def inner(self, params: Params) -> Params:
        """The inner cell's part of the params."""
        return params

    def init(self, key, in_size, hidden_size, **options):
        """The inner cell's params."""
        return self.cell.init(key, in_size, hidden_size, **options)

    def initial_state(self, params, batch_shape=()):
        """The inner cell's."""
        return self.cell.initial_state(self.inner(params), batch_shape)

    def prepare(self, params):
        """The inner cell's."""
        return self.cell.prepare(params)

    def lower(self, params, wrap):
        """The inner cell's."""
        return self.cell.lower(params, wrap)

    def project(self, params, x):
        """The inner cell's."""
        return self.cell.project(self.inner(params), part(self.cell, x))

    @in_turn()
    def step(self, params, state, u):
        """The inner cell's."""
        return self.cell.step(self.inner(params), state, u)

    def hidden(self, state):
        """The inner cell's."""
        return self.cell.hidden(state)

    def output(self, params, state, x):
        """The inner cell's."""
        return self.cell.output(self.inner(params), state, part(self.cell, x))

    def in_size(self, params):
        """The inner cell's."""
        return self.cell.in_size(self.inner(params))


class Holder(Wrapper):
    """A wrapper with params of its own: a NamedTuple, whose field `cell` holds the inner cell's."""

    def inner(self, params):
        """The inner cell's part."""
        return params.cell

    def prepare(self, params):
        """The inner cell's, inside."""
        return params._replace(cell=self.cell.prepare(params.cell))

    def lower(self, params, wrap):
        """The inner cell's, inside."""
        return params._replace(cell=self.cell.lower(params.cell, wrap))


class Structured(Wrapper):
    """A wrapper that leaves the inner cell its recurrent products, and so all its modes.

    A subclass may change `project`, `output`, and, alike, `core` (elementwise) and `step`; and what the
    products read, in `recur` and `products` alike.
    """

    recurrence = property(lambda self: self.cell.recurrence)
    affine = property(lambda self: self.cell.affine)
    bounds = property(lambda self: self.cell.bounds)

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
