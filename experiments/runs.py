"""Lists runs, the best first, and lays their curves over one another in one figure.

    scripts/run experiments/runs.py runs
    scripts/run experiments/runs.py runs/sweep runs/quickstart --figure=both.png

A run is a folder with a config.json at or below those that are given, finished or under way; the trials of a
sweep are runs too. A line says where it is, which fields of its config other runs have otherwise, how far it
is and what came out: the metric on test data, or the best on held-out data so far. The figure is runs.png in
the first folder unless --figure names another file; `--figure=` leaves it out. Nothing else is written, and
no Python file that a folder names is run.
"""

import json
import math
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from ml_collections import ConfigDict

from experiments.config.fields import fields
from experiments.errors import BadInput, Ending, ending
from experiments.figures import curves
from experiments.program import plots
from experiments.program.absl_flags import expanded, words
from experiments.program.durations import duration
from experiments.saved.metrics_log import read_lines
from experiments.saved.workdir import Workdir
from r3nn.tasks import TASKS

PARTS = {"checkpoints", "tensorboard", "profile"}  # of a run's folder, which hold no runs


class Run(NamedTuple):
    """Holds what a folder says of its run."""

    path: Path
    fields: dict[str, Any]  # of its config
    said: list[str]  # how far it is, what came out, in what time
    rank: tuple  # finished runs first; of one metric the best first; then the one that is farther
    metric: str
    higher_is_better: bool
    loss: list[tuple[float, float]]  # (update, training loss)
    held_out: list[tuple[float, float]]  # (update, metric)


def main(argv: list[str]) -> int:
    """Does what a command line asks for -> the exit status."""
    return ending(lambda: _main(argv))


def _main(argv: list[str]) -> None:
    values = flags.FlagValues()
    flags.DEFINE_string("figure", None, "where the curves go", flag_values=values)
    tops = [Path(expanded("DIR", word)) for word in words(values, argv, __doc__)]
    if not tops:
        raise BadInput("no folder is given: arguments look like runs/sweep runs/quickstart.")
    picture = tops[0] / "runs.png" if values.figure is None else values.figure
    picture = Path(expanded("--figure", picture)) if picture else None
    if picture:
        curves.check(picture)
    runs, unreadable = gathered(tops)
    columns = differing(runs)
    rows = [[f"{place}", f"{run.path}", *values_of(run, columns)] for place, run in enumerate(runs, 1)]
    lines = [f"{folder}: unreadable ({reason})" for folder, reason in unreadable.items()]
    for line in [*table([row + run.said for row, run in zip(rows, runs, strict=True)]), *lines]:
        print(printable(line))
    figure = curves.draw(runs, [printable(" ".join(filter(None, row))) for row in rows]) if picture else None
    if figure:
        plots.save(figure, picture, Title=curves.TITLE)
        print(f"\n{picture}")


def gathered(tops: list[Path]) -> tuple[list[Run], dict[Path, str]]:
    """Finds (the runs at or below these folders, in order; why others are unreadable). Raises: BadInput."""
    runs, unreadable = {}, {}
    for top in tops:
        if not top.is_dir():
            raise BadInput(f"{top}: is no folder; it must be that of a run, or one with runs below it.")
        refused = lambda error: unreadable.update({Path(error.filename): error.strerror})
        for folder, below, names in os.walk(top, onerror=refused):
            below[:] = sorted(set(below) - PARTS)
            if "config.json" in names:
                path = Path(folder)
                try:
                    runs[path.resolve()] = read(path)
                except (Ending, RecursionError) as error:
                    reason = str(error).removeprefix(f"--workdir={path}: ")
                    unreadable[path] = " ".join(reason.removeprefix(f"{path}/config.json: ").split())
    if not runs and not unreadable:
        words = ", ".join(map(str, tops))
        raise BadInput(f"{words}: there is no run, a folder with a config.json, at or below.")
    return sorted(runs.values(), key=lambda run: run.rank), unreadable


def read(path: Path) -> Run:
    """Reads the run of a folder. Raises: BadInput, NotRead.

    Whether one that has not finished is stopped or under way, its folder does not say.
    """
    place = Workdir(path)
    config, result, lines = place.read_config(), place.read_result() or {}, read_lines(place.metrics)
    metric, higher = _headline(config, result, lines)
    loss, held_out = points(lines, "train", "loss"), points(lines, "eval", metric)
    best = (max if higher else min)((value for _, value in held_out), default=math.nan)
    value = number(result["value"]) if result else best
    last = {"update": 0, **(lines[-1] if lines else {}), **result}
    updates, seconds = number(last.get("updates", last["update"])), number(last.get("seconds"))
    state = f"at update {updates:,.0f} of {config.train.updates:,}" if updates else "not begun"
    said = [
        f"finished after {updates:,.0f} updates" if result else state,
        "" if math.isnan(value) else f"{'test' if result else 'held-out'} {metric} {value:.4g}",
        "" if math.isnan(seconds) else duration(seconds),
    ]
    cost = math.inf if math.isnan(value) else -value if higher else value
    rank = (not result, metric, cost, -updates, path)
    return Run(path, dict(fields(config)), said, rank, metric, higher, loss, held_out)


def _headline(config: ConfigDict, result: dict[str, Any], lines: list[dict[str, Any]]) -> tuple[str, bool]:
    """Returns (the metric, whether higher is better): as the result says, or else the task, if it is one of
    ours.

    Of a learner or task in a file, whose code is not run, the first metric that was measured.
    """
    if result:
        return str(result["metric"]), bool(result["higher_is_better"])
    others = ("kind", "update", "seconds")
    names = [name for line in lines if line["kind"] == "eval" for name in line if name not in others]
    task = TASKS.get(config.task.name)
    if task and task.metric in (names or [task.metric]):
        return task.metric, task.higher_is_better
    return (names or [""])[0], False


def points(lines: list[dict[str, Any]], kind: str, name: str) -> list[tuple[float, float]]:
    """Returns (update, value) of the lines of a kind that have a finite number of this name."""
    pairs = [(number(line["update"]), number(line.get(name))) for line in lines if line["kind"] == kind]
    return [pair for pair in pairs if not any(map(math.isnan, pair))]


def number(value: Any) -> float:
    """Converts what JSON gave; NaN where it is no finite number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)
    return math.nan


# What is shown.


def differing(runs: list[Run]) -> list[str]:
    """Lists the fields in which configs differ, in their order."""
    names = dict.fromkeys(name for run in runs for name in run.fields)
    return [name for name in names if len({json.dumps(run.fields.get(name)) for run in runs}) > 1]


def values_of(run: Run, columns: list[str]) -> list[str]:
    """Lists a run's own values of these fields, "" for one that it has not."""
    short = lambda value: f"{value:.6g}" if isinstance(value, float) else f"{value}"
    return [f"{name}={short(run.fields[name])}" if name in run.fields else "" for name in columns]


def table(rows: list[list[str]]) -> list[str]:
    """Writes rows of cells as lines, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def printable(text: str) -> str:
    """Removes what would steer a terminal: a folder may be anybody's."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
