"""Defines the minimal GRU and LSTM, whose gates do not see the state."""

import dataclasses
from typing import NamedTuple

from jax.nn import log_sigmoid, sigmoid

from r3nn._serialize import serializable
from r3nn.cells._affine import Affine, AffineCell
from r3nn.cells._base import Array
from r3nn.cells._ugrnn import UGRNNGates


@dataclasses.dataclass(frozen=True)
class MinGRU(AffineCell):
    """z_t = σ(W_z x_t + b_z)
    h̃_t = W_h x_t + b_h
    h_t = (1 - z_t) ⊙ h_{t-1} + z_t ⊙ h̃_t

    z *writes*. Neither gate nor candidate sees h, and the candidate has no tanh: affine in h.
    Source: Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, "Were RNNs all we needed?", arXiv 2410.01201,
    section 3.1.
    """

    gates = UGRNNGates
    writes = ("update",)

    def coefficients(self, params, gates):
        """Returns 1 - z, and z ⊙ h̃."""
        return Affine(sigmoid(-gates.update), sigmoid(gates.update) * gates.candidate)


@serializable
class MinLSTMGates(NamedTuple):
    """Holds one array per pre-activation."""

    input: Array
    forget: Array
    candidate: Array


@dataclasses.dataclass(frozen=True)
class MinLSTM(AffineCell):
    """f_t = σ(W_f x_t + b_f)
    i_t = σ(W_i x_t + b_i)
    h̃_t = W_h x_t + b_h
    h_t = f_t / (f_t + i_t) ⊙ h_{t-1} + i_t / (f_t + i_t) ⊙ h̃_t

    f *keeps*, i *writes*; the division makes the sizes of states independent of the length.
    Source: Feng et al. 2024, arXiv 2410.01201, section 3.2.
    """

    gates = MinLSTMGates
    keeps = ("forget",)
    writes = ("input",)

    def coefficients(self, params, gates):
        """Returns f / (f + i) = σ(log f - log i), finite where both gates are 0; and its complement ⊙ h̃."""
        odds = log_sigmoid(gates.forget) - log_sigmoid(gates.input)
        return Affine(sigmoid(odds), sigmoid(-odds) * gates.candidate)


mingru = MinGRU()
"""The minimal GRU: gate and candidate see the input alone."""
minlstm = MinLSTM()
"""The minimal LSTM: two gates, which sum to one, and the candidate see the input alone."""
