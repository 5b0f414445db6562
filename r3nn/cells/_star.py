"""Defines STAR, the stackable recurrent cell."""

import dataclasses
from typing import NamedTuple

from jax.nn import sigmoid

from r3nn._serialize import serializable
from r3nn.cells._base import Array
from r3nn.cells._gated import GatedCell


@serializable
class STARGates(NamedTuple):
    """Holds one array per pre-activation."""

    update: Array  # the paper's W_x, b_k
    candidate: Array  # the paper's W_z, b_z


@serializable
class STARRecurrent(NamedTuple):
    """Holds the one recurrent matrix: the candidate reads x alone."""

    update: Array  # the paper's W_h


@dataclasses.dataclass(frozen=True)
class STAR(GatedCell):
    """z_t = tanh(W_z x_t + b_z)
    k_t = σ(W_x x_t + W_h h_{t-1} + b_k)
    h_t = tanh((1 - k_t) ⊙ h_{t-1} + k_t ⊙ z_t)

    k *writes*; the outer tanh shrinks what is kept, at every step: at k = 0, h_t = tanh(h_{t-1}).
    `activation` is that of z_t and of h_t. The state is [..., H]. The candidate z reads x alone, so that
    there is one recurrent matrix, params.recurrent.update.
    Source: Turkoglu, D'Aronco, Wegner & Schindler 2019, "Gating revisited: deep multi-layer RNNs that can be
    trained", arXiv 1911.11033.
    """

    gates = STARGates
    writes = ("update",)
    bounds = (-1.0, 1.0)

    def _init_recurrent(self, keys, hidden_size, draw, dtype):
        return STARRecurrent(self.reads.draw(draw, keys[0], hidden_size, dtype))

    def core(self, params, state, u, r):
        """Takes the three equations above, elementwise."""
        z = self.activation(u.candidate)
        k = sigmoid(u.update + r.update)
        return self.squash((1 - k) * state + k * z)


star = STAR()
