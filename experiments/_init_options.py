"""config.model.init: the options that the cells' `init` takes by name."""

import dataclasses
import inspect
import math
from collections.abc import Iterable, Iterator
from typing import Any

from ml_collections import ConfigDict

from configs import default
from experiments._config import check_float32
from r3nn.cells import Cell

KINDS = {bool: "true or false", float: "a finite number"}  # of an option, by its default


def given(config: ConfigDict) -> dict[str, Any]:
    """Those that differ from default.py: not every cell's `init` knows each of them."""
    usual, options = default.get_config().model.init, config.model.init
    return {name: value for name, value in options.items() if name not in usual or value != usual[name]}


def known(cells: Iterable[Cell]) -> set[str]:
    """The options that all cells know."""
    return set.intersection(*(set(_options(cell)) for cell in cells))


def check(config: ConfigDict, cells: Iterable[Cell]) -> None:
    """Raises ValueError for a value of another kind than the option's default."""
    defaults = {}
    for cell in cells:
        for part in parts(cell):
            defaults |= _options(part)
    for name, value in given(config).items():
        if name.endswith("_init"):
            raise ValueError(f"config.model.init.{name} must be left out: a config cannot hold a function.")
        if name == "dtype":
            raise ValueError(
                "config.model.init.dtype must be left out: parameters are float32, as the inputs are; "
                "config.compute_dtype lowers the precision of products."
            )
        kind = type(defaults.get(name))
        if kind in KINDS and not _fits(kind, value):
            raise ValueError(f"config.model.init.{name} must be {KINDS[kind]}, got {value!r}.")
        if kind is float:
            check_float32(f"config.model.init.{name}", value)


def _fits(kind: type, value: Any) -> bool:
    if kind is bool or isinstance(value, bool):
        return isinstance(value, kind)
    return isinstance(value, int | float) and abs(value) < math.inf


def parts(cell: Cell) -> Iterator[Cell]:
    """A cell, and those that it is made of."""
    yield cell
    for field in dataclasses.fields(cell) if dataclasses.is_dataclass(cell) else ():
        if isinstance(part := getattr(cell, field.name), Cell):
            yield from parts(part)


def _options(cell: Cell) -> dict[str, Any]:
    """Their defaults by name, but for functions, which no config can hold, and the dtype."""
    inits = [vars(kind)["init"] for kind in reversed(type(cell).__mro__) if "init" in vars(kind)]
    parameters = [p for init in inits for p in inspect.signature(init).parameters.values()]
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "dtype"]
    return {p.name: p.default for p in named if not p.name.endswith("_init")}
