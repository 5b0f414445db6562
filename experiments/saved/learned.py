"""Reads the model and the parameters of a run from its folder."""

import contextlib
import dataclasses
import os
import sys
from typing import Any, NamedTuple

import jax

from experiments.building.assembly import build
from experiments.building.experiment import Experiment
from experiments.config import named_code
from experiments.errors import BadInput
from experiments.processes import membership
from experiments.saved.checkpoints import Checkpoints, Damaged
from experiments.saved.workdir import Workdir
from r3nn import linen, nnx
from r3nn._lookup import check_choice
from r3nn.model import Model

FORMS = ("pure", "nnx", "linen")


class Learned(NamedTuple):
    """Holds what a checkpoint does, and of what experiment it is."""

    experiment: Experiment
    params: Any
    shared: Any  # what all rows of the run share
    step: int  # updates completed
    damaged: dict[int, str]  # by step: checkpoints that would have come first, and what is wrong with them


def load(workdir: str | os.PathLike, step: int | None, form: str, allow_code: bool) -> tuple[Any, Any, Any]:
    """Does what `experiments.load` says."""
    try:
        check_choice("form", form, FORMS)
    except ValueError as error:
        raise BadInput(str(error)) from error
    learned = restore(workdir, step, allow_code)
    config, params = learned.experiment.config, learned.params
    model = getattr(learned.experiment.learner, "model", learned.experiment.learner)
    if form == "pure":
        return model, params, config
    if not isinstance(model, Model):
        raise BadInput(
            f"form={form!r}: the model is no r3nn.model.Model but {type(model).__name__}; take 'pure'."
        )
    if form == "linen":
        return linen.R3NN(model), linen.variables(params), config
    return *nnx.Functional.split(nnx.R3NN.from_params(model, params)), config


def restore(workdir: str | os.PathLike, step: int | None = None, allow_code: bool = False) -> Learned:
    """Does as `experiments.load`, and returns all that is known."""
    place = Workdir(workdir)
    experiment = _described(place, allow_code)
    if not place.checkpoints.is_dir():
        raise BadInput(f"{place.path}: has no checkpoint yet.")
    trained = dataclasses.replace(experiment.spec, devices=max(1, experiment.config.devices))
    like = jax.eval_shape(dataclasses.replace(experiment, spec=trained).start)
    damaged: dict[int, str] = {}
    with contextlib.closing(Checkpoints(place.checkpoints, _warn, read_only=True)) as checkpoints:
        for candidate in _candidates(checkpoints, place, step, damaged):
            try:
                state, _ = checkpoints.read(candidate, like)
            except Damaged as damage:
                there = candidate in checkpoints.steps()  # a run that goes on may have removed it meanwhile
                damaged[candidate] = str(damage) if there else "it is not there"
                continue
            for bad, reason in damaged.items():
                _warn(f"checkpoint {bad} is damaged ({reason}); checkpoint {candidate} is taken instead.")
            return Learned(experiment, state.params, state.carry.shared, candidate, damaged)
    reasons = "; ".join(f"{bad}: {reason}" for bad, reason in damaged.items())
    raise BadInput(f"{place.checkpoints}: holds no checkpoint that is good{_of(step)} ({reasons or 'none'}).")


def sourced(experiment: Experiment, place: Workdir) -> Experiment:
    """Gives the experiment the parameters that a run which begins at `place` starts from, where its config
    names some.

    Only checkpoints of the other run's folder are read, and no code that its config names is run.
    Raises: BadInput, NotRead.
    """
    workdir = experiment.config.train.init_from
    if not workdir or not membership.first() or place.holds_run():
        return experiment
    like = jax.eval_shape(experiment.learner.init, jax.random.key(0))
    return dataclasses.replace(experiment, source=_best_params(workdir, like))


def _best_params(workdir: str, like: Any) -> Any:
    place, damaged = Workdir(workdir), {}
    if not place.checkpoints.is_dir():
        raise BadInput(f"config.train.init_from={workdir}: has no checkpoint.")
    with contextlib.closing(Checkpoints(place.checkpoints, _warn, read_only=True)) as checkpoints:
        for candidate in _candidates(checkpoints, place, None, damaged):
            with contextlib.suppress(Damaged):
                return checkpoints.read_params(candidate, like)
    raise BadInput(f"config.train.init_from={workdir}: holds no checkpoint that is good.")


def _described(place: Workdir, allow_code: bool) -> Experiment:
    """Builds what config.json describes. Raises: BadInput, also where it names code that may not be run."""
    record = place.read_record()
    config = named_code.read(record)
    if not allow_code:
        named_code.check(config, place.config)
    experiment = build(config, allow_code=allow_code)
    for file in named_code.changed(record):
        _warn(
            f"{file} has changed since the run in {place.path} began: what was learned there may mean "
            "something else now."
        )
    return experiment


def _candidates(
    checkpoints: Checkpoints, place: Workdir, step: int | None, damaged: dict[int, str]
) -> list[int]:
    """Lists the steps to try: the one that was asked for; or the best, and then from the newest on.

    damaged: this function adds the checkpoints that could not be read when they were asked which is the best.
    """
    steps = checkpoints.steps()
    if step is not None:
        if step not in steps:
            raise BadInput(f"step={step}: {place.checkpoints} has {', '.join(map(str, steps)) or 'none'}.")
        return [step]
    best = None
    for candidate in reversed(steps):
        try:
            best = checkpoints.counters(candidate).best_step
            break
        except Damaged as damage:
            damaged[candidate] = str(damage)
    found = {*steps, *([] if best is None else [best])} - {*damaged}
    return sorted(found, key=lambda step: (step != best, -step))


def _warn(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _of(step: int | None) -> str:
    return "" if step is None else f" of step {step}"
