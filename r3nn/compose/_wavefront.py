"""Runs depth in the wavefront order: all levels at once, level l at time step τ - l."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from r3nn.cells import Cell
from r3nn.cells._base import Array, Params, State
from r3nn.cells._composition import Composition, prepare_part
from r3nn.compose._shapes import output_shape
from r3nn.compose._stacked import stack, take
from r3nn.time._noise import Keyed, bare, fold, part
from r3nn.time.arrays.flags import Flags, where
from r3nn.time.arrays.trees import batch_axes


class Front(NamedTuple):
    """Holds what one diagonal reads. Levels are the last axis, so that batch axes lead."""

    x: Any  # level 1's input [..., D], with keys or without
    mask: Array  # [..., L], False too where a level is before its first step, or behind its last
    reset: Array | None  # [..., L]
    keys: Any  # (step, sequence) [..., L - 1] of levels 2 to L, or None


class FrontState(NamedTuple):
    """Holds the levels' states, and each level's output of its latest step: both stacked [L, ...]."""

    levels: State
    outputs: Array


class FrontParams(NamedTuple):
    """Holds the deep cell's params, and its initial state without batch axes, [L, ...], where there are
    resets."""

    deep: Params
    initial: State | None


@dataclasses.dataclass(frozen=True)
class Wavefront(Composition):
    """Runs a deep cell, one diagonal a step: level l reads what level l - 1 put out at the step before.

    axes: the first batch axis of each leaf of a level's state. resets: whether there are any. Output: of all
    levels, [L, ..., H].
    Source: Appleyard, Kočiský & Blunsom 2016, arXiv 1604.01946.
    """

    stepwise = True
    deep: Cell
    axes: tuple[int, ...]
    resets: bool

    def prepare(self, params, call=prepare_part):
        """Prepares the deep cell's params, and adds the state of a reset."""
        initial = self.deep.initial_state(params) if self.resets else None
        return FrontParams(self.deep.prepare_stacked(params, call), initial)

    def initial_state(self, params, batch_shape=()):
        """Returns the levels' initial states, and zeros for outputs, which nothing reads."""
        levels = self.deep.initial_state(params, batch_shape)
        outputs = output_shape(self.deep, params, levels, batch_shape, self.deep.outputs)
        return FrontState(levels, jnp.zeros(outputs.shape, outputs.dtype))

    def project(self, params, x):
        """Returns the diagonal's input, and what level 1 projects of its own."""
        return x, self.deep.cell.project(params.deep.first, x.x)

    def step(self, params, state, u):
        """Steps all levels of one diagonal."""
        front, u = u
        cell, deep = self.deep.cell, params.deep
        start = self._start(params.initial, state.levels, front.reset)
        axes = self._axes(start)

        def advance(p, s, x, u, mask):
            s = where(mask, cell.step(p, s, u), s, axes)
            return s, cell.output(p, s, x)

        def level(p, s, x, mask):
            return advance(p, s, x, cell.project(p, x), mask)

        stacked, shared = self.deep.levels(deep)
        below = state.outputs[:-1]
        if front.keys is not None:
            below = Keyed(below, *(jnp.moveaxis(keys, -1, 0) for keys in front.keys))
        first = advance(deep.first, take(start, 0), front.x, u, front.mask[..., 0])
        over_levels = jax.vmap(level, in_axes=(None if stacked is None else 0, 0, 0, -1))
        rest = over_levels(
            shared if stacked is None else stacked, take(start, slice(1, None)), below, front.mask[..., 1:]
        )
        return FrontState(*stack(first, rest))

    def _axes(self, state):
        return jax.tree.unflatten(jax.tree.structure(state), self.axes)

    def _start(self, initial, levels, reset):
        """Returns where(reset, s0, s), the state from which each level steps, [L, ...]."""
        if reset is None:
            return levels
        axes = self._axes(levels)
        spread = lambda axis, leaf: jnp.expand_dims(leaf, range(axis, axis + reset.ndim - 1))

        def level(initial, state, reset):
            return where(reset, jax.tree.map(spread, axes, initial), state, axes)

        return jax.vmap(level, in_axes=(0, 0, -1))(initial, levels, reset)

    def output(self, params, state, x):
        """Returns the outputs of all levels, [L, ..., H]."""
        return state.outputs


def wavefront(deep, run, params, state, xs):
    """Runs all levels over T + L - 1 diagonals -> (final state, outputs of all levels [T, L, ...])."""
    steps, batch, depth = bare(xs).shape[0], bare(xs).shape[1:-1], deep.depth
    levels = jnp.arange(depth)[None]
    lag = levels[:, ::-1] if run.reverse else levels
    time = jnp.arange(steps + depth - 1)[:, None] - lag  # of each level on each diagonal
    there = jnp.expand_dims((time >= 0) & (time < steps), range(1, 1 + len(batch)))
    time = jnp.clip(time, 0, steps - 1)
    aligned = lambda leaf: jnp.moveaxis(leaf[time], 1, -1)
    mask, reset = run.flags
    keys = None
    if isinstance(xs, Keyed):
        keys = tuple(fold(aligned(k)[..., 1:], jnp.arange(1, depth)) for k in (xs.step, xs.sequence))
    fronts = Front(
        take(part(deep.cell, xs, 0), time[:, 0]),
        jnp.broadcast_to(there, (time.shape[0], *batch, depth)) if mask is None else aligned(mask) & there,
        None if reset is None else aligned(reset) & there,
        keys,
    )
    cell = Wavefront(deep, tuple(jax.tree.leaves(batch_axes(deep.cell, params.first))), reset is not None)
    outputs = jax.eval_shape(lambda params: cell.initial_state(params, batch).outputs, params)
    start = FrontState(state, jnp.zeros(outputs.shape, outputs.dtype))
    without_flags = dataclasses.replace(run, flags=Flags(None, None))
    final, ys = without_flags.stepwise(cell, params, start, fronts)
    return final.levels, ys[jnp.arange(steps)[:, None] + lag, levels]
