"""From a checked config to what is trained."""

import contextlib
import dataclasses
import math
import os
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiments import _code, _contradictions, _init_options
from experiments._config import RATES, check_float32, complete, running
from experiments.errors import BadInput
from r3nn import training
from r3nn._names import lookup, unknown
from r3nn.cells import Cell
from r3nn.model import Model, as_cell, count_params, fit_hidden_size
from r3nn.model import build as build_model
from r3nn.nnx import R3NN, Functional
from r3nn.tasks import Task, get_task
from r3nn.time import CellError

NONE = MappingProxyType({})
SENTENCE = 300  # characters of an error that is not ours
#: fields by the names that the library has for them, where it has others
RENAMED = {"recurrent_dropout": "model.dropout_candidate", "max_length": "train.length"}


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config, and what it means."""

    config: ConfigDict  # whole and checked
    spec: training.Spec
    hparams: training.HParams
    init: Callable[[Any], Any]  # key -> parameters
    parameters: int  # their number
    hidden_size: int

    def start(self) -> training.TrainState:
        """The state before the first update, a pure function of the seed."""
        return start(self.spec, self.init, self.hparams)

    def placed(self) -> training.TrainState:
        """Shapes and shardings of a state."""
        return training.placed(self.spec, jax.eval_shape(self.start))


def start(spec: training.Spec, init: Callable[[Any], Any], hparams: training.HParams) -> training.TrainState:
    """The state before the first update, of the seed in `hparams`."""
    return training.start(spec, hparams, init(training.stream(hparams.seed, training.INIT)))


def vary(experiment: Experiment, config: ConfigDict) -> Experiment:
    """The same architecture under a config that differs in hyperparameters alone. Raises: BadInput."""
    config = complete(config)
    try:
        _contradictions.check(config, experiment.spec)
    except ValueError as error:
        raise BadInput(_sentence(error, config)) from error
    return dataclasses.replace(experiment, config=config, hparams=_hparams(config))


def build(config: ConfigDict, devices: int = 1, *, allow_code: bool = False) -> Experiment:
    """Checks a config and builds what it describes. Raises: BadInput, in one sentence.

    devices: of this host, that training is split over; config.devices is what was asked for. allow_code:
    whether the Python files that the config names may be run, as those of a command line may.
    """
    config = complete(config)
    if allow_code:
        _run_files(config)
    cells = {}
    try:
        task = get_task(config.task.name, allow_code=allow_code, **config.task.options)
        cells |= _cells(config, allow_code)
        _init_options.check(config, cells.values())
        model = _model(config, task, cells)
        _check_memory(config, model)
        module = lambda key: Functional.split(R3NN.from_params(model, model.init(key)))
        spec = _spec(config, task, _functional(module), devices)
        _contradictions.check(config, spec)
        init = lambda key: module(key)[1]
        experiment = Experiment(config, spec, _hparams(config), init, count_params(model), model.hidden_size)
        with _task_at_fault(config):
            _trace(experiment)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInput(_sentence(error, config, cells)) from error
    return experiment


def _run_files(config: ConfigDict) -> None:
    """Runs the Python files that a task or a cell comes from. Raises: BadInput for whatever that raises."""
    for field in _code.files(config):
        group, name = field.split(".")
        with running(f"config.{field}", config[group][name]):
            kind, of = ("task", Task) if group == "task" else ("cell", Cell)
            lookup(kind, {}, config[group][name], of, allow_code=True)


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


@contextlib.contextmanager
def _task_at_fault(config: ConfigDict) -> Iterator[None]:
    """Around what calls a task. Raises: BadInput for what a task from a file raises, of whatever kind."""
    try:
        yield
    except Exception as error:
        file, _ = _code.files(config).get("task.name", (None, None))
        if str(file) not in {frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)}:
            raise
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:SENTENCE].rstrip('.')}"
        raise BadInput(
            f"config.task.name={config.task.name}: fails ({what}); R3NN_TRACEBACK=1 shows where."
        ) from error


def _trace(experiment: Experiment) -> None:
    """Follows the shapes and dtypes of an update. Raises: what the update would, before anything is made."""
    spec, hparams = experiment.spec, experiment.hparams
    updates = lambda state: training.updates(spec, hparams, state, spec.sync_every)
    jax.eval_shape(updates, jax.eval_shape(experiment.start))


def _sentence(error: Exception, config: ConfigDict, cells: Mapping[str, Cell] = NONE) -> str:
    """What went wrong, on one line, with the field's name where the library knows it as an option.

    cells: of config.model, by field.
    """
    text = " ".join(str(error).split())
    if isinstance(error, CellError):
        field = next(name for name, cell in cells.items() if error.cell in _init_options.parts(cell))
        return f"config.model.{field}={config.model[field]}: {text}."
    if match := re.search(r"init\(\) got an unexpected keyword argument '(\w+)'", text):
        known = _init_options.known(cells.values())
        return f"config.model.init.{match[1]}: {unknown('option', match[1], known)}"
    if isinstance(error, OverflowError):
        return f"config.model: a size in it is too large ({text})."
    if text.startswith("chrono"):
        text = f"config.model.init.{text}"
    text = text if len(text) <= SENTENCE else f"{text[:SENTENCE]} ..."
    return f"{_field(text, config)}{text.rstrip('.')}{'...' if text.endswith('...') else '.'}"


def _field(text: str, config: ConfigDict) -> str:
    """What makes a field of the option's name with which a sentence of the library begins."""
    name = re.match(r"\w*", text)[0]
    if name in RENAMED:
        return f"config.{RENAMED[name]}: "
    groups = {"model": config.model, "train": config.train, "optimizer": config.optimizer}
    groups["task.options"] = config.task.options
    several = ("cell", "params")  # which may be the depth_cell, and a cell's own parameters
    found = (group for group, fields in groups.items() if name in fields and name not in several)
    group = next(found, None)
    return f"config.{group}." if group else ""


