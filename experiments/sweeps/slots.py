"""Decides who runs what. Nothing is planned ahead: any number of workers, anywhere, join and leave at any
moment.

A trial of the storage is either fresh or the retry of one that was lost, and says so from the moment at which
it exists. The storage numbers trials in one order that everybody sees, so the k-th fresh trial is slot k, and
of two retries of the same trial the first one counts: whoever finds that another came first steps back.
"""

import dataclasses
import functools
import time
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.samplers import PartialFixedSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from experiments.sweeps.plan import Sweep, Values, workdir
from experiments.sweeps.storage import LOST, create, give_back, identity
from experiments.sweeps.study import patiently, sampler, suggest

ATTEMPTS = 5  # of a slot that are lost one after the other without getting further

RETRIES = "retries"  # attribute: the number of the trial that this one is a retry of
ENDING = "ending"  # attribute of a failed trial: why that is final
REOPENED = "reopened"  # attribute: it was given up, and the command was repeated
GIVEN_UP = "given_up"  # attribute: its ending can be mended, as a folder's, or that it was lost too often
RESULT = "result"  # attribute of a complete trial


@dataclasses.dataclass(frozen=True)
class Worker:
    """Names who runs a trial: the name of a machine, and an identity that is used once."""

    host: str
    identity: str
    folder: str  # --workdir, for the commands


@dataclasses.dataclass(frozen=True)
class Claim:
    """Holds a slot that this process has, and the trial of the storage."""

    slot: int
    trial: Trial
    values: Values
    reported: frozenset[int]  # updates of the evaluations that an earlier attempt reported


def trials_of(study: optuna.Study) -> list[FrozenTrial]:
    """Returns all trials of the study, by number."""
    return sorted(patiently(lambda: study.get_trials(deepcopy=False)), key=lambda trial: trial.number)


def current(trials: Sequence[FrozenTrial], total: int) -> list[FrozenTrial]:
    """Returns the trial that counts, of each slot that was begun.

    That is the last link of the slot's chain of retries.
    """
    successor: dict[int, FrozenTrial] = {}
    for trial in trials:
        if RETRIES in trial.user_attrs:
            successor.setdefault(trial.user_attrs[RETRIES], trial)

    def last(trial: FrozenTrial) -> FrozenTrial:
        while trial.number in successor:
            trial = successor[trial.number]
        return trial

    return [last(trial) for trial in trials if RETRIES not in trial.user_attrs][:total]


def lost(trial: FrozenTrial) -> bool:
    """Says whether a trial is to be tried again."""
    return trial.state == TrialState.FAIL and ENDING not in trial.user_attrs


def finished(trial: FrozenTrial) -> bool:
    """Says whether the trial's slot is done: complete, pruned, or failed for good."""
    return trial.state.is_finished() and not lost(trial)


def all_finished(trials: Sequence[FrozenTrial], total: int) -> bool:
    """Says whether nothing is left to run. total: how many slots there are."""
    slots = current(trials, total)
    return len(slots) == total and all(map(finished, slots))


def claim(study: optuna.Study, sweep: Sweep, worker: Worker, like: Values | None = None) -> Claim | None:
    """Claims the first slot that nobody has, with its values; returns None where there is none now.

    like: values of a run; only a slot of the same architecture is taken, as far as that can be foreseen.
    May wait for another machine that is about to sample the same configuration.
    """
    trials = trials_of(study)
    slots = current(trials, sweep.total)
    again = next((slot for slot, trial in enumerate(slots) if lost(trial)), None)
    slot = len(slots) if again is None else again
    if slot == sweep.total or not _foreseen(sweep, slots, slot, like):
        return None
    made = create(study, _template(sweep, worker, slot, None if again is None else (slots[slot], trials)))
    return _settle(study, sweep, worker, made)


def _foreseen(sweep: Sweep, slots: Sequence[FrozenTrial], slot: int, like: Values | None) -> bool:
    """Says whether a slot has the architecture of `like`, for all that the storage says of it."""
    if like is None:
        return True
    first = slot - slot % len(sweep.grid_points)
    known = {**(slots[first].params if first < len(slots) else {}), **sweep.grid_point(slot)}
    wanted = sweep.architecture(like)
    return all(name in known and known[name] == value for name, value in wanted.items())


