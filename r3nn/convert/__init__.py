"""Converts params by name, and from and to other libraries: pure functions of arrays, without those
libraries.

from_flax, to_flax      Flax's cells, as nested dicts of arrays (r3nn.nnx and r3nn.linen: as modules)
from_torch, to_torch    torch.nn.RNN, GRU, LSTM of any number of layers, and cells: modules or state dicts
from_keras, to_keras    Keras's SimpleRNN, GRU and LSTM: layers, or what `layer.get_weights()` returns
levels, stack           params of deep(...) level by level
to_dict, from_dict      params of any cell as nested dicts, by name
"""

from r3nn.convert._flax import (
    carry_to_flax,
    check_options,
    columns,
    from_flax,
    name_of,
    state_from_flax,
    to_flax,
)
from r3nn.convert._keras import from_keras, to_keras
from r3nn.convert._torch import Directions, from_torch, to_torch
from r3nn.convert._trees import build, fields, from_dict, levels, stack, to_dict

__all__ = [
    "Directions",
    "build",
    "carry_to_flax",
    "check_options",
    "columns",
    "fields",
    "from_dict",
    "from_flax",
    "from_keras",
    "from_torch",
    "levels",
    "name_of",
    "stack",
    "state_from_flax",
    "to_dict",
    "to_flax",
    "to_keras",
    "to_torch",
]
