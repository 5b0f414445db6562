"""Makes from a config what is trained: the learner of its task and model, or one of the user's own.

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

from configs.default import FIELDS
from experiments.config.fields import NAMES, asked, check_float32, fields
from experiments.errors import BadInput
from r3nn._lookup import lookup, unknown
from r3nn.cells import Cell
from r3nn.model import as_cell, build
from r3nn.tasks import get_task
from r3nn.training import Curriculum, Learner, Own, Supervised

OURS = "supervised"
#: fields of a learner; the engine has the others
GROUPS = (
    *("task.", "model.", "learner.options.", "curriculum."),
    *("train.length", "train.min_length", "train.tbptt", "train.teacher_forcing"),
)


def learner_of(config: ConfigDict, allow_code: bool) -> Learner:
    """Makes what a checked config trains. Raises: BadInput, ValueError, TypeError."""
    if config.learner.name == OURS:
        return _supervised(config, allow_code)
    seen: set[str] = set()
    make = lookup("learner", {OURS: None}, config.learner.name, Callable, allow_code=allow_code)
    learner = make(Reading(config, seen))
    if not isinstance(learner, Learner):
        raise BadInput(f"config.learner.name={config.learner.name}: must make a Learner, got {learner!r}.")
    own = {f"learner.options.{name}" for name in _names(learner)}
    for name, value in fields(config):
        changed = name not in NAMES or value != FIELDS[name].usual
        if changed and name.startswith(GROUPS) and name not in seen | own:
            raise BadInput(f"config.{name}={value!r}: {config.learner.name} does not read it; drop it.")
    return learner


class Reading:
    """Stands for a config, and notes the fields which are read of it."""

    def __init__(self, config: ConfigDict, seen: set[str], prefix: str = ""):
        self._config, self._seen, self._prefix = config, seen, prefix

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"config has no field {self._prefix}{name}.") from None

    def __getitem__(self, name: str) -> Any:
        value = self._config[name]
        if isinstance(value, ConfigDict):
            return Reading(value, self._seen, f"{self._prefix}{name}.")
        self._seen.add(f"{self._prefix}{name}")
        return value

    def get(self, name: str, usual: Any = None) -> Any:
        """Returns the field, or `usual` where there is none."""
        return self[name] if name in self._config else usual

    def keys(self) -> Iterator[str]:
        """Gives the names of the fields; with these, `**config.model` hands them all on."""
        return iter(self._config.keys())

    __iter__ = keys


def own_names(config: ConfigDict) -> tuple[str, ...]:
    """Names the learner's traced scalars, of a config that a command line gave."""
    if config.learner.name == OURS:
        return Own._fields
    make = lookup("learner", {}, config.learner.name, Callable, allow_code=True)
    return _names(make(Reading(config, set())))


def own_of(config: ConfigDict, learner: Learner) -> Any:
    """Returns the learner's traced scalars: config.learner.options, or their defaults. Raises: BadInput."""
    names, options = _names(learner), config.learner.options
    if config.learner.name == OURS:
        for name in options:
            if name not in names:
                raise BadInput(unknown("config.learner.options: option", name, names))
    given = {name: options[name] for name in names if name in options}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadInput(f"config.learner.options.{name} must be a finite number, got {value!r}.")
    scalars = dict(zip(names, learner.own, strict=True)) | given
    return type(learner.own)(**{name: np.float32(value) for name, value in scalars.items()}) if names else ()


def _names(learner: Learner) -> tuple[str, ...]:
    return getattr(learner.own, "_fields", ())


# The one of the project's own tasks and models.


def _supervised(config: ConfigDict, allow_code: bool) -> Supervised:
    with asked(config, "task.options"):
        task = get_task(config.task.name, allow_code=allow_code, **config.task.options)
    if "dtype" in config.model.init:
        why = "parameters are float32, as the inputs are; config.model.compute_dtype is of products"
        raise BadInput(f"config.model.init.dtype must be left out: {why}.")
    sizes = {"vocab": task.vocab} if task.vocab else {"in_size": task.in_size}
    with asked(config, "model", "model.init"):
        model = build(**sizes, out_size=task.out_size, **config.model, allow_code=allow_code)
    for field, cell in cells_of(config, allow_code).items():
        for name, number in _numbers(cell):
            check_float32(f"config.model.{field}={config.model[field]}: {name}", number)
    train = config.train
    whole = {
        "model": model,
        "task": task,
        "length": train.length,
        "min_length": train.min_length,
        "batch": train.batch,
        "tbptt": train.tbptt,
        "teacher_forcing": train.teacher_forcing,
    }
    with asked(config, "train", "model", "curriculum"):
        stages = _stages(config, allow_code)
        return Curriculum(**whole, **stages, updates=train.updates) if stages else Supervised(**whole)


def _stages(config: ConfigDict, allow_code: bool) -> dict[str, Any]:
    """Returns the fields of a curriculum; {} where the config asks for none."""
    asked_for = config.curriculum
    words = [word.strip() for word in asked_for.lengths.split(",")] if asked_for.lengths else []
    if not all(word.isascii() and word.isdecimal() for word in words):
        must = 'must be whole numbers with commas between, as "8,14,24"'
        raise BadInput(f"config.curriculum.lengths={asked_for.lengths!r}: {must}.")
    if not words and not asked_for.words:
        return {}
    first = None
    if asked_for.words:
        options = {**config.task.options, "words": asked_for.words}
        if not hasattr(get_task(config.task.name, allow_code=allow_code), "words"):
            why = f"task {config.task.name!r} has no option words"
            raise BadInput(f"config.curriculum.words={asked_for.words!r}: {why}; it must be left out.")
        with asked(config, "curriculum"):
            first = get_task(config.task.name, allow_code=allow_code, **options)
    how = {"success": asked_for.success, "end_fraction": asked_for.end_fraction}
    return {"lengths": tuple(map(int, words)), "first": first, **how}


def cells_of(config: ConfigDict, allow_code: bool) -> dict[str, Cell]:
    """Lists, by field of config.model, the cells of which the body is made."""
    names = {field: config.model[field] for field in ("cell", "depth_cell") if config.model[field]}
    return {field: as_cell(name, allow_code=allow_code) for field, name in names.items()}


def _numbers(value: Any) -> Iterator[tuple[str, float]]:
    """Yields (field, number) of a cell, and of those that it is made of."""
    for field in dataclasses.fields(value):
        part = getattr(value, field.name)
        for entry in part if isinstance(part, tuple) else (part,):
            if isinstance(entry, int | float):
                yield field.name, entry
            elif dataclasses.is_dataclass(entry) and not isinstance(entry, type):
                yield from _numbers(entry)
