"""From a checked config to what is trained."""

import dataclasses
import math
import os
import re
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiments import _contradictions, _init_options
from experiments._config import RATES, complete, running
from experiments.errors import BadInput
from r3nn import training
from r3nn._names import lookup, unknown
from r3nn.model import Model, count_params, fit_hidden_size
from r3nn.model import build as build_model
from r3nn.nnx import R3NN, Functional
from r3nn.tasks import Task, get_task

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


def build(config: ConfigDict, devices: int = 1) -> Experiment:
    """Checks a config and builds what it describes. Raises: BadInput, in one sentence.

    devices: of this host, that training is split over; config.devices is what was asked for.
    """
    config = complete(config)
    _run_files(config)
    try:
        _init_options.check(config)
        task = get_task(config.task.name, **config.task.options)
        model = _model(config, task)
        _check_memory(config, model)
        module = lambda key: Functional.split(R3NN.from_params(model, model.init(key)))
        spec = _spec(config, task, _functional(module), devices)
        _contradictions.check(config, spec)
        init = lambda key: module(key)[1]
        experiment = Experiment(config, spec, _hparams(config), init, count_params(model), model.hidden_size)
        _trace(experiment)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInput(_sentence(error, config)) from error
    return experiment


def _run_files(config: ConfigDict) -> None:
    """Runs the Python files that a task or a cell comes from. Raises: BadInput for whatever that raises."""
    for field in ("task.name", "model.cell", "model.depth_cell"):
        group, name = field.split(".")
        if ".py:" in config[group][name]:
            with running(f"config.{field}", config[group][name]):
                lookup(name.removeprefix("depth_"), {}, config[group][name])


def _trace(experiment: Experiment) -> None:
    """Follows the shapes and dtypes of an update. Raises: what the update would, before anything is made."""
    spec, hparams = experiment.spec, experiment.hparams
    updates = lambda state: training.updates(spec, hparams, state, spec.sync_every)
    jax.eval_shape(updates, jax.eval_shape(experiment.start))


def _sentence(error: Exception, config: ConfigDict) -> str:
    """What went wrong, on one line, with the field's name where the library knows it as an option."""
    text = " ".join(str(error).split())
    if match := re.search(r"init\(\) got an unexpected keyword argument '(\w+)'", text):
        return f"config.model.init.{match[1]}: {unknown('option', match[1], _init_options.known(config))}"
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
    found = (group for group, fields in groups.items() if name in fields and name != "cell")  # or depth_cell
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


def _model(config: ConfigDict, task: Task) -> Model:
    wanted = config.model
    sizes = {"vocab": task.vocab} if task.vocab else {"in_size": task.in_size}

    def make(hidden_size: int):
        return build_model(
            **sizes,
            out_size=task.out_size,
            hidden_size=hidden_size,
            cell=wanted.cell,
            depth=wanted.depth,
            depth_cell=wanted.depth_cell or None,
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
