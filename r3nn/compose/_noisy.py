"""What the wrappers that draw noise share."""

import copy
import dataclasses
import numbers
from typing import Any, NamedTuple

import jax

from r3nn.cells import Cell
from r3nn.cells._composition import run_part
from r3nn.compose._wrapper import Wrapper
from r3nn.time._noise import Keyed, part


class Drawn(NamedTuple):
    """What the inner cell makes of x, and the noise drawn for the step (None: no noise, its expectation)."""

    u: Any
    drawn: Any


@dataclasses.dataclass(frozen=True)
class Noisy(Wrapper):
    """A wrapper that draws noise for each step, and uses it elementwise: u is `Drawn`."""

    noisy = True
    elementwise = True

    def draw(self, params, x: Keyed):
        """The noise of a step: u.drawn. From x.step and x.sequence, each folded by 1, 2, ...: the inner cell
        draws from the same, folded by 0."""
        raise NotImplementedError(f"{type(self).__name__}.draw")

    def inner_x(self, params, x):
        """x, with the inner cell's keys."""
        return part(self.cell, x, 0)

    def project(self, params, x):
        """The inner projection, and the noise."""
        u = super().project(params, x)
        return Drawn(u, self.draw(params, x) if isinstance(x, Keyed) else None)

    def step(self, params, state, u, call=run_part):
        """Takes the inner cell's step, from its part of u."""
        return super().step(params, state, u.u, call)


def check_rate(field: str, rate) -> None:
    """Raises ValueError, in one sentence, unless `rate` is a number in [0, 1)."""
    number = isinstance(rate, numbers.Real) and not isinstance(rate, bool)
    if not (number and 0 <= rate < 1):
        raise ValueError(f"{field} must be a number at least 0 and below 1, got {rate!r}.")


def check_vector(cell, shape) -> None:
    """Raises TypeError, in one sentence, unless a state of this shape, of one sequence, is [H]."""
    if len(shape) != 1:
        raise TypeError(f"noise of units takes a cell whose state is [H] per sequence: {cell} has {shape}")


def innermost(cell: Cell) -> Cell:
    """The cell in all wrappers."""
    return innermost(cell.cell) if isinstance(cell, Wrapper) else cell


def altered(cell: Cell, **functions) -> Cell:
    """The cell with other functions for methods of the innermost one, such as hidden=...; for the step at
    hand: not to be kept, or hashed.

    A copy in all else, which no `__post_init__` looks at: a wrapper sees the kind of cell that it was given.
    """
    twin = copy.copy(cell)
    vars(twin).update({"cell": altered(cell.cell, **functions)} if isinstance(cell, Wrapper) else functions)
    return twin


def hidden_shape(cell, params) -> jax.ShapeDtypeStruct:
    """Of one sequence's hidden(state), [H], which no wrapper changes; params may be prepared.

    Raises: TypeError for another shape.
    """
    while isinstance(cell, Wrapper):
        cell, params = cell.cell, cell.inner(params)
    hidden = jax.eval_shape(lambda params: cell.hidden(cell.initial_state(params)), params)
    check_vector(cell, hidden.shape)
    return hidden
