"""Defines `delay`, by which a cell runs one time step late."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from r3nn._serialize import serializable
from r3nn.cells import Cell
from r3nn.cells._base import Array, State
from r3nn.cells._composition import run_part
from r3nn.compose._wrapper import Wrapper
from r3nn.time._noise import bare, put


@serializable
class DelayState(NamedTuple):
    """Holds the inner state, the input that this step used [..., D], and the one that the next step will
    use."""

    cell: State
    used: Array
    waiting: Array


@dataclasses.dataclass(frozen=True)
class Delay(Wrapper):
    """Runs the cell on the previous step's input: h_t = f(h_{t-1}, x_{t-1}), x_0 = 0.

    In `deep(delay(g), L)` behind another cell this is the delayed reading of the article's (3.2.2), whose
    text calls h_t^{l-1} the previous time step's.
    """

    def initial_state(self, params, batch_shape=()):
        """Returns the inner initial state, with no input waiting: zeros [..., D]."""
        cell = super().initial_state(params, batch_shape)
        nothing = jnp.zeros((*batch_shape, self.in_size(params)), jax.tree.leaves(cell)[0].dtype)
        return DelayState(cell, nothing, nothing)

    def project(self, params, x):
        """Returns x itself: it is projected in the next step, which uses it."""
        return x

    def step(self, params, state, u, call=run_part):
        """Takes one inner step on the input that waited; u waits."""
        projected = super().project(params, put(u, state.waiting))
        return DelayState(super().step(params, state.cell, projected, call), state.waiting, bare(u))

    def hidden(self, state):
        """Reads h of the inner cell's state."""
        return super().hidden(state.cell)

    def output(self, params, state, x):
        """Returns the inner output, which sees the input that was used."""
        return super().output(params, state.cell, put(x, state.used))


def delay(cell: Cell) -> Delay:
    """Returns the cell one time step late. Raises: TypeError for what is no cell."""
    return Delay(cell)
