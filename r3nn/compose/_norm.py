"""Defines `norm`, by which a cell reads a normalised input."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from r3nn._literals import Norm as Kind
from r3nn._lookup import check_choice
from r3nn._serialize import serializable
from r3nn.cells import Cell
from r3nn.cells._base import Array, Params, along, plus
from r3nn.compose._shapes import dtype_of
from r3nn.compose._wrapper import Wrapper
from r3nn.time._noise import bare, put


@serializable
class NormParams(NamedTuple):
    """Holds the inner params, and the scale (and shift, for layer norm) of each input, [D]."""

    cell: Params
    scale: Array
    shift: Array | None


@dataclasses.dataclass(frozen=True)
class Norm(Wrapper):
    """Runs the cell on a normalised input: with x̄ = x (rms) or x - mean(x) (layer), over the D features,

        x ← scale ⊙ x̄ / √(mean(x̄²) + 1e-6) [+ shift]

    Source: Ba et al. 2016, arXiv 1607.06450 (layer); Zhang & Sennrich 2019, arXiv 1910.07467 (rms).
    """

    own_params = True
    kind: Kind = "rms"

    def __post_init__(self):
        super().__post_init__()
        check_choice("norm kind", self.kind, ("rms", "layer"))

    def init(self, key, in_size, hidden_size, **options):
        """Draws the inner cell's params, with a scale of 1 and a shift of 0 around them."""
        cell = super().init(key, in_size, hidden_size, **options)
        dtype = dtype_of(self.cell, cell)
        shift = jnp.zeros(in_size, dtype) if self.kind == "layer" else None
        return NormParams(cell, jnp.ones(in_size, dtype), shift)

    def normalize(self, params: NormParams, x: Array) -> Array:
        """Computes the equation above, [..., D] -> [..., D]."""
        if self.kind == "layer":
            x = x - jnp.mean(x, axis=-1, keepdims=True)
        x = along(params.scale, x) * x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6)
        return plus(x, params.shift)

    def inner_x(self, params, x):
        """Normalises the inputs, for the inner cell."""
        return super().inner_x(params, put(x, self.normalize(params, bare(x))))

    def unroll_parts(self, run, params, state, xs):
        """Normalises all inputs at once, then runs all steps of the inner cell."""
        return run(self.cell, params.cell, state, self.inner_x(params, xs))


def norm(cell: Cell, kind: Kind = "rms") -> Norm:
    """Puts the cell behind a normalisation of its input.

    Raises: ValueError for a kind other than "rms" and "layer", TypeError for what is no cell.
    """
    return Norm(cell, kind)
