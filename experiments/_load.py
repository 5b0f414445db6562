"""From the folder of a run to its model and parameters."""

import contextlib
import dataclasses
import os
from typing import Any, NamedTuple

import jax

from experiments._build import Experiment, build
from experiments._checkpoint import Checkpoints, Damaged
from experiments._workdir import Workdir
from experiments.errors import BadInput


class Learned(NamedTuple):
    """What a checkpoint holds, and of what experiment."""

    experiment: Experiment
    params: Any
    step: int  # updates completed


def load(workdir: str | os.PathLike, step: int | None = None) -> tuple[Any, Any, Any]:
    """See `experiments.load`."""
    experiment, params, _ = restore(workdir, step)
    return experiment.spec.model, params, experiment.config


def restore(workdir: str | os.PathLike, step: int | None = None) -> Learned:
    """As `experiments.load`, with all that is known."""
    place = Workdir(workdir)
    experiment = build(place.read_config())
    if not place.checkpoints.is_dir():
        raise BadInput(f"{place.path}: has no checkpoint yet.")
    trained = dataclasses.replace(experiment.spec, devices=max(1, experiment.config.devices))
    like = jax.eval_shape(dataclasses.replace(experiment, spec=trained).start)
    with contextlib.closing(Checkpoints(place.checkpoints, read_only=True)) as checkpoints:
        for candidate in _candidates(checkpoints, place, step):
            with contextlib.suppress(Damaged):
                state, _ = checkpoints.read(candidate, like)
                return Learned(experiment, state.params, candidate)
    raise BadInput(f"{place.checkpoints}: holds no checkpoint that is good{_of(step)}.")


def _candidates(checkpoints: Checkpoints, place: Workdir, step: int | None) -> list[int]:
    """Steps to try: the one that was asked for; or the best, and then from the newest on."""
    steps = checkpoints.steps()
    if step is not None:
        if step not in steps:
            raise BadInput(f"step={step}: {place.checkpoints} has {', '.join(map(str, steps)) or 'none'}.")
        return [step]
    newest = steps[::-1]
    for candidate in newest:
        with contextlib.suppress(Damaged):
            best = checkpoints.counters(candidate).best_step
            return sorted(newest, key=lambda step: step != best)
    return newest


def _of(step: int | None) -> str:
    return "" if step is None else f" of step {step}"
