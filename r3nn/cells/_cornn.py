"""Defines coRNN, the coupled oscillatory network."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from r3nn import initializers
from r3nn._serialize import serializable
from r3nn.cells._base import Array
from r3nn.cells._elman import ElmanGates
from r3nn.cells._gated import GatedCell


@serializable
class CoRNNState(NamedTuple):
    """Holds y [..., H], position and output, and z [..., H], velocity."""

    y: Array
    z: Array


@dataclasses.dataclass(frozen=True)
class CoRNN(GatedCell):
    """z_n = z_{n-1} + Δt (tanh(W y_{n-1} + W' z_{n-1} + V x_n + b) - γ y_{n-1} - ε z_{n-1})
    y_n = y_{n-1} + Δt z_n

    Oscillators y'' = tanh(W y + W' y' + V x + b) - γ y - ε y', a step of Δt at a time, with the damping term
    explicit; `activation` is that of the driving force. W is recurrent.y, W' is recurrent.z. The products
    read two different parts of the state: the cell is opaque. dt, gamma, epsilon: Δt, γ, ε; the defaults are
    the authors' for permuted MNIST; for adding they have 0.06, 66 and 15. Weights and bias start as
    U(-k, k), k = 1/√(D + 2H).
    Source: Rusch & Mishra 2021, "Coupled oscillatory recurrent neural network (coRNN)", arXiv 2010.00951,
    eq. 3, the explicit variant.
    """

    dt: float = 0.076
    gamma: float = 0.4
    epsilon: float = 8.0

    recurrence = "opaque"
    gates = ElmanGates

    def __post_init__(self):
        super().__post_init__()
        for name in ("dt", "gamma", "epsilon"):
            if not getattr(self, name) > 0:
                raise ValueError(f"cornn: {name}={getattr(self, name)} must be above 0.")

    def init(self, key, in_size, hidden_size, *, kernel_init=None, recurrent_init=None, **options):
        """Draws fresh parameters as `GatedCell.init` does."""
        draw = initializers.uniform(max(1, in_size + 2 * hidden_size) ** -0.5)
        starts = {"kernel_init": kernel_init or draw, "recurrent_init": recurrent_init or draw}
        params = super().init(key, in_size, hidden_size, **starts, **options)
        if params.bias is None:
            return params
        bias = params.bias.candidate
        return params._replace(bias=ElmanGates(draw(jax.random.fold_in(key, 1), bias.shape, bias.dtype)))

    def _init_recurrent(self, keys, hidden_size, draw, dtype):
        keys = jax.random.split(keys[0])
        return CoRNNState(*(self.reads.draw(draw, key, hidden_size, dtype) for key in keys))

    def _zero_state(self, batch_shape, hidden_size, dtype):
        y = super()._zero_state(batch_shape, hidden_size, dtype)
        return CoRNNState(y, jnp.zeros_like(y))

    def hidden(self, state):
        """Returns y, [..., H]."""
        return state.y

    def step(self, params, state, u):
        """Takes the two equations above."""
        (y, z), w = state, params.recurrent
        force = self.activation(u.candidate + y @ w.y + z @ w.z)
        z = z + self.dt * (force - self.gamma * y - self.epsilon * z)
        return CoRNNState(y + self.dt * z, z)


cornn = CoRNN()
