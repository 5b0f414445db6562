"""Defines the gated antisymmetric network, a stable differential equation in steps."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jax.nn import sigmoid

from r3nn import initializers
from r3nn._serialize import serializable
from r3nn.cells._base import Array, along
from r3nn.cells._elman import ElmanGates
from r3nn.cells._gated import GatedCell


@serializable
class AntisymmetricGates(NamedTuple):
    """Holds one array per pre-activation."""

    update: Array  # the paper's V_z, b_z
    candidate: Array  # the paper's V_h, b_h


@dataclasses.dataclass(frozen=True)
class Antisymmetric(GatedCell):
    """M = W - Wᵀ - γ I
    z_t = σ(M h_{t-1} + V_z x_t + b_z)
    h_t = h_{t-1} + ε z_t ⊙ tanh(M h_{t-1} + V_h x_t + b_h)

    An Euler step of ε for h' = z ⊙ tanh(M h + V x + b), where all eigenvalues of M have the real part -γ:
    what is stored neither grows nor, for a small γ, decays. `prepare` makes Mᵀ of params.recurrent.candidate,
    which holds Wᵀ; the gate and the candidate read one product. At z = 0 the state is kept, but at 1 it is
    moved, not replaced: there is no gate for `chrono`. The state is [..., H], without bounds. epsilon, gamma:
    ε, γ; the defaults are ours, as the authors choose them anew for each task. W starts as N(0, 1/H).
    Source: Chang, Chen, Haber & Chi 2019, "AntisymmetricRNN: a dynamical system view on recurrent neural
    networks", arXiv 1902.09689: the network with gating.
    """

    epsilon: float = 0.1
    gamma: float = 0.01

    gates = AntisymmetricGates
    recurrent_init = staticmethod(initializers.lecun_normal)

    def __post_init__(self):
        super().__post_init__()
        if not self.epsilon > 0:
            raise ValueError(f"antisymmetric: epsilon={self.epsilon} must be above 0.")
        if not self.gamma >= 0:
            raise ValueError(f"antisymmetric: gamma={self.gamma} must be at least 0.")

    def _init_recurrent(self, keys, hidden_size, draw, dtype):
        return ElmanGates(self.reads.draw(draw, keys[0], hidden_size, dtype))

    def prepare(self, params):
        """Computes Mᵀ from Wᵀ."""
        w = params.recurrent.candidate
        eye = along(jnp.eye(w.shape[-1], dtype=w.dtype), w)
        return params._replace(recurrent=ElmanGates(w - w.mT - self.gamma * eye))

    def core(self, params, state, u, r):
        """Takes the second and third equation above, elementwise."""
        z = sigmoid(r.candidate + u.update)
        return state + self.epsilon * z * self.activation(r.candidate + u.candidate)


antisymmetric = Antisymmetric()
