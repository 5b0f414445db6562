"""Records the best configuration of a sweep, and the commands that train it again."""

import dataclasses
import re
import shlex
from pathlib import Path
from typing import Any

from experiments.program.durations import duration
from experiments.sweeps.outcomes import SEED, Outcome, Run, number
from experiments.sweeps.plan import Sweep

#: what a sweep is shortened by; a command at full length leaves such --config.FIELD=VALUE out
LENGTHS = ("train.updates", "train.length", "train.min_length")


def about(found: Outcome, folder: Path) -> dict[str, Any]:
    """Makes the content of best.json, of a sweep that has a best run."""
    group, run = found.winner, found.best
    return {
        "configuration": group.values,
        "metric": found.sweep.metric,
        "higher_is_better": found.sweep.higher_is_better,
        "baseline": group.goal.baseline,
        "target": group.goal.target,
        "median": _finite(group.median),
        "worst": _finite(group.worst),
        "test": _finite(group.test),
        "met": group.met,
        "runs": [_about(one) for one in group.runs],
        "best_run": _about(run),
        "full_length": full_length(found.sweep, run, folder),
    }


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


def _about(run: Run) -> dict[str, Any]:
    seed = {SEED: run.values[SEED]} if SEED in run.values else {}
    names = ("slot", "state", "held_out", "test", "updates", "seconds", "parameters", "workdir", "command")
    return {**seed, **{name: getattr(run, name) for name in names}}


def full_length(sweep: Sweep, run: Run, folder: Path) -> str:
    """Makes the command that trains a run's values at full length, by the config's `full` if it has that.

    Overrides that shortened the sweep are left out where the config stands without them.
    """
    path = sweep.config.partition(":")[0]
    long = tuple(word for word in sweep.overrides if _field(word) not in LENGTHS)
    wanted = [
        dataclasses.replace(sweep, config=config, overrides=long) for config in (f"{path}:full", sweep.config)
    ]
    commands = [one.command(f"{folder}/full", run.values) for one in (*wanted, sweep)]
    stands = lambda command: sweep.trainer.takes(shlex.split(command)[1:])
    return next(filter(stands, commands), commands[-1])


def _field(word: str) -> str:
    return re.sub(r"^--?(no)?config\.([^=]+).*", r"\2", word, flags=re.DOTALL)


def describe(found: Outcome, about: dict[str, Any]) -> str:
    """Describes the best configuration and its best run, with the commands that go on from there."""
    run = about["best_run"]
    seed = f", seed {run[SEED]}" if SEED in run else ""
    return "\n".join(
        [
            f"The best: {found.label(about['configuration'])}",
            f"Its best run (slot {run['slot']}{seed}): held-out {about['metric']} {number(run['held_out'])}, "
            f"test {number(run['test'])}, after {run['updates']} updates in {duration(run['seconds'])}, "
            f"{run['parameters']:,} parameters",
            f"  again: {run['command']}",
            f"  at full length: {about['full_length']}",
        ]
    )
