"""What a run shows while it trains: a bar on a terminal, plain lines elsewhere, TensorBoard events."""

import sys
import time
from typing import Any, TextIO

import rich.console
import rich.progress
from tensorboardX import SummaryWriter

QUIET = 5.0  # seconds at least between two plain lines of progress


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
        self._bar.start()

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._bar.console.print(text, markup=False, soft_wrap=True)

    def progress(self, done: int, loss: float, rate: float) -> None:
        """Moves the bar."""
        left = duration((self._total - done) / rate)
        self._bar.update(self._task, completed=done, loss=f"{loss:.4g}", rate=f"{rate:.1f}", left=left)

    def close(self) -> None:
        """Leaves the bar as it is."""
        self._bar.stop()


def screen(total: int, done: int, out: TextIO | None = None) -> Plain | Bar:
    """A `Bar` where `out` (stdout) is a terminal, `Plain` elsewhere."""
    out = out or sys.stdout
    return (Bar if out.isatty() else Plain)(total, done, out)


class Events:
    """TensorBoard events; those after `step`, left by a killed process, are to be ignored."""

    def __init__(self, folder, step: int):
        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def add(self, kind: str, step: int, numbers: dict[str, Any]) -> None:
        """Numbers of one line of metrics.jsonl, as kind/name."""
        for name, value in numbers.items():
            if isinstance(value, (int, float)):
                self._writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()


def duration(seconds: float) -> str:
    """In the two largest units: 42 s, 3 min 20 s, 2 h 05 min."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    if hours:
        return f"{hours} h {m:02d} min"
    return f"{m} min {s:02d} s" if m else f"{s} s"
