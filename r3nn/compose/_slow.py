"""Defines `slow`, by which a cell steps at every k-th time step alone."""

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
    """Holds the inner state, the output that is held, and `wait` [...], the time steps until the cell steps
    next; it does so at 0. `wait` is a float, in float32 at least, so that all of the state can be
    differentiated."""

    cell: State
    output: Array
    wait: Array


class Prepared(NamedTuple):
    """Holds the inner cell's params, prepared, and where the batch axes of its state are."""

    cell: Params
    axes: "Axes"


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Axes:
    """Holds, as a static leaf of params, the first batch axis of each leaf of the inner state, and of its
    output."""

    state: tuple[int, ...]
    output: int


@dataclasses.dataclass(frozen=True)
class Slow(Wrapper):
    """Steps the cell at time steps 0, k, 2k, ... of each segment; in between, state and output stay as they
    are.

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
        """Returns the inner initial state, an output of zeros, and wait = 0: the first time step is taken."""
        cell = super().initial_state(params, batch_shape)
        output = output_shape(self.cell, self.inner(params), cell, batch_shape)
        dtype = solvable(jax.tree.leaves(cell)[0].dtype)  # bfloat16 could not count beyond 256
        wait = jnp.zeros(batch_shape, dtype)
        return SlowState(cell, jnp.zeros(output.shape, output.dtype), wait)

    def inner(self, params):
        """Returns the inner cell's params, prepared or not."""
        return params.cell if isinstance(params, Prepared) else params

    def prepare(self, params, call=prepare_part):
        """Prepares the inner cell's params, and notes the batch axes of its state, which prepared params need
        not tell."""
        axes = batch_axes(self, params)
        return Prepared(super().prepare(params, call), Axes(tuple(jax.tree.leaves(axes.cell)), axes.output))

    def project(self, params, x):
        """Returns x, and what the inner cell projects."""
        return x, super().project(params, x)

    def step(self, params, state, u):
        """Takes the inner step where it is due."""
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
        """Returns the output that is held."""
        return state.output


def slow(cell: Cell, k: int) -> Slow:
    """Steps the cell at every k-th time step. Raises: ValueError for k below 1, TypeError for what is no
    cell."""
    return Slow(cell, k)
