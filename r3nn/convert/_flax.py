"""Converts params from and to Flax's cells.

Flax keeps a cell's arrays in one of two ways. Linen, and nnx.LSTMCell: a kernel per gate, "i" + letter for
the input's and "h" + letter for the hidden state's. The other nnx cells: all gates side by side in the
columns of `dense_i` and `dense_h`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from r3nn.cells import ACTIVATIONS, CELLS, Cell, GatedParams, LSTMState
from r3nn.convert._correspondence import check_said, is_named, name_among, refuse_initial

# Our gates, in the order of Flax's columns, and Flax's letters for them.
GATES = {
    "elman": {"candidate": ""},
    "gru": {"reset": "r", "update": "z", "candidate": "n"},
    "lstm": {"input": "i", "forget": "f", "cell": "g", "output": "o"},
    "mgu_reset_after": {"forget": "f", "candidate": "n"},
    "ugrnn": {"update": "f", "candidate": "n"},  # MGUCell(reset_gate=False), whose gate keeps: z = 1 - f
}
NEGATED = {"ugrnn": "update"}
SIGMOIDS = (jax.nn.sigmoid,)


def from_flax(tree: Mapping[str, Any], activation: Callable = jnp.tanh) -> tuple[Cell, GatedParams]:
    """Converts the params of one of Flax's cells -> (the cell here that computes the same, its params).

    GRUCell -> gru, SimpleCell -> elman, LSTMCell and OptimizedLSTMCell -> lstm, MGUCell ->
    mgu_reset_after (without its reset gate: ugrnn).

    Args:
      tree: variables["params"] of a Linen cell, or nnx.to_pure_dict(nnx.state(cell, nnx.Param)); arrays in
        Flax's default form (kernels [in, out]).
      activation: the cell's activation_fn, which arrays cannot say.

    Raises: ValueError where the names are those of no such cell, and for a part without a kernel.
    """
    tree = _per_gate(tree)
    name = _recognize(tree)
    cell, letters = dataclasses.replace(CELLS[name], activation=activation), GATES[name]

    def gates(read):
        arrays = {gate: read(gate, letter) for gate, letter in letters.items()}
        arrays = {gate: -a if gate == NEGATED.get(name) else a for gate, a in arrays.items()}
        return cell.gates(**arrays)

    def bias(gate, letter):
        apart = cell.biased_recurrence and gate == "candidate"
        both = [tree["i" + letter].get("bias"), None if apart else tree["h" + letter].get("bias")]
        given = [b for b in both if b is not None]
        return sum(given) if given else jnp.zeros_like(tree["i" + letter]["kernel"][0])

    return cell, GatedParams(
        input=gates(lambda gate, letter: tree["i" + letter]["kernel"]),
        recurrent=gates(lambda gate, letter: tree["h" + letter]["kernel"]),
        bias=gates(bias),
        recurrent_bias=tree["hn"].get("bias") if cell.biased_recurrence else None,
        initial=None,
    )


def to_flax(
    cell: Cell, params: GatedParams, activation: Callable = jnp.tanh
) -> dict[str, dict[str, jax.Array]]:
    """Undoes `from_flax`: returns variables["params"] of a Linen cell; absent biases are zeros.

    Raises: ValueError for a cell that Flax does not have, another activation, and a learned initial state.
    """
    name = name_of(cell)
    check_said(name, cell, activation)
    refuse_initial(name, params, "Flax")
    tree = {}
    for gate, letter in GATES[name].items():
        sign = -1 if gate == NEGATED.get(name) else 1
        w, u = getattr(params.input, gate), getattr(params.recurrent, gate)
        bias = jnp.zeros_like(w[0]) if params.bias is None else getattr(params.bias, gate)
        tree["i" + letter], tree["h" + letter] = {"kernel": sign * w}, {"kernel": sign * u}
        tree[("h" if name == "lstm" else "i") + letter]["bias"] = sign * bias
    if cell.biased_recurrence:
        absent = params.recurrent_bias is None
        tree["hn"]["bias"] = jnp.zeros_like(params.recurrent[0][0]) if absent else params.recurrent_bias
    return tree


def columns(tree: Mapping[str, Any], name: str) -> dict[str, dict[str, jax.Array]]:
    """Joins an array per gate to nnx's `dense_i` and `dense_h`, for the cell called `name`."""

    def beside(side, part):
        sides = [tree[side + letter] for letter in GATES[name].values()]
        if not any(part in arrays for arrays in sides):
            return None
        zeros = jnp.zeros_like(sides[0]["kernel"][0])
        return jnp.concatenate([arrays.get(part, zeros) for arrays in sides], axis=-1)

    both = {f"dense_{side}": {part: beside(side, part) for part in ("kernel", "bias")} for side in "ih"}
    return {side: {part: a for part, a in arrays.items() if a is not None} for side, arrays in both.items()}


