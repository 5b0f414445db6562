"""Defines DeltaNet and gated DeltaNet: a matrix-valued state, written by the delta rule."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.nn import sigmoid

from r3nn._lookup import FieldError, check_int
from r3nn._serialize import serializable
from r3nn.cells._base import Array
from r3nn.cells._gated import GatedCell


@serializable
class DeltaNetGates(NamedTuple):
    """Holds one array per pre-activation, for n heads of K keys and V = H / n values."""

    query: Array  # [..., n*K]
    key: Array  # [..., n*K]
    value: Array  # [..., n*V]
    rate: Array  # [..., n]


@serializable
class GatedDeltaNetGates(NamedTuple):
    """Holds one array per pre-activation, for n heads of K keys and V = H / n values."""

    query: Array  # [..., n*K]
    key: Array  # [..., n*K]
    value: Array  # [..., n*V]
    rate: Array  # [..., n]
    decay: Array  # [..., n]


class DeltaNetInput(NamedTuple):
    """Holds all that a step reads of its input x_t."""

    key: Array  # k_t, [..., n, K]
    value: Array  # v_t, [..., n, V]
    rate: Array  # β_t, [..., n, 1, 1]
    decay: Array | None  # α_t, [..., n, 1, 1]; None where it is 1


@dataclasses.dataclass(frozen=True)
class DeltaNet(GatedCell):
    """q_t, v_t = W_q x_t + b_q, W_v x_t + b_v
    k_t = κ / √(|κ|² + 10⁻⁶),  κ = W_k x_t + b_k
    β_t = β_max σ(W_β x_t + b_β), a number
    S_t = S_{t-1} (I - β_t k_t k_tᵀ) + β_t v_t k_tᵀ
    y_t = S_t q_t

    for each of n heads, S [V, K]. At β = 1 the value at key k is replaced by v, at 0 nothing is written; at 2
    the component along k changes its sign, a reflection, products of which make permutations: this is why
    beta_max is 2, and 1 gives the first paper's cell. I - β k kᵀ has the eigenvalue 1 - β in [-1, 1], once,
    and 1 otherwise. state [..., n, V, K], outputs [..., H = n*V]. heads: n, which must divide H; keys: K.

    Nothing is read of the state but to carry it on, and S_t is affine in S_{t-1}; but its matrix mixes the
    components of a unit's row, so that a scan over diagonals does not run it: the cell is opaque, and
    `affine` is False. Its modes are the sequential ones, and newton with whole Jacobians, which does not pay.
    No gate keeps or replaces all of S: there is none for `chrono`.
    Convolutions, SiLU, and norms of q and y belong to the papers' block around it.
    Source: Yang, Wang, Zhang, Shen & Kim 2024, "Parallelizing linear transformers with the delta rule over
    sequence length", arXiv 2406.06484; β up to 2: Grazzi, Siems, Zela, Franke, Hutter & Pontil 2025,
    "Unlocking state-tracking in linear RNNs through negative eigenvalues", arXiv 2411.12537.
    """

    activation: None = dataclasses.field(default=None, init=False)
    heads: int = 1
    keys: int = 16
    beta_max: float = 2.0

    recurrence = "opaque"
    gates = DeltaNetGates

    def __post_init__(self):
        super().__post_init__()
        name = type(self).__name__
        check_int(f"{name}: heads", self.heads, 1)
        check_int(f"{name}: keys", self.keys, 1)
        if not 0 < self.beta_max <= 2:
            raise ValueError(f"{name}: beta_max={self.beta_max} must be above 0 and at most 2.")

    def _widths(self, hidden_size):
        if hidden_size % self.heads:
            what = f"hidden_size={hidden_size}: must be a multiple of the {self.heads} heads."
            raise FieldError("hidden_size", what)
        keys = self.heads * self.keys
        widths = {"query": keys, "key": keys, "value": hidden_size}
        return self.gates(*(widths.get(gate, self.heads) for gate in self.gates._fields))

    def _init_recurrent(self, keys, hidden_size, draw, dtype):
        return None

    def _hidden_size(self, params):
        return params.input.value.shape[-1]

    def _zero_state(self, batch_shape, hidden_size, dtype):
        return jnp.zeros((*batch_shape, self.heads, hidden_size // self.heads, self.keys), dtype)

    def _by_head(self, params, gate, x):
        a = self._of_input(params, gate, x)
        return a.reshape(*a.shape[:-1], self.heads, a.shape[-1] // self.heads)

    def project(self, params, x):
        """Computes k, v and β: [..., D] -> [..., n, K], [..., n, V], [..., n, 1, 1]."""
        k, v, rate = (self._by_head(params, gate, x) for gate in ("key", "value", "rate"))
        k = k * lax.rsqrt(jnp.sum(k * k, axis=-1, keepdims=True) + 1e-6)
        return DeltaNetInput(k, v, self.beta_max * sigmoid(rate)[..., None], None)

    def step(self, params, state, u):
        """Takes the fourth equation, as α S + β (v - α S k) kᵀ, which forms no matrix I - β k kᵀ."""
        kept = state if u.decay is None else u.decay * state
        k = jnp.expand_dims(u.key, -2)  # kᵀ, [..., n, 1, K]
        error = u.value - jnp.sum(kept * k, axis=-1)
        return kept + u.rate * error[..., None] * k

    def output(self, params, state, x):
        """Computes y = S q, [..., H]."""
        q = self._by_head(params, "query", x)
        y = jnp.einsum("...vk,...k->...v", state, q)
        return y.reshape(*y.shape[:-2], y.shape[-2] * y.shape[-1])


@dataclasses.dataclass(frozen=True)
class GatedDeltaNet(DeltaNet):
    """α_t = σ(W_α x_t + b_α), a number
    S_t = α_t S_{t-1} (I - β_t k_t k_tᵀ) + β_t v_t k_tᵀ

    and q, k, v, β, y as in `DeltaNet`, with the same fields. α, the gate `decay`, *keeps*: `chrono` sets its
    bias; what β writes comes on top. (The paper's α is Mamba 2's, the power of e to a rate times a softplus;
    it, too, is in (0, 1).)
    Source: Yang, Kautz & Hatamizadeh 2025, "Gated delta networks: improving Mamba2 with delta rule", arXiv
    2412.06464.
    """

    gates = GatedDeltaNetGates
    keeps = ("decay",)

    def project(self, params, x):
        """Computes k, v, β and α: [..., D] -> [..., n, K], [..., n, V], [..., n, 1, 1] twice."""
        decay = sigmoid(self._by_head(params, "decay", x))[..., None]
        return super().project(params, x)._replace(decay=decay)


deltanet = DeltaNet()
"""DeltaNet: a matrix-valued state, in which a key's value is replaced."""
gated_deltanet = GatedDeltaNet()
"""DeltaNet whose matrix decays by a number of the input."""
