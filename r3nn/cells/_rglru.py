"""Defines Griffin's real-gated linear recurrent unit."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid, sigmoid

from r3nn._serialize import serializable
from r3nn.cells._affine import Affine, AffineCell
from r3nn.cells._base import Array, along
from r3nn.cells._gated import extended

C = 8.0  # the paper's constant c


@serializable
class RGLRUGates(NamedTuple):
    """Holds one array per pre-activation."""

    recurrence: Array
    input: Array
    candidate: Array


RGLRUParams = serializable(extended("RGLRUParams", __name__, "Adds Λ, [H], to `GatedParams`.", decay=Array))


@dataclasses.dataclass(frozen=True)
class RGLRU(AffineCell):
    """r_t = σ(W_a x_t + b_a)                                   recurrence gate   (1)
    i_t = σ(W_x x_t + b_x)                                   input gate        (2)
    a_t = a^{c r_t},  a = σ(Λ),  c = 8                                         (3)
    h_t = a_t ⊙ h_{t-1} + √(1 - a_t²) ⊙ (i_t ⊙ v_t)                            (4)

    v_t = W_v x_t + b_v is the gate `candidate`: in the paper v_t is x_t itself, behind a linear layer of the
    block around it, which here takes D inputs to H units. r = 0 *keeps* all. Λ starts such that a^c is
    U(0.9, 0.999).
    Source: De et al. 2024, "Griffin", arXiv 2402.19427, eq. 1 to 4; start of Λ: section 2.4.
    """

    gates = RGLRUGates

    def init(self, key, in_size, hidden_size, *, dtype=jnp.float32, **options):
        """Draws as `GatedCell.init` does, and Λ."""
        params = super().init(key, in_size, hidden_size, dtype=dtype, **options)
        kept = jax.random.uniform(jax.random.fold_in(key, 1), (hidden_size,), jnp.float32, 0.9, 0.999)
        return RGLRUParams(*params, jax.scipy.special.logit(kept ** (1 / C)).astype(dtype))

    def coefficients(self, params, gates):
        """Returns a_t and √(1 - a_t²) ⊙ i_t ⊙ v_t, [..., H] each."""
        log_a = C * sigmoid(gates.recurrence) * log_sigmoid(along(params.decay, gates.recurrence))
        # √ has no slope at 0, where r_t underflows.
        scale = jnp.sqrt(jnp.maximum(-jnp.expm1(2 * log_a), jnp.finfo(log_a.dtype).tiny))
        return Affine(jnp.exp(log_a), scale * sigmoid(gates.input) * gates.candidate)


rglru = RGLRU()
