"""Defines what those cells share that read their state only to carry it on: steps affine in the state."""

import dataclasses
from typing import NamedTuple

from r3nn.cells._base import Array
from r3nn.cells._gated import Dense, GatedCell, Unread


class Affine(NamedTuple):
    """Holds a step as a map of the state: h -> decay ⊙ h + drive, [..., H] each."""

    decay: Array
    drive: Array


@dataclasses.dataclass(frozen=True)
class AffineCell(GatedCell):
    """h_t = decay_t ⊙ h_{t-1} + drive_t, both of x_t alone: a subclass writes `coefficients`.

    No recurrent weights (params.recurrent is None), no activation; the time axis can be a prefix scan.
    """

    reads: Dense = dataclasses.field(default=Unread(), kw_only=True)
    activation: None = dataclasses.field(default=None, init=False)

    affine = True

    def _init_recurrent(self, keys, hidden_size, draw, dtype):
        return None

    def coefficients(self, params, gates) -> Affine:
        """Returns the `Affine` of one step, from its gates' pre-activations, [..., H] each."""
        raise NotImplementedError(f"{type(self).__name__}.coefficients must be given.")

    def project(self, params, x):
        """Makes decay and drive from x [..., D]: all of the step but the multiply-add itself."""
        return self.coefficients(params, super().project(params, x))

    def recur(self, params, state, u):
        """Returns (): the cell has no recurrent product."""
        return ()

    def core(self, params, state, u, r):
        """Takes the update above, elementwise."""
        return u.decay * state + u.drive
