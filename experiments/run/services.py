"""Answers a program that tries many configs: is a config good, what measures it; and trains its runs.

A sweep is handed this module as its `experiments.sweeps.trainer.Trainer`: it does not import the modules that
this one does.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from configs._fields import nested
from experiments.building import assembly
from experiments.building.assembly import vary
from experiments.building.experiment import Experiment
from experiments.building.learners import learner_of
from experiments.config import command_line
from experiments.config.fields import check_names, complete, fields, first_difference, merge
from experiments.errors import BadInput
from experiments.program.locks import free as unlocked
from experiments.program.python_files import running
from experiments.run import grouping, training
from experiments.run.grouping import together
from experiments.run.jax_settings import check_cache
from experiments.run.loop import Ended, Member, Outcome
from experiments.run.training import run
from experiments.saved.workdir import LOCK

__all__ = [
    "base",
    "build",
    "check_cache",
    "check_names",
    "complete",
    "difference",
    "free",
    "in_use",
    "measured",
    "run",
    "run_members",
    "takes",
    "together",
    "vary",
    "with_values",
]  # as they are where they come from


# Configs.


def base(config: str, overrides: Iterable[str]) -> ConfigDict:
    """Reads the config of a file, with --config.FIELD=VALUE. Raises: BadInput."""
    return command_line.parse(["sweep", f"--config={config}", "--dry_run", *overrides], "").config


def takes(words: list[str]) -> bool:
    """Says whether experiments/train.py takes a command line."""
    try:
        complete(command_line.parse(words, "").config)
    except BadInput:
        return False
    return True


def with_values(config: Mapping[str, Any], values: Mapping[str, Any]) -> ConfigDict:
    """Sets some fields of `config`. Raises: BadInput for a name or type that is no config's."""
    return merge(ConfigDict(nested({**dict(fields(ConfigDict(config))), **values})))


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """Returns the first field, of those that change results, in which two configs differ."""
    return first_difference(*(merge(ConfigDict(config)) for config in (one, other)))


# What they mean.


def build(config: ConfigDict) -> Experiment:
    """Builds what a config of a command line describes, which names the files. Raises: BadInput."""
    return assembly.build(config, allow_code=True)


def free(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Lists the fields that no compiled program depends on."""
    return grouping.free(ConfigDict(config))


def measured(config: ConfigDict, allow_code: bool) -> tuple[float | None, float | None]:
    """Returns (the metric of trivial predictions, where that is known; the metric at which training stops, if
    any).

    allow_code: whether the file that a task is in may be run. Raises: BadInput.
    """
    with running("config.task.name", config.task.name):
        learner = learner_of(complete(config), allow_code=allow_code)
    baseline = learner.baseline().get(learner.metric)
    return None if baseline is None else float(baseline), config.train.target or None


# Training.


def run_members(members: Sequence[dict[str, Any]], ended: Ended | None = None) -> list[Outcome]:
    """Trains side by side what `run` takes one by one. Raises: as `experiments.run.training.run_members`."""
    return training.run_members([Member(**member) for member in members], ended)


def in_use(workdir: Path) -> bool:
    """Says whether a process trains in a work folder."""
    return (workdir / LOCK).exists() and not unlocked(workdir / LOCK)