def name_of(cell: Cell) -> str:
    """Returns the name of a cell that Flax has too. Raises: ValueError for one that it has not."""
    return name_among(cell, GATES, "Flax")


def state_from_flax(cell: Cell, carry):
    """Converts Flax's carry to our state: (c, h) -> LSTMState(h, c), others as they are."""
    return LSTMState(h=carry[1], c=carry[0]) if is_named(cell, "lstm") else carry


def carry_to_flax(cell: Cell, state):
    """Converts our state to Flax's carry; undoes `state_from_flax`."""
    return (state.c, state.h) if is_named(cell, "lstm") else state


def check_options(cell, **allowed) -> None:
    """Raises ValueError, in one sentence, where an option of a Flax cell changes what it computes."""
    allowed = {
        "gate_fn": SIGMOIDS,
        "activation_fn": tuple(ACTIVATIONS.values()),
        "dtype": (None, cell.param_dtype),
        "residual": (False,),
        "carry_init": (None, jax.nn.initializers.zeros),
        **allowed,
    }
    for option, values in allowed.items():
        value = getattr(cell, option, values[0])
        if value not in values:
            raise ValueError(
                f"{type(cell).__name__}({option}={value!r}) has no counterpart among r3nn's cells."
            )


def _per_gate(tree):
    """Returns Flax's arrays under Linen's names, whichever way they are kept."""
    if set(tree) != {"dense_i", "dense_h"}:
        return {name.rstrip("_"): arrays for name, arrays in tree.items()}  # nnx writes if_
    _check_kernels(tree)
    size, width = jnp.shape(tree["dense_h"]["kernel"])
    letters = {1: [""], 3: list("rzn"), 4: list("ifgo")}.get(width // size, [])
    cut = lambda arrays, i: {
        part: a[..., i * size : (i + 1) * size] for part, a in arrays.items() if a is not None
    }
    return {side + letter: cut(tree[f"dense_{side}"], i) for i, letter in enumerate(letters) for side in "ih"}


def _check_kernels(tree) -> None:
    """Raises ValueError where a part has none."""
    for name, arrays in tree.items():
        if not isinstance(arrays, Mapping) or jnp.ndim(arrays.get("kernel", 0.0)) != 2:
            raise ValueError(f"params {name!r} must be a dict with a kernel [in, out] (and a bias).")


def _recognize(tree) -> str:
    letters = {name[1:] for name in tree}
    names = [name for name, gates in GATES.items() if set(gates.values()) == letters]
    if not names or set(tree) != {side + letter for side in "ih" for letter in letters}:
        raise ValueError(
            f"params {sorted(tree)} are not those of Flax's GRUCell, SimpleCell, LSTMCell, "
            "OptimizedLSTMCell or MGUCell."
        )
    _check_kernels(tree)
    if names == ["mgu_reset_after", "ugrnn"]:
        return "mgu_reset_after" if "bias" in tree["hn"] else "ugrnn"
    return names[0]
