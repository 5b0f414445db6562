"""Gives cells, RNNs and whole models as Flax Linen modules. They are thin: what they compute is in cells,
time and model."""

from r3nn.linen._cell import Cell, variables
from r3nn.linen._flax_cells import from_flax, to_flax
from r3nn.linen._model import R3NN
from r3nn.linen._rnn import RNN

__all__ = ["R3NN", "RNN", "Cell", "from_flax", "to_flax", "variables"]
