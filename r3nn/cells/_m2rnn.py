"""Defines M²RNN: a matrix-valued state, nonlinear and gated."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import sigmoid

from r3nn._lookup import FieldError, check_int
from r3nn._serialize import serializable
from r3nn.cells._base import Array
from r3nn.cells._gated import GatedCell


@serializable
class M2RNNGates(NamedTuple):
    """Holds one array per pre-activation, for n heads of K keys and V = H / n values."""

    query: Array  # [..., n*K]
    key: Array  # [..., n*K]
    forget: Array  # [..., n]
    value: Array  # [..., n*V]


class M2RNNInput(NamedTuple):
    """Holds all that a step reads of its input x_t."""

    write: Array  # k_t v_tᵀ, [..., n, K, V]
    forget: Array  # f_t, [..., n, 1, 1]


@dataclasses.dataclass(frozen=True)
class M2RNN(GatedCell):
    """q_t, k_t, v_t = W_q x_t + b_q, W_k x_t + b_k, W_v x_t + b_v
    f_t = σ(W_f x_t + b_f), a number
    Z_t = tanh(S_{t-1} W + k_t v_tᵀ)
    S_t = f_t S_{t-1} + (1 - f_t) Z_t
    y_t = S_tᵀ q_t

    for each of n heads, S [K, V]; f *keeps*; `activation` is that of Z_t. A key writes its value into rows of
    its own and a query reads it back: recall by a state of K numbers per unit, which, unlike linear
    attention's, passes a nonlinearity at every step. state [..., n, K, V], outputs [..., H = n*V]. heads: n,
    which must divide H; keys: K. (The paper's f_t is a power α of a sigmoid; α = 1 here. Convolutions, gates
    and skips around y belong to its block.)
    Source: Mishra, Tan, Stoica, Gonzalez & Dao 2026, "M²RNN: non-linear RNNs with matrix-valued states for
    scalable language modeling", arXiv 2603.14360.
    """

    heads: int = 1
    keys: int = 16

    recurrence = "opaque"
    bounds = (-1.0, 1.0)  # convex in S and a tanh
    gates = M2RNNGates
    keeps = ("forget",)

    def __post_init__(self):
        super().__post_init__()
        check_int("m2rnn: heads", self.heads, 1)
        check_int("m2rnn: keys", self.keys, 1)

    def _widths(self, hidden_size):
        if hidden_size % self.heads:
            what = f"hidden_size={hidden_size}: must be a multiple of the {self.heads} heads."
            raise FieldError("hidden_size", what)
        keys = self.heads * self.keys
        return M2RNNGates(query=keys, key=keys, forget=self.heads, value=hidden_size)

    def _init_recurrent(self, keys, hidden_size, draw, dtype):
        d = hidden_size // self.heads
        return jax.vmap(lambda key: draw(key, (d, d), dtype))(jax.random.split(keys[0], self.heads))

    def _hidden_size(self, params):
        return params.input.value.shape[-1]

    def _zero_state(self, batch_shape, hidden_size, dtype):
        return jnp.zeros((*batch_shape, self.heads, self.keys, hidden_size // self.heads), dtype)

    def _by_head(self, a):
        return a.reshape(*a.shape[:-1], self.heads, a.shape[-1] // self.heads)

    def project(self, params, x):
        """Computes all of a step but the recurrence: [..., D] -> k vᵀ and f."""
        k, v, f = (self._by_head(self._of_input(params, gate, x)) for gate in ("key", "value", "forget"))
        return M2RNNInput(k[..., :, None] * v[..., None, :], sigmoid(f)[..., None])

    def step(self, params, state, u):
        """Takes the third and fourth equation above."""
        z = self.activation(state @ params.recurrent + u.write)
        return u.forget * state + (1 - u.forget) * z

    def output(self, params, state, x):
        """Computes y = Sᵀ q, [..., H]."""
        q = self._by_head(self._of_input(params, "query", x))
        y = jnp.einsum("...k,...kv->...v", q, state)
        return y.reshape(*y.shape[:-2], y.shape[-2] * y.shape[-1])


m2rnn = M2RNN()
