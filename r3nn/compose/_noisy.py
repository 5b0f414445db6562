"""What the wrappers that draw noise share."""

import dataclasses
import numbers
from typing import Any, NamedTuple

import jax

from r3nn.cells._composition import run_part
from r3nn.compose._wrapper import Wrapper
from r3nn.time._noise import Keyed, part


class Drawn(NamedTuple):
    """What the inner cell makes of x, and the noise drawn for the step (None: no noise, its expectation)."""

    u: Any
    drawn: Any


@dataclasses.dataclass(frozen=True)
class Noisy(Wrapper):
    """A structured wrapper that draws noise for each step: u is `Drawn`."""

    noisy = True
    structured = True

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

    def recur(self, params, state, u):
        """Forms the inner cell's products, from its part of u."""
        return super().recur(params, state, u.u)

    def products(self, packed):
        """Has the inner cell's packed products read its part of u."""
        inner = super().products(packed)
        return inner._replace(of_u=lambda u: inner.of_u(u.u))

    def core(self, params, state, u, r):
        """Takes the rest of the inner cell's step, from its part of u."""
        return super().core(params, state, u.u, r)

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


def hidden_shape(cell, params) -> jax.ShapeDtypeStruct:
    """Of one sequence's hidden(state), [H], which no wrapper changes; params may be prepared.

    Raises: TypeError for another shape.
    """
    while isinstance(cell, Wrapper):
        cell, params = cell.cell, cell.inner(params)
    hidden = jax.eval_shape(lambda params: cell.hidden(cell.initial_state(params)), params)
    check_vector(cell, hidden.shape)
    return hidden
