"""Defines what the wrappers that draw noise share."""

import copy
import dataclasses
import numbers
from typing import Any, NamedTuple

import jax

from r3nn.cells import Cell
from r3nn.cells._composition import altered, run_part
from r3nn.compose._wrapper import Wrapper
from r3nn.time._noise import Keyed, part


class Drawn(NamedTuple):
    """Holds what the inner cell projects of x, and the noise drawn for the step; `drawn` is None where there
    is no noise, and the wrapper takes its expectation."""

    u: Any
    drawn: Any


@dataclasses.dataclass(frozen=True)
class Noisy(Wrapper):
    """A noisy wrapper draws noise for each step, and uses it elementwise. Its projected input is a
    `Drawn`."""

    noisy = True
    elementwise = True

    def draw(self, params, x: Keyed):
        """Draws the noise of a step, `u.drawn`, from the keys x.step and x.sequence, folded by 1, 2, ... The
        inner cell draws from the same keys, folded by 0."""
        raise NotImplementedError(f"{type(self).__name__}.draw must be given.")

    def inner_x(self, params, x):
        """Returns x, with the inner cell's keys."""
        return part(self.cell, x, 0)

    def project(self, params, x):
        """Projects x as the inner cell does, and draws the noise where x has keys."""
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
        raise TypeError(f"noise of units takes a cell whose state is [H] per sequence: {cell} has {shape}.")


def innermost(cell: Cell) -> Cell:
    """Returns the cell inside all wrappers."""
    return innermost(cell.cell) if isinstance(cell, Wrapper) else cell


def with_functions(cell: Cell, **functions) -> Cell:
    """Returns the cell with other functions for methods of the innermost one, by `altered`.

    No `__post_init__` runs on the copies of wrappers, so their checks have seen the cell as given.
    """
    if not isinstance(cell, Wrapper):
        return altered(cell, **functions)
    copied = copy.copy(cell)
    vars(copied).update(cell=with_functions(cell.cell, **functions))
    return copied


def hidden_shape(cell, params) -> jax.ShapeDtypeStruct:
    """Returns the shape of hidden(state) of one sequence, [H], which no wrapper changes; params may be
    prepared.

    Raises: TypeError for another shape.
    """
    cell, params = _unwrapped(cell, params)
    hidden = jax.eval_shape(lambda params: cell.hidden(cell.initial_state(params)), params)
    check_vector(cell, hidden.shape)
    return hidden


def state_shape(cell, params):
    """Returns the shapes of one sequence's state of the cell inside all wrappers, a tree; params may be
    prepared."""
    cell, params = _unwrapped(cell, params)
    return jax.eval_shape(cell.initial_state, params)


def _unwrapped(cell, params):
    """Returns the cell inside all wrappers, with its part of the params."""
    while isinstance(cell, Wrapper):
        cell, params = cell.cell, cell.inner(params)
    return cell, params
