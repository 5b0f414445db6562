"""Defines `layer_norm`, layer normalization inside the recurrence."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import sigmoid

from r3nn._serialize import serializable
from r3nn.cells import GatedCell, LSTMState
from r3nn.cells._base import Array, Params, along, plus
from r3nn.compose._wrapper import Wrapper


@serializable
class ScaleShift(NamedTuple):
    """Holds scale and shift of scale ⊙ a + shift, [H] each."""

    scale: Array
    shift: Array


@serializable
class LayerNormParams(NamedTuple):
    """Holds the inner params, whose biases are the shifts; the scales [H] of W x and of U h of every gate;
    and for cells with a c, scale and shift of its normalization."""

    cell: Params
    input: Any
    recurrent: Any
    memory: ScaleShift | None


@dataclasses.dataclass(frozen=True)
class LayerNorm(Wrapper):
    """Computes, for each gate of a gated cell, LN(W x_t) + LN(U h_{t-1}) + b in place of W x_t + U h_{t-1} +
    b, and for an LSTM h_t = o_t ⊙ tanh(LN(c_t)) (or its `activation`), where

        LN(a) = scale ⊙ (a - mean(a)) / √(var(a) + 1e-5), over the H units

    Each gate is normalised by itself, where the paper takes those of an LSTM, or of a GRU but its candidate,
    as one vector. Units mix within the step, so the cell is opaque.
    Source: Ba, Kiros & Hinton 2016, arXiv 1607.06450, supplementary material.
    """

    own_params = True

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.cell, GatedCell) or self.cell.recurrence not in ("dense", "heads"):
            raise TypeError(
                f"layer_norm takes a gated cell with dense products, such as lstm or gru, not {self.cell}."
            )
        if type(self.cell).project is not GatedCell.project:
            raise TypeError(
                f"layer_norm takes a gated cell whose `project` is W x + b: {self.cell} has one of its own."
            )

    def init(self, key, in_size, hidden_size, **options):
        """Draws the inner cell's params, with scales of 1 and shifts of 0 around them."""
        cell = super().init(key, in_size, hidden_size, **options)
        ones = jnp.ones(hidden_size, cell.input[0].dtype)
        gates = self.cell.gates(*(ones for _ in self.cell.gates._fields))
        state = jax.eval_shape(self.cell.initial_state, cell)
        memory = ScaleShift(ones, jnp.zeros_like(ones)) if isinstance(state, LSTMState) else None
        return LayerNormParams(cell, gates, gates, memory)

    def project(self, params, x):
        """Computes LN(W x) + b for every gate: [..., D] -> one [..., H] per gate."""
        u = super().project(params._replace(cell=params.cell._replace(bias=None)), x)
        u = jax.tree.map(normalize, u, params.input)
        return u if params.cell.bias is None else jax.tree.map(plus, u, params.cell.bias)

    def recur(self, params, state, u):
        """Computes LN(U h) for every gate, [..., H] each."""
        return jax.tree.map(normalize, self.cell.recur(params.cell, state, u), params.recurrent)

    def core(self, params, state, u, r):
        """Takes the inner cell's core; in an LSTM, h is then made of LN(c)."""
        new = self.cell.core(params.cell, state, u, r)
        if params.memory is None:
            return new
        c = plus(normalize(new.c, params.memory.scale), params.memory.shift)
        return new._replace(h=sigmoid(u.output + r.output) * self.cell.squash(c))

    def step(self, params, state, u):
        """Takes the equations above."""
        return self.core(params, state, u, self.recur(params, state, u))


def normalize(a: Array, scale: Array) -> Array:
    """Computes LN above, [..., H] -> [..., H]."""
    a = a - jnp.mean(a, axis=-1, keepdims=True)
    return along(scale, a) * a * jax.lax.rsqrt(jnp.mean(a * a, axis=-1, keepdims=True) + 1e-5)


def layer_norm(cell: GatedCell) -> LayerNorm:
    """Returns the gated cell with layer norm of what its gates add up.

    Raises: TypeError for a cell that is not gated, whose products are not dense, or whose gates do not read
    W x + b.
    """
    return LayerNorm(cell)
