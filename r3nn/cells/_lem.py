"""Defines long expressive memory: two states on two learned time scales."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jax.nn import sigmoid

from r3nn import initializers
from r3nn._serialize import serializable
from r3nn.cells._base import Array
from r3nn.cells._gated import GatedCell


@serializable
class LEMGates(NamedTuple):
    """Holds one array per pre-activation."""

    z_step: Array
    y_step: Array
    z: Array
    y: Array


@serializable
class LEMState(NamedTuple):
    """Holds y [..., H], the output, and z [..., H]."""

    y: Array
    z: Array


@dataclasses.dataclass(frozen=True)
class LEM(GatedCell):
    """Δt_n = Δt σ(W_1 y_{n-1} + V_1 x_n + b_1)
    Δt'_n = Δt σ(W_2 y_{n-1} + V_2 x_n + b_2)
    z_n = (1 - Δt_n) ⊙ z_{n-1} + Δt_n ⊙ tanh(W_z y_{n-1} + V_z x_n + b_z)
    y_n = (1 - Δt'_n) ⊙ y_{n-1} + Δt'_n ⊙ tanh(W_y z_n + V_y x_n + b_y)

    Both steps *write*; in params Δt_n is `z_step` and Δt'_n is `y_step`. y needs the new z: two dependent
    products, and an opaque cell. `activation` is that of z and y alike. dt: Δt, the longest step, in (0, 1];
    the authors have 0.0242 for the adding problem. Weights and biases start as U(-1/√H, 1/√H).
    Source: Rusch, Mishra, Erichson & Mahoney 2022, "Long expressive memory for sequence modeling",
    arXiv 2110.04744, eq. 3.
    """

    dt: float = 1.0

    recurrence = "opaque"
    bounds = (-1.0, 1.0)  # both states are convex in themselves and a tanh, since Δt <= 1
    gates = LEMGates
    writes = ("z_step", "y_step")
    kernel_init = recurrent_init = bias_init = staticmethod(initializers.uniform(None))

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.dt <= 1:
            raise ValueError(f"lem: dt={self.dt} must be above 0 and at most 1.")

    def _zero_state(self, batch_shape, hidden_size, dtype):
        y = super()._zero_state(batch_shape, hidden_size, dtype)
        return LEMState(y, jnp.zeros_like(y))

    def hidden(self, state):
        """Returns y, [..., H]."""
        return state.y

    def step(self, params, state, u):
        """Takes the four equations above."""
        (y, z), w = state, params.recurrent
        z_step = self.dt * sigmoid(u.z_step + y @ w.z_step)
        y_step = self.dt * sigmoid(u.y_step + y @ w.y_step)
        z = (1 - z_step) * z + z_step * self.activation(u.z + y @ w.z)
        y = (1 - y_step) * y + y_step * self.activation(u.y + z @ w.y)
        return LEMState(y, z)


lem = LEM()
