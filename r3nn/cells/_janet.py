"""Defines JANET, the LSTM with its forget gate alone."""

import dataclasses
import math
from typing import NamedTuple

import jax.numpy as jnp
from jax.nn import sigmoid

from r3nn._serialize import serializable
from r3nn.cells._base import Array
from r3nn.cells._gated import GatedCell


@serializable
class JANETGates(NamedTuple):
    """Holds one array per pre-activation."""

    forget: Array  # the paper's U_f, W_f, b_f
    candidate: Array  # the paper's U_c, W_c, b_c


@dataclasses.dataclass(frozen=True)
class JANET(GatedCell):
    """s_t = U_f h_{t-1} + W_f x_t + b_f
    c̃_t = tanh(U_c h_{t-1} + W_c x_t + b_c)
    c_t = σ(s_t) ⊙ c_{t-1} + (1 - σ(s_t - β)) ⊙ c̃_t
    h_t = c_t

    σ(s) *keeps*; the state is one, [..., H]. beta: β, at least 0. A β above 0 writes a little more than is
    forgotten, so that |c| stays within e^β, not 1. The authors start b_f by `chrono`, up to the length of
    the sequences, and b_c at 0.
    Source: van der Westhuizen & Lasenby 2018, "The unreasonable effectiveness of the forget gate", arXiv
    1804.04849, with the β = 1 of their experiments.
    """

    beta: float = 1.0

    gates = JANETGates
    keeps = ("forget",)

    def __post_init__(self):
        if not 0 <= self.beta < math.inf:
            raise ValueError(f"janet: beta={self.beta} must be at least 0, and finite.")
        if self.activation is jnp.tanh:
            # σ(s) e^β + (1 - σ(s - β)) <= e^β, as
            # (1 - σ(s - β)) / (1 - σ(s)) = (1 + e^s) / (1 + e^{s - β}) <= e^β.
            object.__setattr__(self, "bounds", (-math.exp(self.beta), math.exp(self.beta)))
        super().__post_init__()

    def core(self, params, state, u, r):
        """Takes the equations above, elementwise."""
        s = u.forget + r.forget
        candidate = self.activation(u.candidate + r.candidate)
        return sigmoid(s) * state + (1 - sigmoid(s - self.beta)) * candidate


janet = JANET()
