"""Params as modules, and any cell as a Flax RNN cell."""

from typing import Any

import jax
from flax import nnx

from r3nn import convert
from r3nn.cells import Cell as CellValue
from r3nn.model import as_cell


class Params(nnx.Module):
    """A NamedTuple of params as a module: an attribute per field, which is an `nnx.Param`, None where
    absent, or such a module again. In a tuple the fields are called "0", "1" ...; `module[0]` reads them.
    """

    def __init__(self, params):
        self._hold(params)

    def _hold(self, params):
        parts = convert.fields(params)
        for name, value in parts.items():
            if hasattr(self, name):
                raise ValueError(f"a parameter called {name!r} hides {type(self).__name__}.{name}: rename it")
            setattr(self, name, _held(value))
        self._kind, self._names = type(params), tuple(parts)

    @property
    def params(self):
        """The NamedTuple, of plain arrays."""
        return convert.build(self._kind, [_plain(getattr(self, name)) for name in self._names])

    def __getitem__(self, index: int):
        return getattr(self, self._names[index])


def _held(value):
    if value is None:
        return None
    return Params(value) if isinstance(value, tuple) else nnx.Param(value)


def _plain(held):
    if isinstance(held, Params):
        return held.params
    return None if held is None else held.get_value()


class Cell(Params, nnx.RNNCellBase):
    """A cell of r3nn as a Flax RNN cell: `nnx.RNN` and `nnx.Bidirectional` take it, and so does `RNN` here.

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
        **init_options,
    ):
        """For inputs [..., in_features], and outputs [..., hidden_features].

        Args:
          cell: a name in `CELLS`, a call such as "heads(gru, 4)", "file.py:name", or a cell.
          rngs: its "params" stream draws fresh params.
          params: these instead; no rngs needed.
          init_options: for the cell's `init`, e.g. chrono=1000.

        Raises: ValueError, TypeError for an unknown cell, sizes below 1, or neither rngs nor params.
        """
        self.value = as_cell(cell)
        self.in_features, self.hidden_features = in_features, hidden_features
        if params is None:
            params = self.value.init(draw_key(rngs), in_features, hidden_features, **init_options)
        self._hold(params)

    def __call__(self, carry, x):
        """One step on x [..., in_features]: (carry, y [..., hidden_features])."""
        return self.value(self.params, carry, x)

    def initialize_carry(self, input_shape: tuple[int, ...], rngs=None, carry_init=None):
        """The cell's initial state for inputs of `input_shape`, [*batch, in_features].

        carry_init: draws each array of the state instead, with rngs. Raises: ValueError without rngs then.
        """
        state = self.value.initial_state(self.params, input_shape[:-1])
        if carry_init is None:
            return state
        draw = lambda leaf: carry_init(draw_key(rngs, "carry"), leaf.shape, leaf.dtype)
        return jax.tree.map(draw, state)

    @property
    def num_feature_axes(self) -> int:
        """1."""
        return 1


def draw_key(rngs, stream: str = "params"):
    """The next key of a stream of `nnx.Rngs`, or of a stream itself. Raises: ValueError for None."""
    if rngs is None:
        raise ValueError(f"rngs is None: needed to draw {stream}, e.g. rngs=nnx.Rngs(0)")
    return rngs[stream]() if isinstance(rngs, nnx.Rngs) else rngs()
