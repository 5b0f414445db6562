"""Builds what is trained from a checked config."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiments.building.experiment import Experiment
from experiments.building.learners import learner_of, own_of
from experiments.building.memory_limit import check_memory, machine_memory
from experiments.building.user_code import code_at_fault, in_one_sentence, run_files
from experiments.config import contradictions
from experiments.config.fields import asked, complete
from r3nn import training
from r3nn._lookup import lookup
from r3nn.analysis import live_bytes

_updates = jax.jit(training.updates, static_argnums=(0, 3))  # follows each spec once in a process


def vary(experiment: Experiment, config: ConfigDict) -> Experiment:
    """Returns the same architecture under a config that differs in hyperparameters alone.

    Raises: BadInput.
    """
    config = complete(config)
    contradictions.check(config, experiment.spec)
    return dataclasses.replace(experiment, config=config, hparams=_hparams(config, experiment.learner))


def build(config: ConfigDict, devices: int = 1, *, allow_code: bool = False) -> Experiment:
    """Checks a config and builds what it describes. Raises: BadInput, in one sentence.

    devices: of this host, that training is split over; config.devices is what was asked for. allow_code:
    whether the Python files that the config names may be run, as those of a command line may.
    """
    config = complete(config)
    if allow_code:
        run_files(config)
    with in_one_sentence(config, allow_code):
        learner, count = _learner(config, allow_code)
        spec = _spec(config, learner, devices, allow_code)
        contradictions.check(config, spec)
        hparams = _hparams(config, learner)
        with asked(config, "model"), code_at_fault(config):
            experiment = Experiment(config, spec, hparams, learner.arrays(), count)
            needed = _trace(experiment)
    return dataclasses.replace(experiment, update_bytes=needed)


def _learner(config: ConfigDict, allow_code: bool) -> tuple[training.Learner, int]:
    """Returns (what is trained, how many parameters it has). Raises: BadInput, also where these would not
    fit."""
    with code_at_fault(config):
        learner = learner_of(config, allow_code)
        params = jax.eval_shape(learner.init, jax.random.key(0))
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    check_memory(16 * count, machine_memory(), f"{count:,} parameters, their gradients and two moments")
    return learner, count


def _trace(experiment: Experiment) -> int:
    """Follows the shapes and dtypes of an update, and of what the learner's probes say of it -> the bytes
    that the update holds at its fullest.

    Raises: what these would, before anything is made; ValueError for a probe that gives no scalars.
    """
    spec, hparams = experiment.spec, experiment.hparams
    updates = lambda state, arrays: _updates(spec, hparams, state, spec.sync_every, arrays)
    state = jax.eval_shape(experiment.start)
    needed = live_bytes(updates, state, experiment.arrays)
    if spec.learner.probes:
        probe = lambda state, arrays: training.probe(spec, hparams, state, arrays)
        for name, found in jax.eval_shape(probe, state, experiment.arrays).items():
            if any(leaf.shape for leaf in jax.tree.leaves(found)):
                raise ValueError(f"the learner's probe {name!r} must give a tree of scalars, got {found}.")
    return needed


def _spec(config: ConfigDict, learner: training.Learner, devices: int, allow_code: bool) -> training.Spec:
    name = config.optimizer.name
    if name not in training.OPTIMIZERS:
        name = lookup("optimizer", training.OPTIMIZERS, name, Callable, allow_code=allow_code)
    names = [field.name for field in dataclasses.fields(training.Spec)]
    with asked(config, "train", "optimizer", ""):
        return training.Spec(learner=learner, optimizer=name, devices=devices, **_called(names, config))


def _hparams(config: ConfigDict, learner: training.Learner) -> training.HParams:
    scalars = _called(training.HParams._fields, config)
    scalars["clip"] = scalars["clip"] or np.inf
    scalars = {name: np.float32(value) for name, value in scalars.items()}
    return training.HParams(np.uint32(config.seed), **scalars, own=own_of(config, learner))


def _called(names: Iterable[str], config: ConfigDict) -> dict[str, Any]:
    """Returns the fields of training and optimizer that are among `names`, as arguments of the library."""
    groups = (config.train, config.optimizer)
    return {name: group[name] for group in groups for name in names if name in group}
