"""Defines the simple recurrent network."""

import dataclasses
from typing import NamedTuple

from r3nn._serialize import serializable
from r3nn.cells._base import Array
from r3nn.cells._gated import GatedCell


@serializable
class ElmanGates(NamedTuple):
    """Holds one array per pre-activation."""

    candidate: Array


@dataclasses.dataclass(frozen=True)
class Elman(GatedCell):
    """h_t = tanh(W x_t + U h_{t-1} + b)

    No gate: the whole state is rewritten at every step. Flax: SimpleCell.
    Source: Elman 1990, "Finding structure in time".
    """

    gates = ElmanGates
    bounds = (-1.0, 1.0)

    def core(self, params, state, u, r):
        """Takes the update above, elementwise."""
        return self.activation(u.candidate + r.candidate)


elman = Elman()
