"""Writes the numbers of a run, and its config, as TensorBoard reads them."""

import contextlib
import itertools
import os
import time
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar, text

from experiments.program.files import writing

SHOWN = 10.0  # seconds at most until an event that is followed by another one can be seen


class Events:
    """Writes TensorBoard events; those after `step`, left by a killed process, are to be ignored.

    They are written at once, in this thread: tensorboardX's own writer does so in another one, which dies of
    a full disk, or of a clock that is set back, and the run would wait for it. TensorBoard takes a folder's
    files in the order of their names, so they are numbered, not dated. Raises: NotSaved.
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
        """Writes the numbers of one line of metrics.jsonl, as kind/name."""
        for name, value in numbers.items():
            if isinstance(value, (int, float)):
                self._write(step=step, summary=scalar(f"{kind}/{name}", value))
        if time.monotonic() - self._synced >= SHOWN:
            self.sync()

    def tell(self, name: str, step: int, words: str) -> None:
        """Writes a text, which TensorBoard shows as it is."""
        lines = "\n".join(f"    {line}" for line in words.splitlines())  # Markdown's sign for that
        self._write(step=step, summary=text(name, lines))

    def sync(self) -> None:
        """Brings all events to the disk."""
        with writing(self._path):
            self._writer.flush()
        self._synced = time.monotonic()

    def close(self) -> None:
        """Closes the file of events."""
        with contextlib.suppress(OSError):  # `sync` has told of it
            self._writer.close()

    def _write(self, **event: Any) -> None:
        with writing(self._path):
            self._writer.write(Event(wall_time=time.time(), **event).SerializeToString())


def _new(folder: Path) -> Path:
    """Makes a file of events behind those that are there: no file and no link had its name."""
    for number in itertools.count(len(os.listdir(folder))):
        path = folder / f"events.out.tfevents.{number:010}"
        with contextlib.suppress(FileExistsError):
            path.touch(exist_ok=False)
            return path
