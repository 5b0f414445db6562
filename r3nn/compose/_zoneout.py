"""Defines `zoneout`, by which units keep their value by chance."""

import dataclasses
from typing import NamedTuple

import jax

from r3nn.cells import Cell
from r3nn.cells._base import Array
from r3nn.cells._composition import run_part
from r3nn.compose._noisy import Noisy, check_rate, check_vector, hidden_shape
from r3nn.time._noise import bernoulli, fold


class Keeps(NamedTuple):
    """Holds d_h and d_c, 1 where a unit keeps its value [..., H]; or, without noise, the rates of that."""

    h: Array | float
    c: Array | float | None


@dataclasses.dataclass(frozen=True)
class Zoneout(Noisy):
    """Mixes ĥ_t, ĉ_t, which the cell makes of h_{t-1}, c_{t-1}, with these, by d ~ Bernoulli(rate), anew at
    each step:

        h_t = d_h ⊙ h_{t-1} + (1 - d_h) ⊙ ĥ_t
        c_t = d_c ⊙ c_{t-1} + (1 - d_c) ⊙ ĉ_t          (of cells that have a c)

    Without noise d is its expectation, the rate. The mix is elementwise, so the cell keeps all its modes.
    Source: Krueger et al. 2017, arXiv 1606.01305, section 3.
    """

    h: float = 0.0
    c: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        check_rate("zoneout h", self.h)
        check_rate("zoneout c", self.c)

    def initial_state(self, params, batch_shape=()):
        """Returns the inner cell's. Raises: TypeError, ValueError unless it is h, or h and c, [*batch_shape,
        H]."""
        state = super().initial_state(params, batch_shape)
        if isinstance(state, tuple) and set(getattr(state, "_fields", ())) != {"h", "c"}:
            raise TypeError(f"zoneout takes a cell whose state is h, or h and c: {self.cell} has another.")
        if self.c and not isinstance(state, tuple):
            raise ValueError(f"zoneout c={self.c}: {type(self.cell).__name__} has no c.")
        for leaf in jax.tree.leaves(jax.eval_shape(super().initial_state, params)):
            check_vector(self.cell, leaf.shape)
        return state

    def draw(self, params, x):
        """Draws which units keep their values."""
        h = hidden_shape(self.cell, params)
        draw = lambda i, rate: bernoulli(fold(x.step, i), rate, h.shape[-1], h.dtype)
        return Keeps(draw(1, self.h), draw(2, self.c) if self.c else None)

    def step(self, params, state, u, call=run_part):
        """Mixes the states before and behind the inner cell's step, by the equations above."""
        return self._mix(state, super().step(params, state, u, call), u.drawn)

    def _mix(self, old, new, drawn):
        d = Keeps(self.h, self.c) if drawn is None else drawn
        mix = lambda d, old, new: d * old + (1 - d) * new
        if not isinstance(new, tuple):
            return mix(d.h, old, new)
        c = new.c if not self.c else mix(d.c, old.c, new.c)
        return new._replace(h=mix(d.h, old.h, new.h), c=c)


def zoneout(cell: Cell, h: float = 0.0, c: float = 0.0) -> Zoneout:
    """Lets each unit of the cell keep its h, and its c where it has one, with these probabilities.

    Raises: ValueError for rates outside of [0, 1), TypeError for what is no cell; when run, ValueError for
    c without a c, TypeError for a state that is neither h nor h and c, [H] each.
    """
    return Zoneout(cell, h, c)
