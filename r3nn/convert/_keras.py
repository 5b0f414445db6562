"""Params from and to Keras's SimpleRNN, GRU and LSTM: the lists of arrays of `layer.get_weights()`.

[kernel [D, G·H], recurrent_kernel [H, G·H], bias], used as x @ W, all gates side by side: z, r, h in the GRU,
i, f, c, o in the LSTM. In its GRU as in ours z keeps. bias is [G·H]; a GRU with reset_after=True has two, as
[2, 3·H]: what they share adds, the second one's candidate is our `recurrent_bias`.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from r3nn.cells import CELLS, Cell, GatedParams
from r3nn.convert._names import name_among, refuse_initial

#: our gates in the order of Keras's columns
GATES = {
    "elman": ("candidate",),
    "gru": ("update", "reset", "candidate"),
    "gru_reset_before": ("update", "reset", "candidate"),
    "lstm": ("input", "forget", "cell", "output"),
}


def from_keras(weights: Sequence[Any], cell: Cell | None = None) -> tuple[Cell, GatedParams]:
    """The params of one layer of Keras's, and the cell here that computes the same.

    SimpleRNN -> elman, GRU -> gru (reset_after=True) or gru_reset_before, LSTM -> lstm, with Keras's default
    activations. Several layers: `stack` of the params of each, for deep(cell, L). Keras is batch-major.

    Args:
      weights: layer.get_weights().
      cell: None: told by the shapes. A GRU with use_bias=False does not say where it resets, and is taken for
        gru unless gru_reset_before is given here.

    Raises: ValueError, in one sentence, for a number of arrays or a shape that does not fit.
    """
    arrays = [np.asarray(array) for array in weights]
    if len(arrays) not in (2, 3):
        raise ValueError(f"{len(arrays)} arrays: must be kernel, recurrent_kernel and, unless absent, bias")
    names = _recognize([array.shape for array in arrays])
    name = names[0] if cell is None else name_among(cell, GATES, "Keras")
    if name not in names:
        shapes = [array.shape for array in arrays]
        raise ValueError(f"arrays of shapes {shapes} are those of {' or '.join(names)}, not of {name}")
    gates = lambda array: _from_columns(name, array)
    bias = recurrent_bias = None
    if len(arrays) == 3:
        bias = gates(np.atleast_2d(arrays[2]).sum(0))
    if len(arrays) == 3 and name == "gru":
        recurrent_bias = gates(arrays[2][1]).candidate
        bias = bias._replace(candidate=gates(arrays[2][0]).candidate)
    return CELLS[name], GatedParams(gates(arrays[0]), gates(arrays[1]), bias, recurrent_bias, initial=None)


def to_keras(cell: Cell, params: GatedParams) -> list[np.ndarray]:
    """The inverse of `from_keras`, for layer.set_weights(); without a bias (use_bias=False) two arrays.

    Raises: ValueError for a cell that Keras does not have (a deep cell: layer by layer, with `levels`), and
      for a learned initial state.
    """
    name = name_among(cell, GATES, "Keras")
    refuse_initial(name, params, "Keras")
    beside = lambda gates: np.concatenate([np.asarray(getattr(gates, gate)) for gate in GATES[name]], axis=-1)
    weights = [beside(params.input), beside(params.recurrent)]
    if params.bias is None and params.recurrent_bias is None:
        return weights
    both = np.zeros((2, weights[1].shape[1]), weights[1].dtype)
    if params.bias is not None:
        both[0] = beside(params.bias)
    if params.recurrent_bias is not None:
        both[1, -len(params.recurrent_bias) :] = params.recurrent_bias
    return [*weights, both if name == "gru" else both[0]]


def _from_columns(name, array):
    """Keras's columns [..., G·H] as one [..., H] for each of our gates."""
    columns = np.split(array, len(GATES[name]), axis=-1)
    return CELLS[name].gates(**dict(zip(GATES[name], map(jnp.asarray, columns), strict=True)))


def _recognize(shapes) -> list[str]:
    """The names of the cells whose arrays can have these shapes."""
    kernel, recurrent, *bias = shapes
    names = []
    for name, gates in GATES.items() if len(kernel) == len(recurrent) == 2 else ():
        width = len(gates) * recurrent[0]
        biases = [(2, width)] if name == "gru" else [(width,)]
        if recurrent[1] == kernel[1] == width and bias in ([], biases):
            names.append(name)
    if not names:
        raise ValueError(
            f"arrays of shapes {shapes} are not those of Keras's SimpleRNN, GRU or LSTM: kernel [D, G·H], "
            "recurrent_kernel [H, G·H] with G = 1, 3 or 4, bias [G·H] (with reset_after=True [2, 3·H])"
        )
    return names
