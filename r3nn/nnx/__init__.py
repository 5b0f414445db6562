"""Gives cells, RNNs and whole models as Flax NNX modules. They are thin: what they compute is in cells, time
and model."""

from r3nn.nnx._cell import Cell
from r3nn.nnx._flax_cells import from_flax, to_flax
from r3nn.nnx._model import R3NN, Functional
from r3nn.nnx._params import Params
from r3nn.nnx._rnn import RNN

__all__ = ["R3NN", "RNN", "Cell", "Functional", "Params", "from_flax", "to_flax"]
