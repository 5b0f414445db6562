"""Defines the gated recurrent unit, with the reset after or before the recurrent product."""

import dataclasses
from typing import NamedTuple

from jax.nn import sigmoid

from r3nn._serialize import serializable
from r3nn.cells._base import Array, plus
from r3nn.cells._gated import GatedCell


@serializable
class GRUGates(NamedTuple):
    """Holds one array per pre-activation."""

    reset: Array
    update: Array
    candidate: Array


@dataclasses.dataclass(frozen=True)
class GRU(GatedCell):
    """r_t = σ(W_r x_t + U_r h_{t-1} + b_r)
    z_t = σ(W_z x_t + U_z h_{t-1} + b_z)
    n_t = tanh(W_n x_t + b_n + r_t ⊙ (U_n h_{t-1} + b'_n))
    h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}

    z *keeps*; the reset comes after the product, so all products are one. The form of cuDNN, PyTorch,
    Flax and Keras (`reset_after=True`); b'_n is `recurrent_bias`.
    Source: Cho et al. 2014, arXiv 1406.1078, with the reset where cuDNN puts it.
    """

    gates = GRUGates
    keeps = ("update",)
    biased_recurrence = True
    bounds = (-1.0, 1.0)

    def core(self, params, state, u, r):
        """Takes the four equations above, elementwise."""
        reset = sigmoid(u.reset + r.reset)
        z = sigmoid(u.update + r.update)
        recurrent = plus(r.candidate, params.recurrent_bias)
        n = self.activation(u.candidate + reset * recurrent)
        return (1 - z) * n + z * state


@dataclasses.dataclass(frozen=True)
class GRUResetBefore(GatedCell):
    """r_t = σ(W_r x_t + U_r h_{t-1} + b_r)
    z_t = σ(W_z x_t + U_z h_{t-1} + b_z)
    n_t = tanh(W_n x_t + U_n (r_t ⊙ h_{t-1}) + b_n)
    h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}

    z *keeps*; the reset comes before the product, which therefore needs the gate first: two
    dependent products a step, and an opaque cell.
    Source: Cho et al. 2014, arXiv 1406.1078, eq. 5 to 8.
    """

    recurrence = "opaque"
    gates = GRUGates
    keeps = ("update",)
    bounds = (-1.0, 1.0)

    def step(self, params, state, u):
        """Takes the four equations above."""
        reset = sigmoid(u.reset + state @ params.recurrent.reset)
        z = sigmoid(u.update + state @ params.recurrent.update)
        n = self.activation(u.candidate + (reset * state) @ params.recurrent.candidate)
        return (1 - z) * n + z * state


gru = GRU()
"""The gated recurrent unit with the reset behind the recurrent product, as in cuDNN and Keras."""
gru_reset_before = GRUResetBefore()
"""The gated recurrent unit as first published: the reset before the recurrent product."""
