"""Cells around one cell: residual, norm, delay."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from r3nn._names import check_choice
from r3nn.cells import Cell
from r3nn.cells._base import Array, Params, State, check_cell, in_turn
from r3nn.compose._composed import Composed
from r3nn.time._noise import bare, part, put


@dataclasses.dataclass(frozen=True)
class Wrapper(Composed):
    """A cell that is another cell in all that a subclass does not change."""

    cell: Cell

    def __post_init__(self):
        check_cell(self.cell)

    stepwise = property(lambda self: self.cell.stepwise)
    rerun = property(lambda self: self.cell.rerun)

    def inner(self, params: Params) -> Params:
        """The inner cell's part of the params."""
        return params

    def init(self, key, in_size, hidden_size, **options):
        """The inner cell's params."""
        return self.cell.init(key, in_size, hidden_size, **options)

    def initial_state(self, params, batch_shape=()):
        """The inner cell's."""
        return self.cell.initial_state(self.inner(params), batch_shape)

    def prepare(self, params):
        """The inner cell's."""
        return self.cell.prepare(params)

    def lower(self, params, wrap):
        """The inner cell's."""
        return self.cell.lower(params, wrap)

    def project(self, params, x):
        """The inner cell's."""
        return self.cell.project(self.inner(params), part(self.cell, x))

    @in_turn()
    def step(self, params, state, u):
        """The inner cell's."""
        return self.cell.step(self.inner(params), state, u)

    def hidden(self, state):
        """The inner cell's."""
        return self.cell.hidden(state)

    def output(self, params, state, x):
        """The inner cell's."""
        return self.cell.output(self.inner(params), state, part(self.cell, x))

    def in_size(self, params):
        """The inner cell's."""
        return self.cell.in_size(self.inner(params))


class Holder(Wrapper):
    """A wrapper with params of its own: a NamedTuple, whose field `cell` holds the inner cell's."""

    def inner(self, params):
        """The inner cell's part."""
        return params.cell

    def prepare(self, params):
        """The inner cell's, inside."""
        return params._replace(cell=self.cell.prepare(params.cell))

    def lower(self, params, wrap):
        """The inner cell's, inside."""
        return params._replace(cell=self.cell.lower(params.cell, wrap))


class Structured(Wrapper):
    """A wrapper that leaves the inner cell its recurrent products, and so all its modes.

    A subclass may change `project`, `output`, and, alike, `core` (elementwise) and `step`; and what the
    products read, in `recur` and `products` alike.
    """

    recurrence = property(lambda self: self.cell.recurrence)
    affine = property(lambda self: self.cell.affine)
    bounds = property(lambda self: self.cell.bounds)

    def weights(self, params):
        """The inner cell's."""
        return self.cell.weights(self.inner(params))

    def recur(self, params, state, u):
        """The inner cell's."""
        return self.cell.recur(self.inner(params), state, u)

    def products(self, packed):
        """The inner cell's."""
        return self.cell.products(packed)

    def core(self, params, state, u, r):
        """The inner cell's."""
        return self.cell.core(self.inner(params), state, u, r)


@dataclasses.dataclass(frozen=True)
class Residual(Wrapper):
    """y_t = cell(x_t) + x_t. Source: He et al. 2016, arXiv 1512.03385, eq. 1."""

    def init(self, key, in_size, hidden_size, **options):
        """The inner cell's params. Raises: ValueError unless in_size equals hidden_size."""
        if in_size != hidden_size:
            raise ValueError(f"residual: in_size={in_size} must equal hidden_size={hidden_size}")
        return super().init(key, in_size, hidden_size, **options)

    def output(self, params, state, x):
        """The inner output plus x, [..., H]."""
        return super().output(params, state, x) + bare(x)

    def sweep(self, run, params, state, xs):
        """All steps of the inner cell, then the sum."""
        state, ys = run(self.cell, params, state, part(self.cell, xs))
        return state, ys + bare(xs)


