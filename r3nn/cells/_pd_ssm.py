"""Defines PD-SSM: a linear state whose transition has one number in each column, where x chooses."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from r3nn import initializers
from r3nn._lookup import check_int
from r3nn._serialize import serializable
from r3nn.cells._base import Array
from r3nn.cells._gated import GatedCell


@serializable
class PDSSMGates(NamedTuple):
    """Holds one array per linear map of x."""

    select: Array  # the paper's S, [..., K]
    decay: Array  # [..., H]
    candidate: Array  # the paper's B, [..., H]


class PDSSMInput(NamedTuple):
    """Holds all that a step reads of its input x_t."""

    mixture: Array  # softmax(S x), [..., K]
    decay: Array  # the diagonal of D, [..., H]
    drive: Array  # B x, [..., H]


def hardmax(m):
    """Computes, of each column of m [..., H, H], 1 at the largest number and 0 elsewhere; the derivative is
    that of the column's softmax (straight through)."""
    soft = jax.nn.softmax(m, axis=-2)
    hard = jax.nn.one_hot(jnp.argmax(m, axis=-2), m.shape[-2], axis=-2, dtype=m.dtype)
    return jax.lax.stop_gradient(hard) + (soft - jax.lax.stop_gradient(soft))  # exactly `hard`, as x - x is 0


@dataclasses.dataclass(frozen=True)
class PDSSM(GatedCell):
    """P_t = hardmax(Σ_k softmax(S x_t + b_S)_k M_k), column by column
    D_t = diag(tanh(W_D x_t + b_D))
    h_t = P_t D_t h_{t-1} + B x_t + b_B

    M: K matrices [H, H], params.recurrent [K, H, H]. Each column of P has a single 1, so that P maps units to
    units, as the transition of an automaton does its states, and products of such matrices are such matrices.
    hardmax has the derivative of the softmax of a column. The state is [..., H]. dictionary: K. M starts as
    N(0, 1/H).

    h_t is affine in h_{t-1}, but P mixes units: the cell is opaque, and `affine` is False. Its modes are the
    sequential ones, and newton with whole Jacobians, which does not pay. There is no gate for `chrono`, and
    no bound, as P may add up several units in one.

    What differs from the paper: D is complex there, its magnitude and phase each a σ of a perceptron of two
    layers; it is real here, in (-1, 1), of one layer. S and B have biases here (`bias=False` at `init`:
    none); the first state is 0, not a unit vector, unless it is learned; the output is h itself, without the
    paper's layers around it.
    Source: Terzić, Menet, Hersche, Hofmann & Rahimi 2025, "Structured sparse transition matrices to enable
    state tracking in state-space models", arXiv 2509.22284.
    """

    activation: None = dataclasses.field(default=None, init=False)
    dictionary: int = 8

    recurrence = "opaque"
    gates = PDSSMGates
    recurrent_init = staticmethod(initializers.lecun_normal)

    def __post_init__(self):
        super().__post_init__()
        check_int("pd_ssm: dictionary", self.dictionary, 1)

    def _widths(self, hidden_size):
        return PDSSMGates(select=self.dictionary, decay=hidden_size, candidate=hidden_size)

    def _init_recurrent(self, keys, hidden_size, draw, dtype):
        keys = jax.random.split(keys[0], self.dictionary)
        return jax.vmap(lambda key: draw(key, (hidden_size, hidden_size), dtype))(keys)

    def _hidden_size(self, params):
        return params.input.candidate.shape[-1]

    def project(self, params, x):
        """Computes all that is of x alone but P: [..., D] -> [..., K], [..., H], [..., H]. P [..., H, H] is
        made in the step, so that there is one at a time."""
        of_x = super().project(params, x)
        return PDSSMInput(jax.nn.softmax(of_x.select, axis=-1), jnp.tanh(of_x.decay), of_x.candidate)

    def step(self, params, state, u):
        """Takes the equations above."""
        p = hardmax(jnp.einsum("...k,kij->...ij", u.mixture, params.recurrent))
        return jnp.einsum("...ij,...j->...i", p, u.decay * state) + u.drive


pd_ssm = PDSSM()
