"""Checks the options of the cells' `init` before any of them is called."""

import inspect
import math
import numbers
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from r3nn._lookup import FieldError, unknown
from r3nn.cells import Cell
from r3nn.cells._composition import parts

Parameters = dict[str, inspect.Parameter]
GIVEN = ("self", "key", "in_size", "hidden_size", "dtype")  # by us; the dtype is of a whole model


def checked(options: Mapping[str, Any] | None, cell: Cell) -> tuple[tuple[str, Any], ...]:
    """Returns the options in pairs, for a `Model`. Raises: FieldError, in one sentence, for one that a
    cell in `cell` does not know, or that is of another kind than its default; TypeError for a dtype that
    is none."""
    options = {name: value for name, value in dict(options or {}).items() if (name, value) != ("chrono", 0)}
    known = _known(cell)
    for name, value in options.items():
        if name == "dtype":
            options[name] = _floating(value)
        elif known is not None and name not in known:
            raise FieldError(name, unknown("init option", name, known))
        elif known is not None and (wanted := _wanted(known[name], value)):
            raise FieldError(name, f"{name} must be {wanted}, got {value!r}.")
    return tuple(sorted(options.items()))


def _known(cell: Cell) -> Parameters | None:
    """Returns what `init` of a cell, and `init` of all cells in it, take by name; None where they may take
    any name."""
    own: Parameters = {}
    for kind in type(cell).__mro__:
        if "init" not in vars(kind):
            continue
        named = inspect.signature(vars(kind)["init"]).parameters
        rest = {name for name, p in named.items() if p.kind is p.VAR_KEYWORD}
        own |= {name: p for name, p in named.items() if name not in {*GIVEN, *rest}}
        if not rest:
            return own
    inner = [found for part in parts(cell) if (found := _known(part)) is not None]
    if not inner:
        return None
    return {name: p for name, p in inner[0].items() if all(name in one for one in inner)} | own


def _wanted(parameter: inspect.Parameter, value: Any) -> str:
    """Says what the option must be, where the value is something else."""
    usual, kinds = parameter.default, (parameter.annotation, type(parameter.default))
    if value is usual:
        return ""
    if parameter.name.endswith("_init"):
        return "" if callable(value) else "a function (key, shape, dtype) -> array, or left out"
    if bool in kinds:
        return "" if isinstance(value, bool) else "true or false"
    if float in kinds or parameter.annotation == float | None:
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        return "" if number and math.isfinite(value) else "a finite number"
    return ""


def _floating(dtype):
    """Checks the dtype of parameters. Raises: TypeError for what is no dtype, ValueError for one that is not
    floating."""
    dtype = jnp.dtype(dtype)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise FieldError("dtype", f"init dtype={dtype}: must be a floating dtype, such as bfloat16.")
    return dtype
