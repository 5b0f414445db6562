"""Defines the scaled Cayley orthogonal network."""

import dataclasses

import jax
import jax.numpy as jnp

from r3nn import initializers
from r3nn.cells._base import along, plus
from r3nn.cells._elman import ElmanGates
from r3nn.cells._gated import GatedCell


def orthogonal(skew, negative: float):
    """Computes (I + A)^{-1} (I - A) D for A = skew - skewᵀ: orthogonal, whatever skew [..., H, H].

    D: a diagonal of signs, the first H * negative of them -1; without it, no eigenvalue could be -1. Solved
    in float32 at least.
    """
    skew = skew.astype(initializers.solvable(skew.dtype))
    size = skew.shape[-1]
    eye, a = jnp.eye(size, dtype=skew.dtype), skew - skew.mT
    signs = jnp.where(jnp.arange(size) < round(size * negative), -1, 1).astype(skew.dtype)
    return jnp.linalg.solve(eye + a, eye - a) * along(signs, a)


def cayley(key, shape, dtype=jnp.float32):
    """Draws skew [H, H] such that the Cayley transform turns 2 x 2 blocks by angles that are U(0, π/2).

    Source: Helfrich et al. 2018: A = blocks [0, s; -s, 0], s = √((1 - cos t) / (1 + cos t)).
    """
    t = jax.random.uniform(key, (shape[0] // 2,), dtype, 0.0, jnp.pi / 2)
    s = jnp.tan(t / 2)  # the same number
    above = jnp.zeros(shape[0] - 1, dtype).at[::2].set(s / 2) if shape[0] > 1 else jnp.zeros(0, dtype)
    return jnp.diag(above, 1) - jnp.diag(above, -1)


def modrelu(z, bias):
    """Computes sign(z) relu(|z| + b): the sign of z stays, its size changes by b. Source: Arjovsky et al.
    2016."""
    return jnp.sign(z) * jax.nn.relu(plus(jnp.abs(z), bias))


@dataclasses.dataclass(frozen=True)
class ScoRNN(GatedCell):
    """W = (I + A)^{-1} (I - A) D,  A = S - Sᵀ
    h_t = modReLU(V x_t + W h_{t-1}; b)

    No gate; W stays orthogonal, so that what is stored keeps its size over any number of steps. `prepare`
    makes Wᵀ of params.recurrent.candidate, which holds S; b is in modReLU alone, which is part of the cell:
    there is no `activation`. negative: which part of D is -1.
    Source: Helfrich, Willmott & Ye 2018, "Orthogonal recurrent neural networks with scaled Cayley transform",
    arXiv 1707.09520; modReLU: Arjovsky, Shah & Bengio 2016, "Unitary evolution recurrent neural networks",
    arXiv 1511.06464.
    """

    activation: None = dataclasses.field(default=None, init=False)
    negative: float = 0.5

    gates = ElmanGates
    kernel_init = staticmethod(initializers.glorot_uniform)
    recurrent_init = staticmethod(cayley)
    bias_init = staticmethod(initializers.uniform(0.01))

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.negative <= 1:
            raise ValueError(f"scornn: negative={self.negative} must be from 0 to 1.")

    def prepare(self, params):
        """Computes Wᵀ from S."""
        w = orthogonal(params.recurrent.candidate, self.negative).mT
        return params._replace(recurrent=ElmanGates(w.astype(params.recurrent.candidate.dtype)))

    def project(self, params, x):
        """Computes V x, [..., H]."""
        return self.reads.extend_inputs(params, x, ElmanGates(x @ params.input.candidate))

    def core(self, params, state, u, r):
        """Takes the second equation above, elementwise."""
        return modrelu(u.candidate + r.candidate, params.bias and params.bias.candidate)


scornn = ScoRNN()