def _template(sweep: Sweep, worker: Worker, slot: int, again: tuple | None) -> FrozenTrial:
    """Makes a trial as it comes into the world: whose it is, and, of a retry, all that was known."""
    about = {"host": worker.host, "worker": worker.identity}
    if again is None:
        return optuna.create_trial(state=TrialState.RUNNING, user_attrs=about)
    before, trials = again
    about[RETRIES] = before.number
    state = TrialState.RUNNING
    losses = _losses(before, trials)
    if len(losses) >= ATTEMPTS:
        state = TrialState.FAIL
        about[ENDING] = f"lost {len(losses)} times, the last time so: {losses[0]}"
        about |= {GIVEN_UP: True, **_labels(sweep, worker, slot, before.params)}
    return _copy(before, state, about)


def _copy(trial: FrozenTrial, state: TrialState, about: dict[str, Any]) -> FrozenTrial:
    """Copies the trial's values and reports into one with another state and other attributes."""
    return optuna.create_trial(
        state=state,
        params=trial.params,
        distributions=trial.distributions,
        intermediate_values=trial.intermediate_values,
        user_attrs=about,
    )


def _losses(trial: FrozenTrial | None, trials: Sequence[FrozenTrial]) -> list[str]:
    """Lists why a slot was lost, up to this trial and the last first, since an evaluation was last reported.

    What was asked to stop does not count, nor what happened before it was reopened.
    """
    by_number = {trial.number: trial for trial in trials}
    reasons, reached = [], len(trial.intermediate_values)
    while trial and len(trial.intermediate_values) == reached and REOPENED not in trial.user_attrs:
        reasons += [trial.user_attrs[LOST]] if LOST in trial.user_attrs else []
        trial = by_number.get(trial.user_attrs.get(RETRIES))
    return reasons


def reopen(study: optuna.Study, sweep: Sweep) -> None:
    """Reopens what was given up, to be tried again: whoever repeats the command has mended something."""
    for trial in current(trials_of(study), sweep.total):
        if GIVEN_UP in trial.user_attrs:
            about = {**trial.user_attrs, RETRIES: trial.number, REOPENED: True}
            del about[ENDING], about[GIVEN_UP]
            create(study, _copy(trial, TrialState.FAIL, about))


def _settle(study: optuna.Study, sweep: Sweep, worker: Worker, made: int) -> Claim | None:
    """Says which slot a new trial is, and with which values; None where another one was first, or it
    failed."""
    trials = trials_of(study)
    slots = current(trials, sweep.total)
    slot = next((slot for slot, trial in enumerate(slots) if identity(trial) == made), None)
    if slot is None:
        give_back(study, made, None)
        return None
    if slots[slot].state.is_finished():
        return None
    given = _given(study, sweep, slot)
    if given is None:
        give_back(study, made, None)
        return None
    trial = _sampled(study, sweep, slot, made, given)
    values = {name: trial.params[name] for name in sweep.axes}
    for name, value in _labels(sweep, worker, slot, values).items():
        patiently(functools.partial(trial.set_user_attr, name, value))
    return Claim(slot, trial, values, frozenset(slots[slot].intermediate_values))


def _labels(sweep: Sweep, worker: Worker, slot: int, values: Values) -> dict[str, Any]:
    """Collects what people and tables want to know of a trial."""
    folder = workdir(slot)
    return {
        "slot": slot,
        "configuration": sweep.configuration(slot),
        "workdir": folder,
        "command": sweep.command(f"{worker.folder}/{folder}", values),
    }


def _sampled(study: optuna.Study, sweep: Sweep, slot: int, made: int, given: Values) -> Trial:
    """Returns the trial with a value for each axis, in the storage too."""
    study.sampler = PartialFixedSampler(given, sampler(sweep, sweep.configuration(slot)))
    trial = Trial(study, made)
    for name, axis in sweep.axes.items():
        patiently(functools.partial(suggest, trial, name, axis))
    return trial


def _given(study: optuna.Study, sweep: Sweep, slot: int) -> Values | None:
    """Returns the values that need no sampler.

    They are None where the configuration's first trial was lost without them.
    """
    point = sweep.grid_point(slot)
    first = slot - slot % len(sweep.grid_points)
    if first == slot:
        return point
    while True:
        trial = current(trials_of(study), sweep.total)[first]
        if sweep.sampled.keys() <= trial.params.keys():
            return {**point, **{name: trial.params[name] for name in sweep.sampled}}
        if trial.state.is_finished():
            return None
        time.sleep(0.05)
