"""Converts params from and to Keras's SimpleRNN, GRU and LSTM: layers, or the arrays of
`layer.get_weights()`.

[kernel [D, G·H], recurrent_kernel [H, G·H], bias], used as x @ W, all gates side by side: z, r, h in the GRU,
i, f, c, o in the LSTM. In Keras's GRU, as in ours, z keeps. bias is [G·H]; a GRU with reset_after=True has
two, as [2, 3·H]: the two add, but for the second one's part of the candidate, which is our `recurrent_bias`.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from r3nn.cells import ACTIVATIONS, CELLS, Cell, GatedParams
from r3nn.cells._activations import shown
from r3nn.convert._correspondence import check_said, name_among, refuse_initial

#: our gates in the order of Keras's columns
GATES = {
    "elman": ("candidate",),
    "gru": ("update", "reset", "candidate"),
    "gru_reset_before": ("update", "reset", "candidate"),
    "lstm": ("input", "forget", "cell", "output"),
}
#: where an activation is known by its values
PROBES = np.array([*np.linspace(-10, 10, 41), -1e4, 1e4], np.float32)


def exact_gelu(a):
    """Computes Keras's gelu; that of JAX approximates by default."""
    return jax.nn.gelu(a, approximate=False)


def from_keras(layer, cell: Cell | None = None) -> tuple[Cell, GatedParams]:
    """Converts the params of one layer of Keras's, or of one of its cells -> (the cell here that computes the
    same, its params).

    SimpleRNN -> elman, GRU -> gru (reset_after=True) or gru_reset_before, LSTM -> lstm, with the layer's
    activation. Several layers: `stack` of the params of each, for deep(cell, L). How a layer is run is left
    to the caller: Keras is batch-major, go_backwards is `unroll(reverse=True)`, and noise is left out, as in
    evaluation.

    Args:
      layer: a layer that has been built, or the arrays of its get_weights() (traced ones too).
      cell: what arrays do not say: an activation, dataclasses.replace(elman, activation=jax.nn.relu), and
        where a GRU with use_bias=False resets. None: the layer's; of arrays the one that the shapes tell,
        with tanh, a GRU resetting after.

    Raises: ValueError, in one sentence, for a number of arrays or a shape that does not fit, for another cell
      than the layer's, and for an activation or recurrent_activation without a counterpart here.
    """
    is_layer = hasattr(layer, "get_weights")
    activation = _activation_of(layer) if is_layer else None
    arrays = [_array(array) for array in (layer.get_weights() if is_layer else layer)]
    if len(arrays) not in (2, 3):
        raise ValueError(f"{len(arrays)} arrays: must be kernel, recurrent_kernel and, unless absent, bias.")
    names = _recognize([array.shape for array in arrays])
    own = CELLS[names[0]]
    if is_layer:
        own = own if getattr(layer, "reset_after", True) else CELLS["gru_reset_before"]
        own = dataclasses.replace(own, activation=activation)
        if cell not in (None, own):
            raise ValueError(f"cell={cell}: the {type(layer).__name__} is {own}.")
    cell = own if cell is None else cell
    name = name_among(cell, GATES, "Keras")
    if name not in names:
        shapes = [array.shape for array in arrays]
        raise ValueError(f"arrays of shapes {shapes} are those of {' or '.join(names)}, not of {name}.")
    gates = lambda array: _from_columns(name, array)
    bias = recurrent_bias = None
    if len(arrays) == 3:
        bias = gates(arrays[2] if arrays[2].ndim == 1 else arrays[2].sum(0))
    if len(arrays) == 3 and name == "gru":
        recurrent_bias = gates(arrays[2][1]).candidate
        bias = bias._replace(candidate=gates(arrays[2][0]).candidate)
    return cell, GatedParams(gates(arrays[0]), gates(arrays[1]), bias, recurrent_bias, initial=None)


def to_keras(cell: Cell, params: GatedParams, activation: Callable = jnp.tanh) -> list[np.ndarray]:
    """Undoes `from_keras`, for layer.set_weights(); without a bias (use_bias=False) returns two arrays.

    activation: the cell's, which arrays cannot say; the layer must have it.

    Raises: ValueError for a cell that Keras does not have (a deep cell: layer by layer, with `levels`), for
      another activation than the cell's, and for a learned initial state.
    """
    name = name_among(cell, GATES, "Keras")
    check_said(name, cell, activation)
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


def _activation_of(layer) -> Callable:
    """Returns our activation with the same values. Raises: ValueError where there is none, or the gates' is
    not the sigmoid."""
    kind = type(layer).__name__
    if not hasattr(layer, "activation"):
        kinds = "SimpleRNN, GRU, LSTM or a cell of these (of Bidirectional: its two layers, one by one)."
        raise ValueError(f"{kind} has no activation: must be {kinds}")
    of_gates = getattr(layer, "recurrent_activation", jax.nn.sigmoid)
    if not _alike(of_gates, jax.nn.sigmoid):
        raise ValueError(f"{kind}(recurrent_activation={shown(of_gates)}): must be sigmoid.")
    known = (*ACTIVATIONS.values(), exact_gelu)
    found = [ours for ours in known if _alike(layer.activation, ours)]
    if not found:
        raise ValueError(
            f"{kind}(activation={shown(layer.activation)}): must be one of {', '.join(ACTIVATIONS)}."
        )
    return found[0]


def _alike(theirs: Callable, ours: Callable) -> bool:
    return np.allclose(np.asarray(theirs(PROBES)), ours(PROBES), atol=1e-5)


def _array(array):
    return array if isinstance(array, jax.Array) else np.asarray(array)  # a jax.Array may be traced


def _from_columns(name, array):
    """Divides Keras's columns [..., G·H] into one [..., H] for each of our gates."""
    columns = jnp.split(jnp.asarray(array), len(GATES[name]), axis=-1)
    return CELLS[name].gates(**dict(zip(GATES[name], columns, strict=True)))


def _recognize(shapes) -> list[str]:
    """Returns the names of the cells whose arrays can have these shapes."""
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
            "recurrent_kernel [H, G·H] with G = 1, 3 or 4, bias [G·H] (with reset_after=True [2, 3·H])."
        )
    return names
