"""Defines the minimal gated unit, as published and with the reset after the product."""

import dataclasses
from typing import NamedTuple

from jax.nn import sigmoid

from r3nn._serialize import serializable
from r3nn.cells._base import Array, plus
from r3nn.cells._gated import GatedCell


@serializable
class MGUGates(NamedTuple):
    """Holds one array per pre-activation."""

    forget: Array
    candidate: Array


@dataclasses.dataclass(frozen=True)
class MGU(GatedCell):
    """f_t = σ(W_f x_t + U_f h_{t-1} + b_f)
    h̃_t = tanh(W_h x_t + U_h (f_t ⊙ h_{t-1}) + b_h)
    h_t = (1 - f_t) ⊙ h_{t-1} + f_t ⊙ h̃_t

    f *writes* (its name notwithstanding), and resets: the candidate's product needs f first, so the
    step holds two dependent products and is opaque.
    Source: Zhou, Wu, Zhang & Zhou 2016, "Minimal gated unit for recurrent neural networks", eq. 6.
    """

    recurrence = "opaque"
    gates = MGUGates
    writes = ("forget",)
    bounds = (-1.0, 1.0)

    def step(self, params, state, u):
        """Takes the three equations above."""
        f = sigmoid(u.forget + state @ params.recurrent.forget)
        candidate = self.activation(u.candidate + (f * state) @ params.recurrent.candidate)
        return (1 - f) * state + f * candidate


@dataclasses.dataclass(frozen=True)
class MGUResetAfter(GatedCell):
    """f_t = σ(W_f x_t + U_f h_{t-1} + b_f)
    h̃_t = tanh(W_h x_t + b_h + f_t ⊙ (U_h h_{t-1} + b'_h))
    h_t = (1 - f_t) ⊙ h̃_t + f_t ⊙ h_{t-1}

    f *keeps* and resets after the product, so all products are one. This is Flax's MGUCell; it is not
    `mgu` under a change of sign, since there the gate that resets writes.
    Source: after Zhou et al. 2016, in the form of flax.linen.MGUCell.
    """

    gates = MGUGates
    keeps = ("forget",)
    biased_recurrence = True
    bounds = (-1.0, 1.0)

    def core(self, params, state, u, r):
        """Takes the three equations above, elementwise."""
        f = sigmoid(u.forget + r.forget)
        recurrent = plus(r.candidate, params.recurrent_bias)
        candidate = self.activation(u.candidate + f * recurrent)
        return (1 - f) * candidate + f * state


mgu = MGU()
"""The minimal gated unit as published: one gate, which also resets the state before the product."""
mgu_reset_after = MGUResetAfter()
"""The minimal gated unit with the reset behind the recurrent product."""
