"""The independently recurrent network: each unit sees itself alone."""

import dataclasses

import jax

from r3nn import initializers
from r3nn.cells._elman import ElmanGates
from r3nn.cells._gated import GatedCell
from r3nn.cells._reads import Dense, Diagonal


@dataclasses.dataclass(frozen=True)
class IndRNN(GatedCell):
    """h_t = relu(W x_t + u ⊙ h_{t-1} + b)

    No gate, u a vector: units mix in the next layer's W alone. u starts as U(0, 1), so that units have
    memories of all lengths; trained beyond |u| = 1, a unit grows as |u|^T.
    Source: Li, Li, Cook, Zhu & Gao 2018, "Independently recurrent neural network", arXiv 1803.04831, eq. 2.
    """

    reads: Dense = dataclasses.field(default=Diagonal(), kw_only=True)

    gates = ElmanGates
    recurrent_init = staticmethod(initializers.unit_uniform)

    def φ(self, a):
        """relu(a)."""
        return jax.nn.relu(a)

    def core(self, params, state, u, r):
        """The update above, elementwise."""
        return self.φ(u.candidate + r.candidate)


indrnn = IndRNN()
