"""A slower clock."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from r3nn._lookup import check_int
from r3nn._serialize import serializable
from r3nn.cells import Cell
from r3nn.cells._base import Array, Params, State
from r3nn.cells._composition import prepare_part
from r3nn.compose._shapes import output_shape
from r3nn.compose._wrapper import Wrapper
from r3nn.initializers import solvable
from r3nn.time.arrays.flags import where
from r3nn.time.arrays.trees import batch_axes, match_varying_axes


@serializable
class SlowState(NamedTuple):
    """The inner state, the output that is held, and the time steps [...] until the next one that is taken: a
    float, so that the state is one of numbers alone, in float32 at least. Due at 0."""

    cell: State
    output: Array
    wait: Array


class Prepared(NamedTuple):
    """The inner cell's params, prepared, and where the batch axes of its state are."""

    cell: Params
    axes: "Axes"


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Axes:
    """A static leaf of params: the first batch axis of each leaf of the inner state, and of its output."""

    state: tuple[int, ...]
    output: int


@dataclasses.dataclass(frozen=True)
class Slow(Wrapper):
    """The cell at time steps 0, k, 2k, ... of each segment; between, state and output stay as they are.

    A masked step does not count, a reset starts the count again. In a forward pass that is
    not vmapped, steps at which no sequence of the batch is due cost nothing.
    Source: the slower modules of a clockwork RNN, Koutník et al. 2014, arXiv 1402.3511.
    """

    stepwise = True
    k: int

    def __post_init__(self):
        super().__post_init__()
        check_int("slow k", self.k, 1)

    def initial_state(self, params, batch_shape=()):
        """The inner initial state, an output of zeros, due at once."""
        cell = super().initial_state(params, batch_shape)
        output = output_shape(self.cell, self.inner(params), cell, batch_shape)
        dtype = solvable(jax.tree.leaves(cell)[0].dtype)  # bfloat16 could not count beyond 256
        wait = jnp.zeros(batch_shape, dtype)
        return SlowState(cell, jnp.zeros(output.shape, output.dtype), wait)

    def inner(self, params):
        """The inner cell's params."""
        return params.cell if isinstance(params, Prepared) else params

    def prepare(self, params, call=prepare_part):
        """Prepares the inner cell's params, and notes where its batch axes are, which these need not tell."""
        axes = batch_axes(self, params)
        return Prepared(super().prepare(params, call), Axes(tuple(jax.tree.leaves(axes.cell)), axes.output))

    def project(self, params, x):
        """x, and the inner projection."""
        return x, super().project(params, x)

    def step(self, params, state, u):
        """The inner step where it is due."""
        x, u = u
        # Inside `shard_map`, both branches of the `cond` must be of one type.
        state, *_ = match_varying_axes(state, params, x, u)
        due = state.wait < 0.5
        held = (state.cell, state.output)
        axes = (jax.tree.unflatten(jax.tree.structure(state.cell), params.axes.state), params.axes.output)

        def advance():
            cell = self.cell.step(params.cell, state.cell, u)
            return where(due, (cell, self.cell.output(params.cell, cell, x)), held, axes)

        cell, output = lax.cond(due.any(), advance, lambda: held)
        return SlowState(cell, output, jnp.where(due, self.k - 1, state.wait - 1))

    def hidden(self, state):
        """Reads h of the inner cell's state."""
        return super().hidden(state.cell)

    def output(self, params, state, x):
        """The one that is held."""
        return state.output


def slow(cell: Cell, k: int) -> Slow:
    """The cell at every k-th time step. Raises: ValueError for k below 1, TypeError for what is no cell."""
    return Slow(cell, k)