def _check_memory(config: ConfigDict, model: Model) -> None:
    """Parameters, gradients, two moments and the state of one step: the least that training holds."""
    params = jax.eval_shape(model.init, jax.random.key(0))
    state = jax.eval_shape(lambda params: model.start(params, (config.train.batch,)), params)
    numbers = lambda tree: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
    needed = 4 * (4 * numbers(params) + numbers(state))
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise ValueError(
            f"config.model has {numbers(params):,} parameters at hidden size {model.hidden_size}: with "
            f"config.train.batch={config.train.batch} it takes {needed / 2**30:,.0f} GiB or more, and this "
            f"machine has {there / 2**30:,.0f} GiB."
        )


def _functional(module: Callable[[Any], tuple[Functional, Any]]) -> Functional:
    """The static half of a module, of which no array is made."""
    found = []
    jax.eval_shape(lambda key: found.append(module(key)[0]), jax.random.key(0))
    return found[0]


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


def _spec(config: ConfigDict, task: Task, model, devices: int) -> training.Spec:
    train, optimizer = config.train, config.optimizer
    return training.Spec(
        model=model,
        task=task,
        batch=train.batch,
        max_length=train.length,
        min_length=train.min_length or None,
        updates=train.updates,
        optimizer=optimizer.name,
        schedule=optimizer.schedule,
        warmup=optimizer.warmup,
        end_fraction=optimizer.end_fraction,
        predict_last=config.model.predict == "last",
        teacher_forcing=config.model.teacher_forcing,
        tbptt=train.tbptt,
        devices=devices,
        sync_every=train.sync_every,
    )


def _hparams(config: ConfigDict) -> training.HParams:
    optimizer = config.optimizer
    scalars = {
        "learning_rate": optimizer.lr,
        "weight_decay": optimizer.weight_decay,
        "clip": optimizer.clip or np.inf,
        "b1": optimizer.b1,
        "b2": optimizer.b2,
        "depth_weight": config.train.depth_weight,
        "outer_lr": config.train.outer_lr,
        "outer_momentum": config.train.outer_momentum,
    }
    return training.HParams(np.uint32(config.seed), **{k: np.float32(v) for k, v in scalars.items()})
