"""Defines LrcSSM's cell: a liquid-resistance liquid-capacitance unit that reads itself alone."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import sigmoid

from r3nn import initializers
from r3nn._serialize import serializable
from r3nn.cells._base import Array, Cell, along, check_sizes, plus


@serializable
class LRCSynapses(NamedTuple):
    """Holds an array for each of the two currents."""

    forget: Array  # of f
    update: Array  # of z


@serializable
class LRCRecurrent(NamedTuple):
    """Holds an array for each product with h."""

    synapse: Array  # a_h
    elastance: Array  # a_ε


@serializable
class LRCParams(NamedTuple):
    """Holds the parameters; those of a unit are vectors [H]."""

    slope: Array  # a_x, [D]
    shift: Array  # μ_x, [D]
    input: LRCSynapses  # W_f and W_z, [D, H]
    recurrent: LRCRecurrent
    synapse_bias: Array  # b_h
    elastance_bias: Array  # b_ε
    strength: LRCSynapses  # w_f and w_z
    leak: LRCSynapses  # g_f and g_z
    reversal: Array  # e
    initial: Array | None  # the learned state before the first step, or None for zeros


@dataclasses.dataclass(frozen=True)
class LRC(Cell):
    """f_t = W_f σ(a_x ⊙ (x_t - μ_x)) + w_f ⊙ σ(a_h ⊙ h_{t-1} + b_h) + g_f       forget conductance
    z_t = W_z σ(a_x ⊙ (x_t - μ_x)) + w_z ⊙ σ(a_h ⊙ h_{t-1} + b_h) + g_z       update conductance
    ε_t = σ(a_ε ⊙ h_{t-1} + b_ε)                                              elastance
    h_t = h_{t-1} + Δt ε_t ⊙ (-σ(f_t) ⊙ h_{t-1} + tanh(z_t) ⊙ e)

    An explicit Euler step of Δt for a neuron whose resistance and capacitance depend on its own state and on
    the input. ε = 0 *keeps*. All weights of h are vectors, so that the Jacobian is diagonal, which makes
    Newton over time exact. The state is [..., H]; it is within |e| / σ(f), and so has no fixed bounds. dt:
    Δt, in (0, 1]. All parameters start as U(-1/√H, 1/√H), as in the authors' program.

    What differs from the paper: its output layers and complex variant are left out; so is the symmetric
    elastance, a difference of two sigmoids. b_h is the product -a_h μ_h there, and g_f and g_z are one vector
    in the authors' program.
    Source: Farsang, Hasani, Rus & Grosu 2025, "Scaling up liquid-resistance liquid-capacitance networks for
    efficient sequence modeling", arXiv 2505.21717 (LrcSSM); the neuron: Farsang, Neubauer & Grosu 2024,
    "Liquid resistance liquid capacitance networks", arXiv 2403.08791.
    """

    dt: float = 1.0

    recurrence = "diagonal"

    def __post_init__(self):
        if not 0 < self.dt <= 1:
            raise ValueError(f"lrc: dt={self.dt} must be above 0 and at most 1.")

    def init(self, key, in_size, hidden_size, *, learn_initial: bool = False, dtype=jnp.float32) -> LRCParams:
        """Draws fresh parameters. Raises: ValueError for sizes below 1."""
        check_sizes(key, in_size, hidden_size)
        draw, keys = initializers.uniform(hidden_size**-0.5), iter(jax.random.split(key, 13))
        drawn = lambda *shape: draw(next(keys), shape, dtype)
        units = lambda: drawn(hidden_size)
        return LRCParams(
            slope=drawn(in_size),
            shift=drawn(in_size),
            input=LRCSynapses(drawn(in_size, hidden_size), drawn(in_size, hidden_size)),
            recurrent=LRCRecurrent(units(), units()),
            synapse_bias=units(),
            elastance_bias=units(),
            strength=LRCSynapses(units(), units()),
            leak=LRCSynapses(units(), units()),
            reversal=units(),
            initial=jnp.zeros(hidden_size, dtype) if learn_initial else None,
        )

    def initial_state(self, params, batch_shape=()):
        """Returns zeros [*batch_shape, H], or the learned state broadcast to the batch."""
        shape = (*batch_shape, params.reversal.shape[0])
        if params.initial is None:
            return jnp.zeros(shape, params.reversal.dtype)
        return jnp.broadcast_to(params.initial, shape)

    def project(self, params, x):
        """Computes what x [..., D] adds to f and z, [..., H] each."""
        seen = sigmoid(along(params.slope, x) * (x - along(params.shift, x)))
        return LRCSynapses(*(plus(seen @ w, g) for w, g in zip(params.input, params.leak, strict=True)))

    def recur(self, params, state, u):
        """Computes a_h ⊙ h and a_ε ⊙ h, [..., H] each."""
        return LRCRecurrent(*(along(a, state) * state for a in params.recurrent))

    def core(self, params, state, u, r):
        """Takes the four equations above, elementwise."""
        w = LRCSynapses(*(along(w, state) for w in params.strength))
        synapse = sigmoid(plus(r.synapse, params.synapse_bias))
        f = u.forget + w.forget * synapse
        z = u.update + w.update * synapse
        elastance = sigmoid(plus(r.elastance, params.elastance_bias))
        current = -sigmoid(f) * state + jnp.tanh(z) * along(params.reversal, state)
        return state + self.dt * elastance * current

    def in_size(self, params):
        """Returns D, the width of the inputs that these params take."""
        return params.slope.shape[0]


lrc = LRC()
