"""Defines the article's gated unit, the update-gate RNN."""

import dataclasses
from typing import NamedTuple

from jax.nn import sigmoid

from r3nn._serialize import serializable
from r3nn.cells._base import Array
from r3nn.cells._gated import GatedCell


@serializable
class UGRNNGates(NamedTuple):
    """Holds one array per pre-activation."""

    update: Array  # the article's W_z, b_z
    candidate: Array  # the article's W_r, b_r


@dataclasses.dataclass(frozen=True)
class UGRNN(GatedCell):
    """z_t = σ(W_z·[h_{t-1}, x_t] + b_z)                 update gate       (3.1.1)
    h̃_t = tanh(W_r·[h_{t-1}, x_t] + b_r)              candidate state   (3.1.2)
    h_t = (1 - z_t) ⊙ h_{t-1} + z_t ⊙ h̃_t             new state         (3.1.3)

    z *writes*: at z = 1 the state is replaced. The article calls this unit a GRU and its gate binary;
    it is the UGRNN, and σ makes the gate soft. W·[h, x] is kept as `recurrent` (for h) and `input` (for x).
    Source: the article's 3.1; Collins, Sohl-Dickstein & Sussillo 2017, "Capacity and trainability in
    recurrent neural networks", whose gate g = 1 - z keeps.
    """

    gates = UGRNNGates
    writes = ("update",)
    bounds = (-1.0, 1.0)

    def core(self, params, state, u, r):
        """Takes (3.1.1) to (3.1.3), elementwise."""
        z = sigmoid(u.update + r.update)
        candidate = self.activation(u.candidate + r.candidate)
        return (1 - z) * state + z * candidate


ugrnn = UGRNN()
