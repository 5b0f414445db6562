"""Converts params from and to Flax's own cells."""

from collections.abc import Mapping
from typing import Any

from flax import linen as nn
from flax.core import meta

from r3nn import convert
from r3nn.cells import Cell as CellValue

FLAX_CELLS = {
    "elman": (nn.SimpleCell, {}),
    "gru": (nn.GRUCell, {}),
    "lstm": (nn.OptimizedLSTMCell, {}),
    "mgu_reset_after": (nn.MGUCell, {}),
    "ugrnn": (nn.MGUCell, {"reset_gate": False}),
}


def from_flax(cell: nn.RNNCellBase, variables: Mapping[str, Any]):
    """Converts one of Flax's cells and its variables to (cell, params), by `convert.from_flax` of
    variables["params"].

    Raises: ValueError, in one sentence, for a cell or an option (another gate_fn, dtype ...) without
    a counterpart here.
    """
    if type(cell) not in (*(kind for kind, _ in FLAX_CELLS.values()), nn.LSTMCell):
        raise ValueError(f"{type(cell).__name__} is none of Flax's cells that r3nn knows.")
    convert.check_options(cell)
    return convert.from_flax(meta.unbox(variables["params"]), cell.activation_fn)


def to_flax(cell: CellValue, params) -> tuple[nn.RNNCellBase, dict[str, Any]]:
    """Undoes `from_flax` -> (one of Flax's cells, its variables); for the lstm it is an OptimizedLSTMCell.

    Raises: ValueError for a cell that Flax does not have, and for a learned initial state.
    """
    name = convert.name_of(cell)
    kind, options = FLAX_CELLS[name]
    features, dtype = params.input[0].shape[-1], params.input[0].dtype
    module = kind(features, activation_fn=cell.activation, param_dtype=dtype, **options)
    return module, {"params": convert.to_flax(cell, params, cell.activation)}
