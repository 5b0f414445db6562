"""Reports what a sweep leaves: tables on the screen, trials.csv, best.json, and figures."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import optuna

from experiments.program.durations import duration
from experiments.program.files import to_json, write
from experiments.program.numbers import about
from experiments.sweeps import best, figures_all, slots
from experiments.sweeps.outcomes import SEED, Group, Outcome, number, outcome
from experiments.sweeps.plan import Sweep

ROWS = 32  # configurations on the screen


def finish(study: optuna.Study, sweep: Sweep, folder: Path) -> Outcome:
    """Writes all of it, of a sweep whose runs are done."""
    found = save(study, sweep, folder)
    drawn = figures_all.draw(found, folder / "figures")
    files = ["trials.csv", *(["best.json"] if found.best else []), *(f"figures/{name}" for name in drawn)]
    print(f"\nIn {folder}:\n  {', '.join(files)}")
    return found


def save(study: optuna.Study, sweep: Sweep, folder: Path) -> Outcome:
    """Saves and prints the tables and files but the figures, of a sweep that may not be done yet."""
    found = outcome(sweep, slots.trials_of(study))
    write(folder / "trials.csv", rows(found))
    print(f"\n{table(found)}{failures(found)}")
    if found.best is not None:
        about = best.about(found, folder)
        write(folder / "best.json", to_json(about))
        print(f"\n{best.describe(found, about)}")
    return found


def rows(found: Outcome) -> str:
    """Writes a line for each run, as CSV."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    numbers = ("held_out", "test", "updates", "seconds", "parameters")
    head = ("held_out", "value", *numbers[2:], "reached_target", "ending", "workdir", "command")
    lines.writerow(["slot", "state", *found.sweep.axes, *head])
    for run in found.runs:
        values = [run.values.get(name) for name in found.sweep.axes]
        about = [getattr(run, name) for name in numbers]
        words = run.ending, run.workdir, run.command
        lines.writerow([run.slot, run.state, *values, *about, run.reached, *words])
    return text.getvalue()


def table(found: Outcome) -> str:
    """Writes a line for each configuration, the best first."""
    if not found.groups:
        return "No run is done yet."
    head = [found.short[name] for name in found.varied]
    goals = {group.goal for group in found.groups}
    success = "beat trivial" if any(goal.target is None for goal in goals) else "reached target"
    lines = [[*head, "median", "worst", "test", success, "updates", "runs"]]
    lines += [_line(found, group) for group in found.groups[:ROWS]]
    more = len(found.groups) - ROWS
    rest = [f"... and {more} more: all runs are in trials.csv"] if more > 0 else []
    return "\n".join([*_title(found, goals), "", *aligned(lines), *rest])


def failures(found: Outcome) -> str:
    """Says why the first run failed, on a line of its own; "" where none did."""
    failed = [run for run in found.runs if run.state == "failed"]
    if not failed:
        return ""
    more = f" ({len(failed) - 1} more failed: trials.csv says why)" if len(failed) > 1 else ""
    again = [run for run in failed if slots.GIVEN_UP in run.trial.user_attrs]
    mend = f"\nOnce that is mended, the same command tries {len(again)} of them again." if again else ""
    return f"\nslot {failed[0].slot} failed: {failed[0].ending}{more}{mend}"


def _title(found: Outcome, goals: set) -> list[str]:
    sweep = found.sweep
    seeds = f" x {len(sweep.axes[SEED].values)} seeds" if SEED in sweep.axes and _is_grid(sweep) else ""
    goal = next(iter(goals)) if len(goals) == 1 else None
    words = [
        "higher is better" if sweep.higher_is_better else "lower is better",
        *([f"trivial baseline {about(goal.baseline)}"] if goal and goal.baseline is not None else []),
        *([f"target {number(goal.target)}"] if goal and goal.target is not None else []),
    ]
    return [
        f"{len(found.groups)} configurations{seeds}: {len(found.finished)} of {sweep.total} runs done, "
        f"{spent(found)} of training",
        f"held-out {sweep.metric}, by its median ({'; '.join(words)}):",
    ]


def _is_grid(sweep: Sweep) -> bool:
    return SEED in sweep.grid_points[0]


def _line(found: Outcome, group: Group) -> list[str]:
    bad = [f"{group.count(state)} {state}" for state in ("pruned", "failed") if group.count(state)]
    return [
        *(number(group.values[name]) for name in found.varied),
        *(number(value) for value in (group.median, group.worst, group.test)),
        f"{group.met / len(group.runs):.0%}",
        number(group.updates),
        f"{len(group.runs)}{' (' + ', '.join(bad) + ')' if bad else ''}",
    ]


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Joins the words of each line into columns, each as wide as its widest word."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(f"{word:{width}}" for word, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def spent(found: Outcome) -> str:
    """Says how long all runs trained together."""
    return duration(sum(run.seconds or 0.0 for run in found.runs))
