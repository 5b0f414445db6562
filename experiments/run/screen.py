"""What a run shows while it trains: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import TextIO

import rich.console
import rich.progress

from experiments.program.durations import QUIET, duration


class Plain:
    """Lines, for log files and pipes."""

    def __init__(self, total: int, done: int, out: TextIO):
        self._total, self._out, self._last = total, out, -QUIET

    def say(self, text: str) -> None:
        """A line that matters."""
        print(text, file=self._out, flush=True)

    def progress(self, done: int, loss: float, rate: float) -> None:
        """How far it is; not more often than every few seconds."""
        if time.monotonic() - self._last >= QUIET or done == self._total:
            self._last = time.monotonic()
            left = duration((self._total - done) / rate)
            self.say(f"{done}/{self._total} updates  loss {loss:.4g}  {rate:.1f} updates/s  {left} left")

    def close(self) -> None:
        """Nothing is open."""


class Bar:
    """The same as a bar that stays at the bottom of a terminal."""

    def __init__(self, total: int, done: int, out: TextIO):
        self._bar = rich.progress.Progress(
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn("updates  loss {task.fields[loss]}  {task.fields[rate]} updates/s"),
            rich.progress.TextColumn("{task.fields[left]} left"),
            console=rich.console.Console(file=out, highlight=False),
        )
        self._total = total
        self._task = self._bar.add_task("", total=total, completed=done, loss="-", rate="-", left="-")

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._bar.console.print(text, markup=False, soft_wrap=True)

    def progress(self, done: int, loss: float, rate: float) -> None:
        """Moves the bar, which is there from the first time on."""
        self._bar.start()
        left = duration((self._total - done) / rate)
        self._bar.update(self._task, completed=done, loss=f"{loss:.4g}", rate=f"{rate:.1f}", left=left)

    def close(self) -> None:
        """Leaves the bar as it is."""
        self._bar.stop()


class Part:
    """What one of many runs says on the screen that they share, under its name."""

    def __init__(self, whole: "Screen", name: str):
        self._whole, self._name = whole, name

    def say(self, text: str) -> None:
        """A line that matters."""
        self._whole.say(f"{self._name}: {text}")

    def progress(self, done: int, loss: float, rate: float) -> None:
        """Is shown of all together."""

    def close(self) -> None:
        """The others go on."""


Screen = Plain | Bar | Part


def screen(total: int, done: int, out: TextIO | None = None) -> Plain | Bar:
    """A `Bar` where `out` (stdout) is a terminal, `Plain` elsewhere."""
    out = out or sys.stdout
    return (Bar if out.isatty() else Plain)(total, done, out)
