"""Converts params from and to torch.nn.RNN, GRU, LSTM and their cells: modules, or state dicts of arrays.

A layer k keeps all its gates, in the order of ours, one below the other in the rows of `weight_ih_l{k}`
[G·H, D] and `weight_hh_l{k}` [G·H, H], used as W x, each with a bias of its own. (In RNNCell, GRUCell and
LSTMCell they have no `_l{k}`; those of a second direction end in `_reverse`.) The two biases of a gate add,
so one is enough; only in the candidate of the GRU, n = tanh(W x + b_in + r ⊙ (U h + b_hn)), they do not: b_hn
is our `recurrent_bias`. In torch's GRU, as in ours, z keeps.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from r3nn.cells import ACTIVATIONS, CELLS, Cell, GatedParams
from r3nn.cells._activations import name_of, shown
from r3nn.compose import Deep, deep
from r3nn.convert._correspondence import check_said, name_among, refuse_initial
from r3nn.convert._trees import levels, stack

#: torch's layers, and the activations that each can have
KINDS = {"elman": ("RNN", ("tanh", "relu")), "gru": ("GRU", ("tanh",)), "lstm": ("LSTM", ("tanh",))}


class Directions(NamedTuple):
    """Holds the params of a bidirectional layer: of the cell that runs forward, and of the one in reverse."""

    forward: GatedParams
    backward: GatedParams


def from_torch(module, activation: Callable | None = None) -> tuple[Cell, Any]:
    """Converts the params of a torch.nn.RNN, GRU, LSTM, or cell of these -> (the cell here that computes the
    same, its params).

    RNN -> elman, GRU -> gru, LSTM -> lstm; num_layers > 1 -> params of deep(cell, num_layers). Inputs here
    are time-major, [T, B, D]; dropout between layers is left out, as in evaluation. Of a bidirectional
    module it returns the cell, and a list with the `Directions` of each layer, whose input is

        jnp.concatenate([unroll(cell, layer.forward, None, xs)[1],
                         unroll(cell, layer.backward, None, xs, reverse=True)[1]], -1)

    of the layer before, [T, B, 2H].

    Args:
      module: the module, or its state dict, of tensors or arrays (traced ones too, as in `jax.jit`).
      activation: jnp.tanh or jax.nn.relu. None: the module's own nonlinearity; of a state dict, which does
        not say, tanh.

    Raises: ValueError, in one sentence, for a name that is missing or unknown, a shape that does not fit,
      projections (proj_size), and an activation that the module, or torch's layer, does not have.
    """
    state = module if isinstance(module, Mapping) else _state_dict(module)
    state = {name: _array(tensor) for name, tensor in state.items()}
    layers, parts = _check_names(state)
    first = layers[0][0]
    if state[f"weight_ih{first}"].ndim != 2:
        raise ValueError(f"weight_ih{first} has shape {state[f'weight_ih{first}'].shape}: must be [G·H, D].")
    gates, hidden = _check_recurrence(f"weight_hh{first}", state[f"weight_hh{first}"].shape)
    name = list(KINDS)[(1, 3, 4).index(gates)]
    own = None if isinstance(module, Mapping) else ACTIVATIONS[getattr(module, "nonlinearity", "tanh")]
    if activation is not None and own not in (None, activation):
        raise ValueError(f"activation={shown(activation)}: the {type(module).__name__} has {shown(own)}.")
    cell = dataclasses.replace(CELLS[name], activation=activation or own or jnp.tanh)
    _check_activation(name, cell)

    def read(k, end):
        arrays = {part: state[part + end] for part in parts}
        size = hidden * len(layers[k]) if k else arrays["weight_ih"].shape[-1]
        shapes = {"weight_ih": (gates * hidden, size), "weight_hh": (gates * hidden, hidden)}
        for part, array in arrays.items():
            if array.shape != (shape := shapes.get(part, (gates * hidden,))):
                raise ValueError(f"{part}{end} has shape {array.shape}: weight_hh{first} asks for {shape}.")
        return _from_layer(cell, **arrays)

    each = [[read(k, end) for end in ends] for k, ends in enumerate(layers)]
    if len(layers[0]) == 2:
        return cell, [Directions(*pair) for pair in each]
    each = [params for (params,) in each]
    return (cell, each[0]) if len(each) == 1 else (deep(cell, len(each)), stack(each))


def to_torch(cell: Cell, params, activation: Callable = jnp.tanh) -> dict[str, np.ndarray]:
    """Undoes `from_torch`, for elman, gru, lstm, and deep(...) of these with whichever tie.

    Load it with module.load_state_dict({k: torch.from_numpy(v) for k, v in ...}), into a cell such as GRUCell
    under k.removesuffix("_l0"). Both of torch's biases are there unless there is none here (then bias=False);
    all but b_hn of the GRU stands in bias_ih.

    Args:
      params: of the cell; of a bidirectional module, the list of the `Directions` of its layers.
      activation: the cell's, which a state dict cannot say: jax.nn.relu for nn.RNN(nonlinearity="relu").

    Raises: ValueError for a cell that torch does not have, another activation, and a learned initial state.
    """
    inner, each = (cell.cell, levels(cell, params)) if isinstance(cell, Deep) else (cell, params)
    name = name_among(inner, KINDS, "torch")
    _check_activation(name, inner)
    check_said(name, inner, activation)
    layers = [p if isinstance(p, Directions) else [p] for p in (each if isinstance(each, list) else [each])]
    biased = any(p.bias is not None or p.recurrent_bias is not None for layer in layers for p in layer)
    state = {}
    for k, layer in enumerate(layers):
        for p, direction in zip(layer, ("", "_reverse"), strict=False):
            refuse_initial(name, p, "torch")
            state |= {f"{part}_l{k}{direction}": array for part, array in _to_layer(p, biased).items()}
    return state


def _state_dict(module) -> Mapping[str, Any]:
    if not hasattr(module, "state_dict"):
        raise TypeError(f"{module!r} must be a torch module such as nn.GRU, or a state dict.")
    return module.state_dict()


def _array(tensor):
    if isinstance(tensor, jax.Array):  # which may be traced
        return tensor
    return np.asarray(tensor.detach().cpu() if hasattr(tensor, "detach") else tensor)


def _check_activation(name: str, cell: Cell) -> None:
    kind, allowed = KINDS[name]
    if name_of(cell.activation) not in allowed:
        has = " or ".join(allowed)
        raise ValueError(f"activation={shown(cell.activation)}: torch's {kind} can have {has} alone.")


def _from_layer(cell, weight_ih, weight_hh, bias_ih=None, bias_hh=None) -> GatedParams:
    count = len(cell.gates._fields)
    rows = lambda array: cell.gates(*jnp.split(jnp.asarray(array), count))
    columns = lambda array: cell.gates(*(w.T for w in rows(array)))
    bias = recurrent_bias = None
    if bias_ih is not None:
        bias = rows(bias_ih + bias_hh)
    if bias_ih is not None and cell.biased_recurrence:
        bias = bias._replace(candidate=rows(bias_ih).candidate)
        recurrent_bias = rows(bias_hh).candidate
    return GatedParams(columns(weight_ih), columns(weight_hh), bias, recurrent_bias, initial=None)


def _to_layer(params: GatedParams, biased: bool) -> dict[str, np.ndarray]:
    below = lambda arrays: np.concatenate([np.asarray(array) for array in arrays])
    transposed = lambda gates: below(w.T for w in gates)
    state = {"weight_ih": transposed(params.input), "weight_hh": transposed(params.recurrent)}
    if biased:
        zeros = np.zeros_like(state["weight_hh"][:, 0])
        state["bias_ih"] = zeros if params.bias is None else below(params.bias)
        state["bias_hh"] = zeros.copy()
        if params.recurrent_bias is not None:
            state["bias_hh"][-len(params.recurrent_bias) :] = params.recurrent_bias
    return state


def _check_names(state) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Returns (how the names of each layer's directions end, how the names of their arrays begin)."""
    parts = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if any("bias" in k for k in state) else ()))
    directions = ("", "_reverse") if any(name.endswith("_reverse") for name in state) else ("",)
    depth = max(1, sum(bool(re.fullmatch(r"weight_ih_l\d+", name)) for name in state))
    layers = [tuple(f"_l{k}{direction}" for direction in directions) for k in range(depth)]
    if "weight_ih" in state:  # of a cell
        layers = [("",)]
    expected = [part + end for ends in layers for end in ends for part in parts]
    if odd := sorted(set(state) - set(expected)):
        projected = any("weight_hr" in name for name in odd)
        reason = "no proj_size." if projected else "those of nn.RNN, nn.GRU, nn.LSTM or a cell of these."
        raise ValueError(f"state dict: {', '.join(odd)} cannot be converted, only {reason}")
    if missing := [name for name in expected if name not in state]:
        raise ValueError(
            f"state dict lacks {', '.join(missing)}; it has {', '.join(sorted(state)) or 'nothing'}."
        )
    return layers, parts


def _check_recurrence(name, shape) -> tuple[int, int]:
    """Returns (G, H) of weight_hh [G·H, H]."""
    for gates in (1, 3, 4):
        if len(shape) == 2 and shape[0] == gates * shape[1]:
            return gates, shape[1]
    raise ValueError(f"{name} has shape {shape}: must be [G·H, H], G = 1 (RNN), 3 (GRU) or 4 (LSTM).")
