"""Refuses fields of a config that are fine alone, but not together."""

import numpy as np
from ml_collections import ConfigDict

from configs.default import FIELDS
from experiments.config.fields import fields
from experiments.errors import BadInput
from r3nn import training

DECAYED = ("adamw", "lamb", "lion")  # the optimizers that have weight decay
FED = {"classification": "probabilities", "regression": "values"}  # y_{t-1} by the task's kind


def check(config: ConfigDict, spec: training.Spec) -> None:
    """Raises BadInput, in one sentence, for a field that others contradict, or leave without effect."""
    _optimizer(config)
    if isinstance(spec.learner, training.Supervised):
        _outputs(config, spec.learner)
        _curriculum(config, spec.learner)
    _rounds(config)


def _refuse(config: ConfigDict, name: str, why: str) -> None:
    raise BadInput(f"config.{name}={dict(fields(config))[name]!r}: {why}.")


def _only(config: ConfigDict, name: str, where: str) -> None:
    """Raises unless a field that acts nowhere else is as in default.py."""
    usual = FIELDS[name].usual
    if dict(fields(config))[name] != usual:
        _refuse(config, name, f"acts {where} alone; it must be {usual!r}")


def _optimizer(config: ConfigDict) -> None:
    optimizer = config.optimizer
    if optimizer.name not in DECAYED:
        _only(config, "optimizer.weight_decay", f"with {', '.join(DECAYED[:-1])} and {DECAYED[-1]}")
    if optimizer.name == "sgd":
        _only(config, "optimizer.b2", "with the other optimizers")
    if optimizer.schedule == "constant":
        _only(config, "optimizer.end_fraction", "in a schedule that falls, cosine or linear,")


def _outputs(config: ConfigDict, learner: training.Supervised) -> None:
    model, task = config.model, config.task.name
    if not model.predict_depths and config.learner.options.get("depth_weight", 1.0) != 1.0:
        why = "acts under config.model.predict_depths=true alone; it must be left out"
        _refuse(config, "learner.options.depth_weight", why)
    if not model.feedback:
        _only(config, "train.teacher_forcing", "with config.model.feedback=values or probabilities")
    elif model.feedback != (wanted := FED[learner.task.kind]):
        why = f"task {task!r} is a {learner.task.kind}; it must be '' or {wanted!r}"
        _refuse(config, "model.feedback", why)
    if model.predict in ("last", "mean") and not _counts_last_step_alone(learner):
        why = f"the loss of task {task!r}, as its options are, counts other steps too; it must be 'every'"
        _refuse(config, "model.predict", why)


def _curriculum(config: ConfigDict, learner: training.Supervised) -> None:
    if not isinstance(learner, training.Curriculum):
        for name in ("curriculum.success", "curriculum.end_fraction"):
            _only(config, name, "with config.curriculum.lengths or config.curriculum.words")


def _rounds(config: ConfigDict) -> None:
    """Raises unless what comes every so often comes behind an average: a multiple of train.sync_every."""
    every, values = config.train.sync_every, dict(fields(config))
    for name in ("train.log_every", "train.eval_every", "train.checkpoint_every", "profile"):
        if values[name] % every:
            _refuse(config, name, f"must be a multiple of config.train.sync_every={every}")
    if every == 1:
        for name in ("train.outer_lr", "train.outer_momentum"):
            _only(config, name, "where config.train.sync_every is above 1")


def _counts_last_step_alone(learner: training.Supervised) -> bool:
    length = max(learner.task.min_length, min(8, learner.length))
    batch = learner.task.sample(training.stream(0, training.TEST), 64, length, length)
    mask, last = np.asarray(batch.mask), np.asarray(batch.valid.sum(axis=1) - 1)
    return bool((mask.sum(axis=1) == 1).all() and mask[np.arange(len(mask)), last].all())
