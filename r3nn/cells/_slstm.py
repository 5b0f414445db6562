"""Defines xLSTM's scalar LSTM: exponential gates, kept finite by a stabiliser."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jax.nn import log_sigmoid, sigmoid

from r3nn._serialize import serializable
from r3nn.cells._base import Array
from r3nn.cells._lstm import LSTM

# Of m before the first step: below every gate, and finite. At 0 the first step could be 0 / 0; -inf would
# make inf - inf in a derivative. float16 has no such number: half of its lowest, so that a gate can add.
NOTHING = -1e30


@serializable
class SLSTMState(NamedTuple):
    """Holds h, the output, cell c and normaliser n in units of e^m, and the stabiliser m: [..., H] each."""

    h: Array
    c: Array
    n: Array
    m: Array


@dataclasses.dataclass(frozen=True)
class SLSTM(LSTM):
    """ĩ_t = W_i x_t + U_i h_{t-1} + b_i,  f̃_t, z̃_t, õ_t likewise
    z_t = tanh(z̃_t),  o_t = σ(õ_t)
    m_t = max(log σ(f̃_t) + m_{t-1}, ĩ_t)
    i_t = exp(ĩ_t - m_t),  f_t = exp(log σ(f̃_t) + m_{t-1} - m_t)
    c_t = f_t ⊙ c_{t-1} + i_t ⊙ z_t
    n_t = f_t ⊙ n_{t-1} + i_t
    h_t = o_t ⊙ c_t / n_t

    f *keeps*, i *writes*; z is the gate `cell`; `activation` is that of z_t alone. c/n is a weighted mean of
    all z so far and does not depend on m, which only keeps i = exp(ĩ) from overflowing. Of the paper's two
    forget gates this is the sigmoid, the one in the authors' code. `heads(slstm, n)` has the paper's
    block-diagonal recurrence. A learned first state is h and c, with n = 1 and m = 0.
    Source: Beck et al. 2024, "xLSTM: extended long short-term memory", arXiv 2405.04517, eq. 8 to 17.
    """

    def initial_state(self, params, batch_shape=()):
        """Returns the state of nothing yet (n = 0, m = `NOTHING`), [*batch_shape, H], or the learned h and c
        with n = 1, m = 0."""
        h, c = super().initial_state(params, batch_shape)
        nothing = max(NOTHING, float(jnp.finfo(h.dtype).min) / 2)
        n, m = (0, nothing) if params.initial is None else (1, 0)
        return SLSTMState(h, c, jnp.full_like(h, n), jnp.full_like(h, m))

    def core(self, params, state, u, r):
        """Takes the equations above, elementwise."""
        log_f = log_sigmoid(u.forget + r.forget)
        log_i = u.input + r.input
        m = jnp.maximum(log_f + state.m, log_i)
        i, f = jnp.exp(log_i - m), jnp.exp(log_f + state.m - m)
        c = f * state.c + i * self.activation(u.cell + r.cell)
        n = f * state.n + i
        return SLSTMState(sigmoid(u.output + r.output) * c / n, c, n, m)


slstm = SLSTM()
