"""Dropout of what a gated cell would write, not of what it remembers."""

import copy
import dataclasses

from r3nn.cells import Cell, GatedCell
from r3nn.compose._noisy import Noisy, check_rate, hidden_shape
from r3nn.compose._wrapper import Wrapper
from r3nn.time._noise import bernoulli, fold


@dataclasses.dataclass(frozen=True)
class RecurrentDropout(Noisy):
    """The cell with its candidate φ(a) replaced by m ⊙ φ(a), m ~ Bernoulli(1 - rate) over 1 - rate, drawn
    anew at each step: LSTM c_t = f ⊙ c_{t-1} + i ⊙ (m ⊙ g), GRU h_t = z ⊙ h_{t-1} + (1 - z) ⊙ (m ⊙ n).
    φ is the cell's `activation`; one m serves both candidates of `lem`.

    Without noise: the cell itself (the paper divides nothing in training, and scales here instead). The
    mask is elementwise, so the cell keeps all its modes.
    Source: Semeniuta, Severyn & Barth 2016, arXiv 1603.05118, section 3.
    """

    rate: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        check_rate("recurrent_dropout rate", self.rate)
        if not isinstance(_innermost(self.cell), GatedCell):
            raise TypeError(f"recurrent_dropout takes a gated cell, not {type(self.cell).__name__}")
        if _innermost(self.cell).activation is None:
            raise TypeError(_no_candidate(self.cell))

    @property
    def bounds(self):
        """The inner cell's, as far again as m stretches a candidate."""
        inner = self.cell.bounds
        return inner and tuple(bound / (1 - self.rate) for bound in inner)

    def initial_state(self, params, batch_shape=()):
        """The inner cell's. Raises: TypeError unless what it shows is [*batch_shape, H]."""
        hidden_shape(self.cell, params)
        return super().initial_state(params, batch_shape)

    def draw(self, params, x):
        """Draws the mask m of one step."""
        h, keep = hidden_shape(self.cell, params), 1 - self.rate
        return bernoulli(fold(x.step, 1), keep, h.shape[-1], h.dtype) / keep

    def core(self, params, state, u, r):
        """The inner cell's, with m ⊙ φ for φ."""
        return self._dropped(u, lambda cell: cell.core(params, state, u.u, r))

    def step(self, params, state, u):
        """The inner cell's, with m ⊙ φ for φ."""
        return self._dropped(u, lambda cell: cell.step(params, state, u.u))

    def _dropped(self, u, take):
        if u.drawn is None:
            return take(self.cell)
        φ, calls = _innermost(self.cell).activation, []
        new = take(_with_candidate(self.cell, lambda a: calls.append(a) or u.drawn * φ(a)))
        if not calls:
            raise TypeError(_no_candidate(self.cell))
        return new


def _innermost(cell: Cell) -> Cell:
    return _innermost(cell.cell) if isinstance(cell, Wrapper) else cell


def _no_candidate(cell: Cell) -> str:
    return f"recurrent_dropout: {_innermost(cell)} has no candidate φ(a) to drop"


def _with_candidate(cell: Cell, φ) -> Cell:
    """The cell with φ for its candidate's activation; not to be kept, or hashed.

    A copy in all else, which no `__post_init__` looks at: a wrapper sees the kind of cell that it was given.
    """
    twin = copy.copy(cell)
    if isinstance(cell, Wrapper):
        vars(twin).update(cell=_with_candidate(cell.cell, φ))
    else:
        vars(twin).update(squash=cell.activation, activation=φ)
    return twin


def recurrent_dropout(cell: Cell, rate: float) -> RecurrentDropout:
    """The gated cell with dropout of its candidate.

    Raises: ValueError for a rate outside of [0, 1), TypeError for a cell that is not gated, or has no
      activation; when run, TypeError for a state that is not [H] per sequence.
    """
    return RecurrentDropout(cell, rate)
