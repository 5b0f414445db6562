"""Shows a run while it trains: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import TextIO

import rich.console
import rich.progress

from experiments.program.durations import QUIET, duration


class Plain:
    """Prints lines, for log files and pipes."""

    def __init__(self, total: int, done: int, out: TextIO):
        self._total, self._out, self._last = total, out, -QUIET

    def say(self, text: str) -> None:
        """Prints a line that matters."""
        print(text, file=self._out, flush=True)

    def progress(self, done: int, loss: float, rate: float) -> None:
        """Prints how far the run is; not more often than every few seconds."""
        if time.monotonic() - self._last >= QUIET or done == self._total:
            self._last = time.monotonic()
            left = duration((self._total - done) / rate)
            self.say(f"{done}/{self._total} updates  loss {loss:.4g}  {rate:.1f} updates/s  {left} left")

    def finish(self) -> None:
        """Does nothing: a bar alone needs to hear of the end."""

    def close(self) -> None:
        """Does nothing: nothing is open."""


class Bar:
    """Shows the same as a bar that stays at the bottom of a terminal."""

    def __init__(self, total: int, done: int, out: TextIO):
        self._bar = rich.progress.Progress(
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn("updates  loss {task.fields[loss]}  {task.fields[rate]} updates/s"),
            rich.progress.TextColumn("{task.fields[left]}"),
            console=rich.console.Console(file=out, highlight=False),
        )
        self._total = total
        self._task = self._bar.add_task("", total=total, completed=done, loss="-", rate="-", left="-")

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        self._bar.console.print(text, markup=False, soft_wrap=True)

    def progress(self, done: int, loss: float, rate: float) -> None:
        """Moves the bar, which is there from the first time on."""
        self._bar.start()
        left = "done" if done == self._total else f"{duration((self._total - done) / rate)} left"
        self._bar.update(self._task, completed=done, loss=f"{loss:.4g}", rate=f"{rate:.1f}", left=left)

    def finish(self) -> None:
        """Says that nothing is left, also where fewer updates were made than there might have been."""
        self._bar.update(self._task, left="done")

    def close(self) -> None:
        """Leaves the bar as it is."""
        self._bar.stop()


class Part:
    """Says on a screen that many runs share what one of them does, under its name."""

    def __init__(self, whole: "Screen", name: str):
        self._whole, self._name = whole, name

    def say(self, text: str) -> None:
        """Says a line that matters."""
        self._whole.say(f"{self._name}: {text}")

    def progress(self, done: int, loss: float, rate: float) -> None:
        """Does nothing: progress is shown of all runs together."""

    def finish(self) -> None:
        """Does nothing: the other runs go on."""

    def close(self) -> None:
        """Does nothing: the other runs go on."""


Screen = Plain | Bar | Part


def screen(total: int, done: int, out: TextIO | None = None) -> Plain | Bar:
    """Makes a `Bar` where `out` (stdout) is a terminal, `Plain` elsewhere."""
    out = out or sys.stdout
    return (Bar if out.isatty() else Plain)(total, done, out)
