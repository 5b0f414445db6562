"""Defines UnICORNN, a network of undamped oscillators that do not see each other."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.nn import sigmoid

from r3nn import initializers
from r3nn._serialize import serializable
from r3nn.cells._base import Array, along
from r3nn.cells._cornn import CoRNNState
from r3nn.cells._elman import ElmanGates
from r3nn.cells._gated import Dense, Diagonal, GatedCell, extended

UnICORNNParams = serializable(
    extended("UnICORNNParams", __name__, "Adds c, [H], to `GatedParams`.", control=Array)
)


@dataclasses.dataclass(frozen=True)
class UnICORNN(GatedCell):
    """z_n = z_{n-1} - Δt σ(c) ⊙ (tanh(w ⊙ y_{n-1} + V x_n + b) + α y_{n-1})
    y_n = y_{n-1} + Δt σ(c) ⊙ z_n

    Oscillators without damping, whose energy is a Hamiltonian: the step keeps volumes in (y, z), so that no
    state is forgotten by contraction. `activation` is that of the force. The w are vectors, `recurrent`: a
    unit reads itself alone, and the Jacobian has a 2 x 2 block per unit. The state is a `CoRNNState` (y, z),
    [..., H] each, without bounds; the output is y. c [H], `control`, is learned and sets each unit's own time
    scale (the paper's σ̂ is σ). dt, alpha: Δt, α; the defaults are the authors' for permuted MNIST. The step
    is stable where Δt σ(c) √(α + w) < 2. As in the authors' program, w starts as U(0, 1), c as U(-0.1, 0.1),
    V as U(-k, k), k = √(6 / 65D), and b at 0.
    Source: Rusch & Mishra 2021, "UnICORNN: a recurrent model for learning very long time dependencies",
    arXiv 2103.05487.
    """

    reads: Dense = dataclasses.field(default=Diagonal(), kw_only=True)
    dt: float = 0.19
    alpha: float = 30.65

    gates = ElmanGates
    kernel_init = staticmethod(
        jax.nn.initializers.variance_scaling(2 / 65, "fan_in", "uniform", dtype=jnp.float32)
    )
    recurrent_init = staticmethod(initializers.unit_uniform)

    def __post_init__(self):
        super().__post_init__()
        if not self.dt > 0:
            raise ValueError(f"unicornn: dt={self.dt} must be above 0.")
        if not self.alpha >= 0:
            raise ValueError(f"unicornn: alpha={self.alpha} must be at least 0.")

    def init(self, key, in_size, hidden_size, *, dtype=jnp.float32, **options):
        """Draws as `GatedCell.init` does, and c."""
        params = super().init(key, in_size, hidden_size, dtype=dtype, **options)
        draw = initializers.uniform(0.1)
        return UnICORNNParams(*params, draw(jax.random.fold_in(key, 1), (hidden_size,), dtype))

    def _zero_state(self, batch_shape, hidden_size, dtype):
        y = super()._zero_state(batch_shape, hidden_size, dtype)
        return CoRNNState(y, jnp.zeros_like(y))

    def hidden(self, state):
        """Returns y, [..., H]."""
        return state.y

    def core(self, params, state, u, r):
        """Takes the two equations above, elementwise."""
        y, z = state
        step = self.dt * sigmoid(along(params.control, y))
        z = z - step * (self.activation(r.candidate + u.candidate) + self.alpha * y)
        return CoRNNState(y + step * z, z)


unicornn = UnICORNN()
