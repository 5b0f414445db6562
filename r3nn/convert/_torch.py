"""Params from and to torch.nn.RNN, GRU and LSTM, as state dicts of NumPy arrays.

A layer k keeps all its gates, in the order of ours, one below the other in the rows of `weight_ih_l{k}`
[G·H, D] and `weight_hh_l{k}` [G·H, H], used as W x, each with a bias of its own. The two biases of a gate
add, so one is enough; only in the candidate of the GRU, n = tanh(W x + b_in + r ⊙ (U h + b_hn)), they do not:
b_hn is our `recurrent_bias`. In its GRU as in ours z keeps.
"""

import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from r3nn.cells import CELLS, Cell, GatedParams
from r3nn.compose import Deep, deep
from r3nn.convert._names import name_among, refuse_initial
from r3nn.convert._trees import levels, stack

KINDS = {"elman": "nn.RNN", "gru": "nn.GRU", "lstm": "nn.LSTM"}


def from_torch(state: Mapping[str, Any]) -> tuple[Cell, Any]:
    """The params of a torch.nn.RNN, GRU or LSTM, and the cell here that computes the same.

    RNN -> elman (its nonlinearity must be tanh, which a state dict does not tell), GRU -> gru, LSTM -> lstm;
    num_layers > 1 -> deep(cell, num_layers). Inputs here are time-major, [T, B, D].

    Args:
      state: arrays by torch's names: {k: v.numpy() for k, v in module.state_dict().items()}.

    Raises: ValueError, in one sentence, for a name that is missing or unknown, a shape that does not fit,
      projections (proj_size), and both directions in one (convert each on its own).
    """
    depth, parts = _check_names(state)
    if np.ndim(state["weight_ih_l0"]) != 2:
        raise ValueError(f"weight_ih_l0 has shape {np.shape(state['weight_ih_l0'])}: must be [G·H, D]")
    gates, hidden = _check_recurrence(np.shape(state["weight_hh_l0"]))
    cell = CELLS[list(KINDS)[(1, 3, 4).index(gates)]]
    each = []
    for k in range(depth):
        arrays = {part: np.asarray(state[f"{part}_l{k}"]) for part in parts}
        size = hidden if k else arrays["weight_ih"].shape[-1]
        shapes = {"weight_ih": (gates * hidden, size), "weight_hh": (gates * hidden, hidden)}
        for part, array in arrays.items():
            if array.shape != (shape := shapes.get(part, (gates * hidden,))):
                raise ValueError(f"{part}_l{k} has shape {array.shape}: weight_hh_l0 asks for {shape}")
        each.append(_from_layer(cell, **arrays))
    return (cell, each[0]) if depth == 1 else (deep(cell, depth), stack(each))


def to_torch(cell: Cell, params) -> dict[str, np.ndarray]:
    """The inverse of `from_torch`, for elman, gru, lstm, and deep(...) of these with whichever tie.

    Load it with module.load_state_dict({k: torch.from_numpy(v) for k, v in ...}). Both of torch's biases are
    there unless there is none here (then bias=False); all but b_hn of the GRU stands in bias_ih.

    Raises: ValueError for a cell that torch does not have, and for a learned initial state.
    """
    inner, each = (cell.cell, levels(cell, params)) if isinstance(cell, Deep) else (cell, [params])
    name = name_among(inner, KINDS, "torch")
    biased = any(p.bias is not None or p.recurrent_bias is not None for p in each)
    state = {}
    for k, p in enumerate(each):
        refuse_initial(name, p, "torch")
        state |= {f"{part}_l{k}": array for part, array in _to_layer(p, biased).items()}
    return state


def _from_layer(cell, weight_ih, weight_hh, bias_ih=None, bias_hh=None) -> GatedParams:
    count = len(cell.gates._fields)
    rows = lambda array: cell.gates(*map(jnp.asarray, np.split(array, count)))
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


def _check_names(state) -> tuple[int, tuple[str, ...]]:
    """(number of layers, the names of their arrays)."""
    parts = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if any("bias" in k for k in state) else ()))
    depth = max(1, sum(bool(re.fullmatch(r"weight_ih_l\d+", name)) for name in state))
    expected = [f"{part}_l{k}" for k in range(depth) for part in parts]
    if odd := sorted(set(state) - set(expected)):
        reasons = {
            "_reverse": "one direction at a time, its names without _reverse",
            "weight_hr": "no proj_size",
        }
        found = [reason for mark, reason in reasons.items() if mark in " ".join(odd)]
        reason = found[0] if found else "those of nn.RNN, nn.GRU or nn.LSTM"
        raise ValueError(f"state dict: {', '.join(odd)} cannot be converted, only {reason}")
    if missing := [name for name in expected if name not in state]:
        raise ValueError(
            f"state dict lacks {', '.join(missing)}; it has {', '.join(sorted(state)) or 'nothing'}"
        )
    return depth, parts


def _check_recurrence(shape) -> tuple[int, int]:
    """(G, H) of weight_hh [G·H, H]."""
    for gates in (1, 3, 4):
        if len(shape) == 2 and shape[0] == gates * shape[1]:
            return gates, shape[1]
    raise ValueError(f"weight_hh_l0 has shape {shape}: must be [G·H, H], G = 1 (RNN), 3 (GRU) or 4 (LSTM)")
