"""Sums up the trials of a sweep: a `Run` for each slot, a `Group` of runs for each configuration."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from configs._space import Axis, Range
from experiments.sweeps import slots
from experiments.sweeps.goals import Goal, Goals
from experiments.sweeps.plan import Sweep, Values

SEED = "seed"  # the axis that repeats a configuration rather than being part of it


@dataclasses.dataclass(frozen=True)
class Run:
    """Holds what came of one slot. Numbers are None where the run did not come to them."""

    slot: int
    state: str  # complete, pruned, failed; running or lost while the sweep goes on
    values: Values
    held_out: float | None  # the best of the metric
    test: float | None
    updates: int | None
    seconds: float | None
    parameters: int | None
    reached: bool  # train.target
    ending: str  # why it failed
    curve: tuple[tuple[int, float], ...]  # (update, held-out metric)
    workdir: str
    command: str
    ended: Any  # datetime
    trial: FrozenTrial


@dataclasses.dataclass(frozen=True)
class Group:
    """Holds the finished runs of one configuration, one for each seed.

    One without a value is the worst.
    """

    values: Values  # without the seed
    runs: tuple[Run, ...]
    goal: Goal
    sign: int  # 1: higher is better, -1: lower is

    @property
    def held_out(self) -> list[float]:
        """Returns each run's best held-out metric, infinitely bad where it has none."""
        return [-self.sign * math.inf if run.held_out is None else run.held_out for run in self.runs]

    @property
    def median(self) -> float:
        """Returns the median of the held-out metric."""
        return float(np.median(self.held_out))

    @property
    def worst(self) -> float:
        """Returns the worst of the held-out metric."""
        return min(self.held_out) if self.sign > 0 else max(self.held_out)

    @property
    def test(self) -> float:
        """Returns the median of the test metric."""
        return self._median("test", -self.sign * math.inf)

    @property
    def updates(self) -> float:
        """Returns the median of the updates that its runs made."""
        return self._median("updates", math.inf)

    def _median(self, name: str, worst: float) -> float:
        """Returns the median over all runs: one that did not complete counts as the worst, or else the
        luckiest alone would count."""
        return float(
            np.median([getattr(run, name) if run.state == "complete" else worst for run in self.runs])
        )

    @property
    def met(self) -> int:
        """Counts the runs that met the goal."""
        return sum(map(self._met, self.runs))

    def _met(self, run: Run) -> bool:
        """Says whether a run reached the target, or beat trivial predictions where there is none."""
        if self.goal.target is not None:
            return run.reached
        if run.held_out is None or self.goal.baseline is None:
            return run.held_out is not None
        return self.sign * run.held_out > self.sign * self.goal.baseline

    @property
    def rank(self) -> tuple:
        """Sorts the best first. Beyond the target nobody is better: there the fewer updates count."""
        values = [self.sign * value for value in self.held_out]
        if self.goal.target is not None:
            values = [min(value, self.sign * self.goal.target) for value in values]
        return -float(np.median(values)), -self.met, self.updates, -self.sign * self.median

    def count(self, state: str) -> int:
        """Counts the runs in a state."""
        return sum(run.state == state for run in self.runs)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Holds all that came of a sweep so far."""

    sweep: Sweep
    runs: tuple[Run, ...]  # by slot
    groups: tuple[Group, ...]  # the best first

    @property
    def sign(self) -> int:
        """Returns 1 where higher is better, -1 where lower is."""
        return 1 if self.sweep.higher_is_better else -1

    @property
    def finished(self) -> list[Run]:
        """Lists the runs that nobody will take up again."""
        return [run for run in self.runs if run.state in ("complete", "pruned", "failed")]

    @property
    def winner(self) -> Group | None:
        """Returns the best configuration, of those that have a complete run; None where none has."""
        return next((group for group in self.groups if group.count("complete")), None)

    @property
    def best(self) -> Run | None:
        """Returns the complete run of the winner with the best held-out value; None where there is none."""
        complete = [run for run in self.winner.runs if run.state == "complete"] if self.winner else []
        return max(complete, key=lambda run: self.sign * run.held_out, default=None)

    @functools.cached_property
    def varied(self) -> dict[str, Axis]:
        """Returns the axes that have more than one value, by name, without the seed."""
        several = lambda axis: isinstance(axis, Range) or len(axis.values) > 1
        return {name: axis for name, axis in self.sweep.axes.items() if several(axis) and name != SEED}

    @functools.cached_property
    def short(self) -> dict[str, str]:
        """Maps each axis to the last part of its name, where no other axis has the same.

        Of optimizer.name that is "optimizer".
        """
        brief = {name: name.removesuffix(".name").rpartition(".")[2] for name in self.sweep.axes}
        names = list(brief.values())
        return {name: word if names.count(word) == 1 else name for name, word in brief.items()}

    def label(self, values: Values) -> str:
        """Names a configuration by its values of the axes that vary, such as "cell=gru rate=0.01"."""
        return " ".join(
            f"{self.short[name]}={number(values[name])}" for name in self.varied if name in values
        )


def outcome(sweep: Sweep, trials: Sequence[FrozenTrial]) -> Outcome:
    """Collects what the trials came to. trials: all of the study, by number."""
    runs = [_run(sweep, slot, trial) for slot, trial in enumerate(slots.current(trials, sweep.total))]
    found = Outcome(sweep, tuple(runs), ())
    return dataclasses.replace(found, groups=tuple(sorted(_groups(found), key=lambda group: group.rank)))


def _run(sweep: Sweep, slot: int, trial: FrozenTrial) -> Run:
    result = trial.user_attrs.get(slots.RESULT, {})
    curve = [
        (step, value) for step, value in sorted(trial.intermediate_values.items()) if math.isfinite(value)
    ]
    pick = max if sweep.higher_is_better else min
    seen = pick((value for _, value in curve), default=None)
    state = trial.state.name.lower()
    if trial.state == TrialState.FAIL:
        state = "lost" if slots.lost(trial) else "failed"
    return Run(
        slot=slot,
        state=state,
        values={name: trial.params[name] for name in sweep.axes if name in trial.params},
        held_out=result.get("held_out", None if state == "failed" else seen),
        test=result.get("value"),
        updates=result.get("updates", curve[-1][0] if curve else None),
        seconds=result.get("seconds"),
        parameters=result.get("parameters"),
        reached=bool(result.get("reached_target")),
        ending=trial.user_attrs.get(slots.ENDING, ""),
        curve=tuple(curve),
        workdir=trial.user_attrs.get("workdir", ""),
        command=trial.user_attrs.get("command", ""),
        ended=trial.datetime_complete,
        trial=trial,
    )


def _groups(found: Outcome) -> list[Group]:
    """Groups runs by the values of all axes but the seed."""
    by_values: dict[tuple, list[Run]] = {}
    for run in found.finished:
        if run.values.keys() == found.sweep.axes.keys():  # one that was lost again and again may have none
            known = tuple((name, value) for name, value in run.values.items() if name != SEED)
            by_values.setdefault(known, []).append(run)
    goals = Goals(found.sweep)
    return [Group(dict(key), tuple(runs), goals.of(dict(key)), found.sign) for key, runs in by_values.items()]


def number(value: Any) -> str:
    """Writes a number short; "-" for none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
