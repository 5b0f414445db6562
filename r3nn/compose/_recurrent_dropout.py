"""Defines `recurrent_dropout`: dropout of what a gated cell would write, not of what it remembers."""

import dataclasses

import jax

from r3nn.cells import Cell, GatedCell
from r3nn.cells._composition import run_part
from r3nn.compose._noisy import Noisy, check_rate, hidden_shape, innermost, with_functions
from r3nn.time._noise import bernoulli, fold


@dataclasses.dataclass(frozen=True)
class RecurrentDropout(Noisy):
    """Replaces the cell's candidate φ(a) by m ⊙ φ(a), m ~ Bernoulli(1 - rate) over 1 - rate, drawn anew at
    each step: LSTM c_t = f ⊙ c_{t-1} + i ⊙ (m ⊙ g), GRU h_t = z ⊙ h_{t-1} + (1 - z) ⊙ (m ⊙ n). φ is the
    cell's `activation`; one m serves both candidates of `lem`.

    Without noise: the cell itself (the paper divides nothing in training, and scales here instead). The
    mask is elementwise, so the cell keeps all its modes.
    Source: Semeniuta, Severyn & Barth 2016, arXiv 1603.05118, section 3.
    """

    rate: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        check_rate("recurrent_dropout rate", self.rate)
        if not isinstance(innermost(self.cell), GatedCell):
            raise TypeError(f"recurrent_dropout takes a gated cell, not {type(self.cell).__name__}.")
        if innermost(self.cell).activation is None:
            raise TypeError(_no_candidate(self.cell))

    @property
    def bounds(self):
        """Returns the inner cell's bounds, widened by 1 / (1 - rate), as m widens a candidate."""
        inner = self.cell.bounds
        return inner and tuple(bound / (1 - self.rate) for bound in inner)

    def initial_state(self, params, batch_shape=()):
        """Returns the inner cell's. Raises: TypeError unless hidden(state) is [*batch_shape, H]."""
        hidden_shape(self.cell, params)
        return super().initial_state(params, batch_shape)

    def draw(self, params, x):
        """Draws the mask m of one step, [..., H]. Raises: TypeError for a cell that has no candidate φ(a)."""
        self._check_candidate(params, x)
        h, keep = hidden_shape(self.cell, params), 1 - self.rate
        return bernoulli(fold(x.step, 1), keep, h.shape[-1], h.dtype) / keep

    def _check_candidate(self, params, x):
        calls = []
        cell = _with_candidate(self.cell, lambda a: calls.append(a) or a)

        def step(params, x):
            state = cell.initial_state(params, x.x.shape[:-1])
            return cell.step(params, state, cell.project(params, self.inner_x(params, x)))

        jax.eval_shape(step, params, x)
        if not calls:
            raise TypeError(_no_candidate(self.cell))

    def step(self, params, state, u, call=run_part):
        """Takes the inner cell's step, with m ⊙ φ for φ."""
        if u.drawn is None:
            return super().step(params, state, u, call)
        φ = innermost(self.cell).activation
        return call(_with_candidate(self.cell, lambda a: u.drawn * φ(a)), params, state, u.u)


def _with_candidate(cell: Cell, φ) -> Cell:
    """Returns the cell with φ for the activation of its candidate, and for no other."""
    return with_functions(cell, squash=innermost(cell).squash, activation=φ)


def _no_candidate(cell: Cell) -> str:
    return f"recurrent_dropout: {innermost(cell)} has no candidate φ(a) to drop."


def recurrent_dropout(cell: Cell, rate: float) -> RecurrentDropout:
    """Drops components of the gated cell's candidate.

    Raises: ValueError for a rate outside of [0, 1), TypeError for a cell that is not gated, or has no
      activation; when run, TypeError for a state that is not [H] per sequence.
    """
    return RecurrentDropout(cell, rate)
