"""Defines the long short-term memory cell."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jax.nn import sigmoid

from r3nn._serialize import serializable
from r3nn.cells._base import Array
from r3nn.cells._gated import GatedCell


@serializable
class LSTMGates(NamedTuple):
    """Holds one array per pre-activation."""

    input: Array
    forget: Array
    cell: Array
    output: Array


@serializable
class LSTMState(NamedTuple):
    """Holds h [..., H], the output, and c [..., H], the cell. (Flax's carry is (c, h).)"""

    h: Array
    c: Array


class HiddenAndCell:
    """Adds to a `GatedCell` that its state is (h, c), and that the recurrent products read h."""

    def _zero_state(self, batch_shape, hidden_size, dtype):
        h = super()._zero_state(batch_shape, hidden_size, dtype)
        return LSTMState(h, jnp.zeros_like(h))

    def hidden(self, state):
        """Returns h, [..., H]."""
        return state.h


@dataclasses.dataclass(frozen=True)
class LSTM(HiddenAndCell, GatedCell):
    """i_t = σ(W_i x_t + U_i h_{t-1} + b_i)
    f_t = σ(W_f x_t + U_f h_{t-1} + b_f)
    g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)
    o_t = σ(W_o x_t + U_o h_{t-1} + b_o)
    c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t
    h_t = o_t ⊙ tanh(c_t)

    f *keeps*, i *writes*. `activation` is that of g_t and of c_t, as in Flax and Keras. b_f starts at
    `forget_bias` = 1: the cell remembers before it knows what.
    Source: Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000; its bias:
    Jozefowicz, Zaremba & Sutskever 2015.
    """

    gates = LSTMGates
    keeps = ("forget",)
    writes = ("input",)

    def init(self, key, in_size, hidden_size, *, forget_bias=1.0, bias=True, chrono=None, **options):
        """Draws as `GatedCell.init` does; forget_bias: the start of b_f where chrono is not given."""
        params = super().init(key, in_size, hidden_size, bias=bias, chrono=chrono, **options)
        if not bias or chrono is not None:
            return params
        forget = jnp.full_like(params.bias.forget, forget_bias)
        return params._replace(bias=params.bias._replace(forget=forget))

    def core(self, params, state, u, r):
        """Takes the six equations above, elementwise."""
        i = sigmoid(u.input + r.input)
        f = sigmoid(u.forget + r.forget)
        g = self.activation(u.cell + r.cell)
        o = sigmoid(u.output + r.output)
        c = f * state.c + i * g
        return LSTMState(o * self.squash(c), c)


lstm = LSTM()