class NormParams(NamedTuple):
    """The inner params, and the scale (and shift, for layer norm) of each input, [D]."""

    cell: Params
    scale: Array
    shift: Array | None


@dataclasses.dataclass(frozen=True)
class Norm(Holder):
    """The cell on a normalised input: with x̄ = x (rms) or x - mean(x) (layer), over the D features,

        x ← scale ⊙ x̄ / √(mean(x̄²) + 1e-6) [+ shift]

    Source: Ba et al. 2016, arXiv 1607.06450 (layer); Zhang & Sennrich 2019, arXiv 1910.07467 (rms).
    """

    kind: str = "rms"

    def __post_init__(self):
        super().__post_init__()
        check_choice("norm kind", self.kind, ("rms", "layer"))

    def init(self, key, in_size, hidden_size, **options):
        """Scale 1 and shift 0 around the inner cell's params."""
        cell = super().init(key, in_size, hidden_size, **options)
        dtype = jax.tree.leaves(cell)[0].dtype
        shift = jnp.zeros(in_size, dtype) if self.kind == "layer" else None
        return NormParams(cell, jnp.ones(in_size, dtype), shift)

    def normalize(self, params: NormParams, x: Array) -> Array:
        """The equation above, [..., D] -> [..., D]."""
        if self.kind == "layer":
            x = x - jnp.mean(x, axis=-1, keepdims=True)
        x = params.scale * x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6)
        return x if params.shift is None else x + params.shift

    def project(self, params, x):
        """The inner projection of the normalised input."""
        return super().project(params, put(x, self.normalize(params, bare(x))))

    def output(self, params, state, x):
        """The inner output, which sees the normalised input."""
        return super().output(params, state, put(x, self.normalize(params, bare(x))))

    def sweep(self, run, params, state, xs):
        """All inputs normalised at once, then all steps of the inner cell."""
        normal = put(xs, self.normalize(params, bare(xs)))
        return run(self.cell, params.cell, state, part(self.cell, normal))


class DelayState(NamedTuple):
    """The inner state, the input that this step used [..., D], and the one that the next will."""

    cell: State
    used: Array
    waiting: Array


@dataclasses.dataclass(frozen=True)
class Delay(Wrapper):
    """The cell on the previous step's input: h_t = f(h_{t-1}, x_{t-1}), x_0 = 0.

    In `deep(delay(g), L)` behind another cell this is the delayed reading of the article's (3.2.2), whose
    text calls h_t^{l-1} the previous time step's.
    """

    def initial_state(self, params, batch_shape=()):
        """The inner initial state, with no input waiting: zeros [..., D]."""
        cell = super().initial_state(params, batch_shape)
        nothing = jnp.zeros((*batch_shape, self.in_size(params)), jax.tree.leaves(cell)[0].dtype)
        return DelayState(cell, nothing, nothing)

    def project(self, params, x):
        """x itself: it is projected when its turn comes."""
        return x

    @in_turn()
    def step(self, params, state, u):
        """One inner step on the input that waited; u waits."""
        projected = super().project(params, put(u, state.waiting))
        return DelayState(super().step(params, state.cell, projected), state.waiting, bare(u))

    def hidden(self, state):
        """The inner cell's."""
        return super().hidden(state.cell)

    def output(self, params, state, x):
        """The inner output, which sees the input that was used."""
        return super().output(params, state.cell, put(x, state.used))


def residual(cell: Cell) -> Residual:
    """The cell with its input added to its output.

    Raises: TypeError for what is no cell; in `init`, ValueError unless in_size equals hidden_size.
    """
    return Residual(cell)


def norm(cell: Cell, kind: str = "rms") -> Norm:
    """The cell behind a normalisation of its input.

    Raises: ValueError for a kind other than "rms" and "layer", TypeError for what is no cell.
    """
    return Norm(cell, kind)


def delay(cell: Cell) -> Delay:
    """The cell one time step late. Raises: TypeError for what is no cell."""
    return Delay(cell)
