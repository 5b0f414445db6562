"""Makes a Flax RNN cell of any cell."""

from typing import Any

import jax
from flax import nnx

from r3nn._batch_major import one_step
from r3nn.cells import Cell as CellValue
from r3nn.model import as_cell
from r3nn.nnx._noise import Noisy
from r3nn.nnx._params import draw_key


class Cell(Noisy, nnx.RNNCellBase):
    """Wraps a cell of r3nn as a Flax RNN cell: `nnx.RNN` and `nnx.Bidirectional` take it, and so does `RNN`
    here.

    Its carry is the cell's state. One `nnx.Param` per array, named as in the NamedTuple of the cell's params:
    `cell.input.update`, `cell.recurrent.update`, `cell.bias.update` ...; `cell.params` is that NamedTuple.
    """

    def __init__(
        self,
        cell: str | CellValue,
        in_features: int,
        hidden_features: int,
        *,
        rngs: nnx.Rngs | None = None,
        params: Any = None,
        deterministic: bool = False,
        **init_options,
    ):
        """Makes the module for inputs [..., in_features], and outputs [..., hidden_features].

        Args:
          cell: a name in `CELLS`, a call such as "heads(gru, 4)", or a cell.
          rngs: its "params" stream draws fresh params; "dropout", forked, the noise of a cell that has some.
          params: these instead; no rngs needed.
          deterministic: if True, as after eval(), the cell takes the expectation of its noise.
          init_options: for the cell's `init`, e.g. chrono=1000.

        Raises: ValueError, TypeError for an unknown cell, sizes below 1, or neither rngs nor params.
        """
        self.value = as_cell(cell)
        self.in_features, self.hidden_features = in_features, hidden_features
        if params is None:
            params = self.value.init(draw_key(rngs), in_features, hidden_features, **init_options)
        self._listen(rngs, deterministic)
        self._hold(params)

    @property
    def noisy(self) -> bool:
        """Says whether the cell draws noise."""
        return self.value.noisy

    def __call__(self, carry, x, key=None, deterministic: bool | None = None):
        """Takes one step on x [..., in_features], floats or integers -> (carry, y [..., hidden_features]).

        key: of the noise, as in `unroll` for one step: `Noise(key, t)` at step t; None: the next of the
        stream. deterministic: None: as set. Raises: ValueError for noise of a whole sequence without key.
        """
        drawn = self.noise_key(key, deterministic)
        return one_step(self.value, self.params, carry, x, drawn, alone=key is None)

    def initialize_carry(self, input_shape: tuple[int, ...], rngs=None, carry_init=None):
        """Returns the cell's initial state for inputs of `input_shape`, [*batch, in_features].

        carry_init: draws each array of the state instead, with rngs. Raises: ValueError without rngs then.
        """
        state = self.value.initial_state(self.params, input_shape[:-1])
        if carry_init is None:
            return state
        draw = lambda leaf: carry_init(draw_key(rngs, "carry"), leaf.shape, leaf.dtype)
        return jax.tree.map(draw, state)

    @property
    def num_feature_axes(self) -> int:
        """Returns 1: inputs are [..., D]."""
        return 1
