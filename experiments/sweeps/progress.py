"""Shows how far a sweep is: a bar on a terminal, plain lines elsewhere."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TextIO

import rich.console
import rich.progress
import rich.text
from optuna.trial import FrozenTrial, TrialState

from experiments.program.durations import QUIET, duration
from experiments.sweeps import slots
from experiments.sweeps.plan import Sweep


def line(sweep: Sweep, trials: Sequence[FrozenTrial]) -> str:
    """Says how many trials ended how, how many run, and the best so far. trials: those that count."""
    words = [f"{count(trials, TrialState.RUNNING)} running"]
    for name, number in (
        ("pruned", count(trials, TrialState.PRUNED)),
        ("failed", sum(t.state == TrialState.FAIL and slots.finished(t) for t in trials)),
    ):
        if number:
            words.append(f"{number} {name}")
    found = best(sweep, trials)
    if found is not None:
        words.append(f"best held-out {sweep.metric} {found.value:.4g} ({brief(found.params)})")
    return ", ".join(words)


def count(trials: Sequence[FrozenTrial], state: TrialState) -> int:
    """Counts the trials in a state."""
    return sum(trial.state == state for trial in trials)


def best(sweep: Sweep, trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """Returns the complete trial with the best held-out value; None where there is none."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    pick = max if sweep.higher_is_better else min
    return pick(complete, key=lambda trial: trial.value, default=None)


def brief(values: dict) -> str:
    """Writes a run's values in one short line, floats with three digits."""
    short = lambda value: f"{value:.3g}" if isinstance(value, float) else str(value)
    return " ".join(f"{name}={short(value)}" for name, value in values.items())


class Pace:
    """Says when all runs will be done, judging by how far they came since the first look."""

    def __init__(self, sweep: Sweep):
        self._sweep, self._first = sweep, None

    def left(self, trials: Sequence[FrozenTrial], now: float) -> str:
        """Says in words how long it will take, "" while nothing is known. now: seconds of a clock."""
        done = sum(share(self._sweep, trial) for trial in trials)
        self._first = self._first or (now, done)
        began, before = self._first
        if done <= before or done >= self._sweep.total:
            return ""
        return f", about {duration((self._sweep.total - done) * (now - began) / (done - before))} left"


def share(sweep: Sweep, trial: FrozenTrial) -> float:
    """Returns the share of a trial's updates that it has reported; 1 for one that is done."""
    if slots.finished(trial):
        return 1.0
    updates = trial.params.get("train.updates", sweep.base["train"]["updates"])
    return min(1.0, max(trial.intermediate_values, default=0) / updates)


class Plain:
    """Prints lines, for log files and pipes."""

    def __init__(self, sweep: Sweep, out: TextIO):
        self._sweep, self._out, self._pace = sweep, out, Pace(sweep)
        self._last, self._shown = -QUIET, None

    def say(self, text: str) -> None:
        """Prints a line that matters."""
        print(text, file=self._out, flush=True)

    def show(self, trials: Sequence[FrozenTrial]) -> None:
        """Prints how far the sweep is; only what is new, and not more often than every few seconds."""
        done = sum(map(slots.finished, trials))
        now, text = time.monotonic(), line(self._sweep, trials)
        left, quiet = self._pace.left(trials, now), now - self._last < QUIET and done < self._sweep.total
        if (done, text) != self._shown and not quiet:
            self._last, self._shown = now, (done, text)
            self.say(f"{done}/{self._sweep.total} runs done{left}: {text}")

    def close(self) -> None:
        """Does nothing: nothing is open."""


class Lines(rich.progress.Progress):
    """Shows a bar, and below it a line of words, cut where the terminal ends so that the bar keeps its
    place."""

    words = ""

    def get_renderables(self) -> Iterator[rich.console.RenderableType]:
        """Yields the bar, then the words."""
        yield from super().get_renderables()
        yield rich.text.Text(self.words, no_wrap=True, overflow="ellipsis")


class Bar:
    """Shows the same as a bar that stays at the bottom of a terminal."""

    def __init__(self, sweep: Sweep, out: TextIO):
        self._sweep, self._pace = sweep, Pace(sweep)
        self._bar = Lines(
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn("runs done{task.description}", markup=False),
            console=rich.console.Console(file=out, highlight=False),
        )
        self._task = self._bar.add_task("", total=sweep.total)
        self._bar.start()

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        self._bar.console.print(text, markup=False, soft_wrap=True)

    def show(self, trials: Sequence[FrozenTrial]) -> None:
        """Moves the bar on."""
        done, left = sum(map(slots.finished, trials)), self._pace.left(trials, time.monotonic())
        self._bar.words = line(self._sweep, trials)
        self._bar.update(self._task, completed=done, description=left)

    def close(self) -> None:
        """Leaves the bar as it is."""
        self._bar.stop()


@contextlib.contextmanager
def screen(sweep: Sweep, out: TextIO | None = None) -> Iterator[Plain | Bar]:
    """Makes a `Bar` where `out` (stdout) is a terminal, `Plain` elsewhere, and closes it at the end."""
    out = out or sys.stdout
    with contextlib.closing((Bar if out.isatty() else Plain)(sweep, out)) as made:
        yield made
