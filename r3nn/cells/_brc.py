"""Defines the bistable recurrent cells, each of whose units remembers by itself."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jax.nn import sigmoid

from r3nn._serialize import serializable
from r3nn.cells._base import Array
from r3nn.cells._gated import Dense, Diagonal, GatedCell


@serializable
class BRCGates(NamedTuple):
    """Holds one array per pre-activation."""

    feedback: Array  # the paper's U_a
    update: Array  # the paper's U_c
    candidate: Array  # the paper's U


@serializable
class BRCRecurrent(NamedTuple):
    """Holds what two gates read of h; the candidate reads a ⊙ h, without weights."""

    feedback: Array  # the paper's w_a [H], or W_a [H, H]
    update: Array  # the paper's w_c [H], or W_c [H, H]


@dataclasses.dataclass(frozen=True)
class NBRC(GatedCell):
    """a_t = 1 + tanh(U_a x_t + W_a h_{t-1} + b_a)
    c_t = σ(U_c x_t + W_c h_{t-1} + b_c)
    h_t = c_t ⊙ h_{t-1} + (1 - c_t) ⊙ tanh(U x_t + a_t ⊙ h_{t-1} + b)

    c *keeps*. a, in (0, 2), is how strongly a unit feeds itself: above 1 it has two stable states, below 1
    it has one, and here the other units set it (they neuromodulate it). `activation` is that of the third
    equation; a keeps its tanh. The state is [..., H]. The paper's equations have no biases: `bias=False` at
    `init` has none either.
    Source: Vecoven, Ernst & Drion 2021, "A bio-inspired bistable recurrent cell allows for long-lasting
    memory", PLoS ONE 16(6), arXiv 2006.05252: the nBRC.
    """

    gates = BRCGates
    keeps = ("update",)
    bounds = (-1.0, 1.0)  # convex in h and a tanh

    def _init_recurrent(self, keys, hidden_size, draw, dtype):
        return BRCRecurrent(*(self.reads.draw(draw, key, hidden_size, dtype) for key in keys[:2]))

    def core(self, params, state, u, r):
        """Takes the three equations above, elementwise."""
        a = 1 + jnp.tanh(u.feedback + r.feedback)
        c = sigmoid(u.update + r.update)
        return c * state + (1 - c) * self.activation(u.candidate + a * state)


@dataclasses.dataclass(frozen=True)
class BRC(NBRC):
    """a_t = 1 + tanh(U_a x_t + w_a ⊙ h_{t-1} + b_a)
    c_t = σ(U_c x_t + w_c ⊙ h_{t-1} + b_c)
    h_t = c_t ⊙ h_{t-1} + (1 - c_t) ⊙ tanh(U x_t + a_t ⊙ h_{t-1} + b)

    The w are vectors, `recurrent`: a unit reads itself alone, and the Jacobian is diagonal. All else is as
    in `NBRC`.
    Source: Vecoven, Ernst & Drion 2021, arXiv 2006.05252: the BRC.
    """

    reads: Dense = dataclasses.field(default=Diagonal(), kw_only=True)


nbrc = NBRC()
"""The bistable recurrent cell whose units set each other's feedback and gate (neuromodulated)."""
brc = BRC()
"""The bistable recurrent cell, in which each unit reads itself alone."""
