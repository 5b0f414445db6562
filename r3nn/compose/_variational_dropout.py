"""Defines `variational_dropout`: dropout with one mask for all steps of a sequence."""

import dataclasses

import jax

from r3nn.cells import Cell
from r3nn.cells._composition import original, run_part
from r3nn.compose._noisy import Noisy, check_rate, hidden_shape, innermost, with_functions
from r3nn.time._noise import Keyed, bernoulli, fold, put


@dataclasses.dataclass(frozen=True)
class VariationalDropout(Noisy):
    """Runs the cell on x_t ⊙ m_x, and its recurrent products on h_{t-1} ⊙ m_h, with masks m ~ Bernoulli(1 -
    rate) over 1 - rate, drawn once per sequence, anew at a reset. Without noise it is the cell itself.

    The masks are elementwise, so the cell keeps all its modes.
    Source: Gal & Ghahramani 2016, arXiv 1512.05287, section 4.2, with one mask for all gates.
    """

    rate: float = 0.0
    recurrent_rate: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        check_rate("variational_dropout rate", self.rate)
        check_rate("variational_dropout recurrent_rate", self.recurrent_rate)
        if self.recurrent_rate and self.cell.recurrence in ("none", "opaque"):
            raise TypeError(
                f"variational_dropout recurrent_rate={self.recurrent_rate}: of {type(self.cell).__name__} no "
                "recurrent product is known that could read a masked h; it must be 0."
            )

    def _mask(self, keys, i, rate, size, dtype):
        return bernoulli(fold(keys, i), 1 - rate, size, dtype) / (1 - rate)

    def inner_x(self, params, x):
        """Masks the inputs: x_t ⊙ m_x, with the inner cell's keys."""
        if isinstance(x, Keyed) and self.rate:
            x = put(x, x.x * self._mask(x.sequence, 1, self.rate, x.x.shape[-1], x.x.dtype))
        return super().inner_x(params, x)

    def draw(self, params, x):
        """Draws the mask m_h, [..., H], the same at every step of a sequence."""
        if not self.recurrent_rate:
            return None
        h = hidden_shape(self.cell, params)
        return self._mask(x.sequence, 2, self.recurrent_rate, h.shape[-1], h.dtype)

    def step(self, params, state, u, call=run_part):
        """Takes the inner cell's step, with recurrent products that read h ⊙ m_h."""
        if u.drawn is None:
            return super().step(params, state, u, call)
        cell, m = innermost(self.cell), u.drawn

        def recur(params, state, u):
            """Reads h ⊙ m_h wherever `recur` looks at the state, by `hidden` or by itself."""
            h = original(cell).hidden(state)
            return cell.recur(params, jax.tree.map(lambda s: s * m if s is h else s, state), u)

        masked = with_functions(self.cell, hidden=lambda s: cell.hidden(s) * m, recur=recur)
        return call(masked, params, state, u.u)

    def unroll_parts(self, run, params, state, xs):
        """Masks all inputs at once, then runs all steps of the inner cell; None, where h is masked too."""
        return None if self.recurrent_rate else run(self.cell, params, state, self.inner_x(params, xs))


def variational_dropout(cell: Cell, rate: float = 0.0, recurrent_rate: float = 0.0) -> VariationalDropout:
    """Drops components of the cell's input, and of the h that its recurrent products read.

    Raises: ValueError for rates outside of [0, 1), TypeError for a recurrent_rate where no product is known.
    """
    return VariationalDropout(cell, rate, recurrent_rate)
