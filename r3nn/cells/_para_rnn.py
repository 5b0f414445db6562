"""Defines ParaRNN's GRU and LSTM, whose recurrent weights are vectors, so that a step is elementwise."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import sigmoid

from r3nn import initializers
from r3nn._serialize import serializable
from r3nn.cells._base import Array, along
from r3nn.cells._gated import Dense, Diagonal, GatedCell, extended
from r3nn.cells._gru import GRUGates
from r3nn.cells._lstm import HiddenAndCell, LSTMState


@dataclasses.dataclass(frozen=True)
class ParaCell(GatedCell):
    """Has vectors for recurrent weights: a gated cell in which each unit reads itself alone."""

    reads: Dense = dataclasses.field(default=Diagonal(), kw_only=True)

    bounds = (-1.0, 1.0)

    def init(self, key, in_size, hidden_size, *, recurrent_std: float | None = None, **options):
        """Draws as `GatedCell.init` does. recurrent_std: of the recurrent vectors' normal draw; None: 1/√H.

        The larger, the more nonlinear in time, and the more Newton iterations; chaotic from about 4 on.
        """
        if recurrent_std is not None:
            options["recurrent_init"] = initializers.normal(recurrent_std)
        return super().init(key, in_size, hidden_size, **options)


@dataclasses.dataclass(frozen=True)
class DiagonalGRU(ParaCell):
    """z_t = σ(a_z ⊙ h_{t-1} + B_z x_t + b_z)
    r_t = σ(a_r ⊙ h_{t-1} + B_r x_t + b_r)
    h̃_t = tanh(a_h ⊙ h_{t-1} ⊙ r_t + B_h x_t + b_h)
    h_t = (1 - z_t) ⊙ h_{t-1} + z_t ⊙ h̃_t

    z *writes*. The a are vectors, `recurrent`: units mix in the next layer's B alone, and the Jacobian is
    diagonal, which makes Newton over time exact.
    Source: Danieli et al. 2025, "ParaRNN", arXiv 2510.21450, eq. 3.1a with the diagonal A of 3.3.
    """

    gates = GRUGates
    writes = ("update",)

    def core(self, params, state, u, r):
        """Takes the four equations above, elementwise. h is convex in h_{t-1} and h̃: [-1, 1] is kept."""
        z = sigmoid(u.update + r.update)
        reset = sigmoid(u.reset + r.reset)
        candidate = self.activation(u.candidate + r.candidate * reset)
        return (1 - z) * state + z * candidate


@serializable
class DiagonalLSTMGates(NamedTuple):
    """Holds one array per pre-activation."""

    forget: Array
    cell: Array
    output: Array


@serializable
class Peepholes(NamedTuple):
    """Holds the weights p_f and p_o, [H] each."""

    forget: Array
    output: Array


DiagonalLSTMParams = serializable(
    extended("DiagonalLSTMParams", __name__, "Adds the peepholes to `GatedParams`.", peephole=Peepholes)
)


@dataclasses.dataclass(frozen=True)
class DiagonalLSTM(HiddenAndCell, ParaCell):
    """f_t = σ(a_f ⊙ h_{t-1} + p_f ⊙ c_{t-1} + B_f x_t + b_f)
    z_t = tanh(a_z ⊙ h_{t-1} + B_z x_t + b_z)
    c_t = f_t ⊙ c_{t-1} + (1 - f_t) ⊙ z_t
    o_t = σ(a_o ⊙ h_{t-1} + p_o ⊙ c_t + B_o x_t + b_o)
    h_t = o_t ⊙ tanh(c_t)

    f *keeps*, and its complement writes (the gates are coupled); z is the gate `cell`; `activation` is that
    of z_t and of c_t. a and the peepholes p are vectors: the Jacobian has a 2 x 2 block per unit.
    Source: Danieli et al. 2025, "ParaRNN", arXiv 2510.21450, eq. 3.1b with the diagonal A and C of 3.3;
    coupled gates and peepholes: Greff et al. 2017.
    """

    gates = DiagonalLSTMGates
    keeps = ("forget",)

    def init(self, key, in_size, hidden_size, *, recurrent_std=None, dtype=jnp.float32, **options):
        """Draws as `ParaCell.init` does; recurrent_std is of the peepholes, too."""
        options |= {"recurrent_std": recurrent_std, "dtype": dtype}
        params = super().init(key, in_size, hidden_size, **options)
        draw = self.reads.default if recurrent_std is None else initializers.normal(recurrent_std)
        keys = jax.random.split(jax.random.fold_in(key, 1))
        return DiagonalLSTMParams(*params, Peepholes(*(draw(k, (hidden_size,), dtype) for k in keys)))

    def core(self, params, state, u, r):
        """Takes the five equations above, elementwise. c is convex in c_{t-1} and z, and |h| < |c|: [-1, 1]
        is kept."""
        p = Peepholes(*(along(p, state.c) for p in params.peephole))
        f = sigmoid(u.forget + r.forget + p.forget * state.c)
        z = self.activation(u.cell + r.cell)
        c = f * state.c + (1 - f) * z
        o = sigmoid(u.output + r.output + p.output * c)
        return LSTMState(o * self.squash(c), c)


diagonal_gru = DiagonalGRU()
"""ParaRNN's GRU: recurrent weights are vectors, so that a step is elementwise."""
diagonal_lstm = DiagonalLSTM()
"""ParaRNN's LSTM: recurrent weights are vectors, so that a step is elementwise."""
