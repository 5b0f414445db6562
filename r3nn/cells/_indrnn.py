"""Defines the independently recurrent network, in which each unit sees itself alone."""

import dataclasses
from collections.abc import Callable

import jax

from r3nn import initializers
from r3nn.cells._activations import activation_field
from r3nn.cells._base import Array
from r3nn.cells._elman import ElmanGates
from r3nn.cells._gated import Dense, Diagonal, GatedCell


@dataclasses.dataclass(frozen=True)
class IndRNN(GatedCell):
    """h_t = relu(W x_t + u ⊙ h_{t-1} + b)

    No gate, u a vector: units mix in the next layer's W alone. `activation` is relu here. u starts as
    U(0, 1), so that units have memories of all lengths; trained beyond |u| = 1, a unit grows as |u|^T.
    Source: Li, Li, Cook, Zhu & Gao 2018, "Independently recurrent neural network", arXiv 1803.04831, eq. 2.
    """

    reads: Dense = dataclasses.field(default=Diagonal(), kw_only=True)
    activation: Callable[[Array], Array] = activation_field(jax.nn.relu)

    gates = ElmanGates
    recurrent_init = staticmethod(initializers.unit_uniform)

    def core(self, params, state, u, r):
        """Takes the update above, elementwise."""
        return self.activation(u.candidate + r.candidate)


indrnn = IndRNN()
