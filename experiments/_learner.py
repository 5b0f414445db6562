"""From a config to what is trained: the learner of its task and model, or one of the user's own.

config.learner.name = "my.py:make" names a function `make(config) -> r3nn.training.Learner`. What it reads of
the config are its fields; one that was changed and that it does not read is refused, since it would do
nothing.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from configs import default
from experiments import _contradictions, _init_options
from experiments._config import RATES, check_float32, fields
from r3nn._names import lookup, unknown
from r3nn.cells import Cell
from r3nn.model import Model, as_cell, fit_hidden_size
from r3nn.model import build as build_model
from r3nn.tasks import Task, get_task
from r3nn.training import Learner, Own, Supervised

OURS = "supervised"
#: fields of a learner; the engine has the others
GROUPS = (
    *("task.", "model.", "learner.options.", "train.length", "train.min_length", "train.tbptt"),
    "compute_dtype",
)


def learner_of(config: ConfigDict, cells: dict[str, Cell], allow_code: bool) -> Learner:
    """What a checked config trains. cells: takes those of config.model, by field.

    Raises: ValueError, TypeError.
    """
    if config.learner.name == OURS:
        return _supervised(config, cells, allow_code)
    seen: set[str] = set()
    make = lookup("learner", {OURS: None}, config.learner.name, Callable, allow_code=allow_code)
    learner = make(Reading(config, seen))
    if not isinstance(learner, Learner):
        raise ValueError(f"config.learner.name={config.learner.name}: must make a Learner, got {learner!r}.")
    usual = dict(fields(default.get_config()))
    own = {f"learner.options.{name}" for name in _names(learner)}
    for name, value in fields(config):
        changed = name not in usual or value != usual[name]
        if changed and name.startswith(GROUPS) and name not in seen | own:
            raise ValueError(f"config.{name}={value!r}: {config.learner.name} does not read it; drop it.")
    return learner


class Reading:
    """A config that notes the fields which are read of it."""

    def __init__(self, config: ConfigDict, seen: set[str], prefix: str = ""):
        self._config, self._seen, self._prefix = config, seen, prefix

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"config has no field {self._prefix}{name}") from None

    def __getitem__(self, name: str) -> Any:
        value = self._config[name]
        if isinstance(value, ConfigDict):
            return Reading(value, self._seen, f"{self._prefix}{name}.")
        self._seen.add(f"{self._prefix}{name}")
        return value

    def get(self, name: str, usual: Any = None) -> Any:
        """The field, or `usual` where there is none."""
        return self[name] if name in self._config else usual

    def keys(self) -> Iterator[str]:
        """The names of the fields; with these, `**config.model` hands them all on."""
        return iter(self._config.keys())

    __iter__ = keys


def own_names(config: ConfigDict) -> tuple[str, ...]:
    """The names of the learner's traced scalars, of a config that a command line gave."""
    if config.learner.name == OURS:
        return Own._fields
    make = lookup("learner", {}, config.learner.name, Callable, allow_code=True)
    return _names(make(Reading(config, set())))


def own_of(config: ConfigDict, learner: Learner) -> Any:
    """The learner's traced scalars: config.learner.options, or their defaults. Raises: ValueError."""
    names, options = _names(learner), config.learner.options
    if config.learner.name == OURS:
        for name in options:
            if name not in names:
                raise ValueError(unknown("config.learner.options: option", name, names))
    given = {name: options[name] for name in names if name in options}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"config.learner.options.{name} must be a finite number, got {value!r}.")
    scalars = dict(zip(names, learner.own, strict=True)) | given
    return type(learner.own)(**{name: np.float32(value) for name, value in scalars.items()}) if names else ()


def _names(learner: Learner) -> tuple[str, ...]:
    return getattr(learner.own, "_fields", ())


# The one of the project's own tasks and models.


def _supervised(config: ConfigDict, cells: dict[str, Cell], allow_code: bool) -> Supervised:
    task = get_task(config.task.name, allow_code=allow_code, **config.task.options)
    cells |= _cells(config, allow_code)
    _init_options.check(config, cells.values())
    train = config.train
    return Supervised(
        model=_model(config, task, cells),
        task=task,
        length=train.length,
        min_length=train.min_length,
        batch=train.batch if train.min_length else 0,
        tbptt=train.tbptt,
        teacher_forcing=config.model.teacher_forcing,
    )


def _cells(config: ConfigDict, allow_code: bool) -> dict[str, Cell]:
    """By field of config.model, the cells of which the body is made."""
    names = {field: config.model[field] for field in ("cell", "depth_cell") if config.model[field]}
    cells = {field: as_cell(name, allow_code=allow_code) for field, name in names.items()}
    for field, cell in cells.items():
        for name, number in _numbers(cell):
            check_float32(f"config.model.{field}={names[field]}: {name}", number)
    return cells


def _numbers(value: Any) -> Iterator[tuple[str, float]]:
    """(field, number) of a cell, and of those that it is made of."""
    for field in dataclasses.fields(value):
        part = getattr(value, field.name)
        for entry in part if isinstance(part, tuple) else (part,):
            if isinstance(entry, int | float):
                yield field.name, entry
            elif dataclasses.is_dataclass(entry) and not isinstance(entry, type):
                yield from _numbers(entry)


def _model(config: ConfigDict, task: Task, cells: dict[str, Cell]) -> Model:
    wanted = config.model
    sizes = {"vocab": task.vocab} if task.vocab else {"in_size": task.in_size}

    def make(hidden_size: int):
        return build_model(
            **sizes,
            out_size=task.out_size,
            hidden_size=hidden_size,
            **cells,
            depth=wanted.depth,
            tie=_contradictions.cycle_of(wanted.tie),
            order=wanted.order,
            residual_depth=wanted.residual,
            norm_depth=wanted.norm or None,
            delay_depth=wanted.delay,
            predict_depths=wanted.predict_depths,
            refine=wanted.refine or None,
            slow=wanted.slow or None,
            **{name: wanted[name] for name in ("layer_norm", *RATES)},
            feedback=wanted.feedback or None,
            predict=wanted.predict,
            encoder=wanted.encoder,
            width=wanted.width or None,
            mode=wanted.mode,
            chunk=wanted.chunk or None,
            memory=wanted.memory or None,
            compute_dtype=None if config.compute_dtype == "float32" else config.compute_dtype,
            init=_init_options.given(config),
        )

    return make(fit_hidden_size(make, wanted.params) if wanted.params else wanted.hidden_size)
