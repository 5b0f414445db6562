"""Converts params from and to Flax's own cells."""

import jax
from flax import nnx
from flax.nnx.nn import dtypes

from r3nn import convert
from r3nn.cells import Cell as CellValue

FLAX_CELLS = {
    "elman": nnx.SimpleCell,
    "gru": nnx.GRUCell,
    "lstm": nnx.OptimizedLSTMCell,
    **({"mgu_reset_after": nnx.MGUCell} if hasattr(nnx, "MGUCell") else {}),
}


def from_flax(cell: nnx.RNNCellBase):
    """Converts one of Flax's cells to (cell, params), by `convert.from_flax` of its arrays.

    Raises: ValueError, in one sentence, for a cell or an option (another gate_fn, dtype ...) without
    a counterpart here.
    """
    if type(cell) not in (*FLAX_CELLS.values(), nnx.LSTMCell):
        raise ValueError(f"{type(cell).__name__} is none of Flax's cells that r3nn knows.")
    convert.check_options(cell, promote_dtype=(dtypes.promote_dtype,))
    return convert.from_flax(nnx.to_pure_dict(nnx.state(cell, nnx.Param)), cell.activation_fn)


def to_flax(cell: CellValue, params) -> nnx.RNNCellBase:
    """Undoes `from_flax`: returns one of Flax's cells (for the lstm, OptimizedLSTMCell) with these params.

    Raises: ValueError for a cell, or an array of the params, that Flax's have no place for.
    """
    name = convert.name_of(cell)
    if name not in FLAX_CELLS:
        raise ValueError(f"flax.nnx has no counterpart of {name}, only of {', '.join(FLAX_CELLS)}.")
    arrays = convert.to_flax(cell, params, cell.activation)
    if cell.biased_recurrence and params.recurrent_bias is None:
        del arrays["hn"]["bias"]
    arrays = convert.columns(arrays, name)
    size, hidden = params.input[0].shape
    options = {"activation_fn": cell.activation, "param_dtype": params.input[0].dtype}
    module = nnx.eval_shape(lambda: FLAX_CELLS[name](size, hidden, **options, rngs=nnx.Rngs(0)))
    wanted = nnx.to_pure_dict(nnx.state(module))
    if jax.tree.structure(wanted) != jax.tree.structure(arrays):
        raise ValueError(f"{type(module).__name__} has no place for recurrent_bias: it must be None.")
    nnx.update(module, arrays)
    return module
