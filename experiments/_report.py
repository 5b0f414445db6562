"""What a run shows while it trains: a bar on a terminal, plain lines elsewhere, TensorBoard events."""

import contextlib
import itertools
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import rich.console
import rich.progress
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar

from experiments._disk import writing

QUIET = 5.0  # seconds at least between two plain lines of progress
SHOWN = 10.0  # seconds at most until an event that is followed by another one can be seen


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


class Events:
    """TensorBoard events; those after `step`, left by a killed process, are to be ignored.

    Written here and now: tensorboardX's own writer does so in a thread, which dies of a full disk, or of a
    clock that is set back, whereupon the run waits for it. TensorBoard takes a folder's files in the order of
    their names, so they are numbered, not dated. Raises: NotSaved.
    """

    def __init__(self, folder: Path, step: int):
        self._path, self._synced = folder, -SHOWN
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._path = _new(folder)
            self._writer = RecordWriter(str(self._path))
        self._write(file_version="brain.Event:2")
        if step:
            self._write(step=step + 1, session_log=SessionLog(status=SessionLog.START))

    def add(self, kind: str, step: int, numbers: dict[str, Any]) -> None:
        """Numbers of one line of metrics.jsonl, as kind/name."""
        for name, value in numbers.items():
            if isinstance(value, (int, float)):
                self._write(step=step, summary=scalar(f"{kind}/{name}", value))
        if time.monotonic() - self._synced >= SHOWN:
            self.sync()

    def sync(self) -> None:
        """Brings all events to the disk."""
        with writing(self._path):
            self._writer.flush()
        self._synced = time.monotonic()

    def close(self) -> None:
        """Closes the file."""
        with contextlib.suppress(OSError):  # `sync` has told of it
            self._writer.close()

    def _write(self, **event: Any) -> None:
        with writing(self._path):
            self._writer.write(Event(wall_time=time.time(), **event).SerializeToString())


def _new(folder: Path) -> Path:
    """A file of events behind those that are there, made here: no file and no link had its name."""
    for number in itertools.count(len(os.listdir(folder))):
        path = folder / f"events.out.tfevents.{number:010}"
        with contextlib.suppress(FileExistsError):
            path.touch(exist_ok=False)
            return path


def duration(seconds: float) -> str:
    """In the two largest units: 42 s, 3 min 20 s, 2 h 05 min."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    if hours:
        return f"{hours} h {m:02d} min"
    return f"{m} min {s:02d} s" if m else f"{s} s"
