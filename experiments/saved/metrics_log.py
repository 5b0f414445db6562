"""Adds lines to metrics.jsonl, and reads them."""

import json
import os
from pathlib import Path
from typing import Any

from experiments.program.files import append, from_json, reading, writing


class Log:
    """Adds lines to metrics.jsonl, and on resume cuts it back to those of a checkpoint.

    step: the updates of the checkpoint. Lines that cannot be read stay where they are.
    Raises: NotSaved.
    """

    def __init__(self, path: Path, step: int):
        self._path = path
        with writing(path):
            self._file = append(path)
            kept = _until(path.read_bytes(), step)
            self._file.truncate(len(kept))
            if not kept.endswith(b"\n") and kept:
                self._file.write(b"\n")

    def add(self, line: dict[str, Any]) -> None:
        """Appends one line, at once. Raises: NotSaved."""
        rest = json.dumps(line, allow_nan=False).encode() + b"\n"
        with writing(self._path):
            while rest:  # a disk that is nearly full takes a part
                rest = rest[self._file.write(rest) :]

    def sync(self) -> None:
        """Brings all lines to the disk. Raises: NotSaved."""
        with writing(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file of the log."""
        self._file.close()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Reads the lines of metrics.jsonl, without those that cannot be read. Raises: NotRead."""
    try:
        with reading(path):
            lines = path.read_bytes().split(b"\n")
    except OSError:  # it is gone
        return []
    return [line for line in map(_parsed, lines) if line is not None]


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = from_json(line.decode("utf-8"))
        return found if found["kind"] and isinstance(found["update"], int) else None
    except (ValueError, TypeError, KeyError):
        return None


def _until(data: bytes, step: int) -> bytes:
    """Cuts the data behind the last line of an update that is not beyond `step`."""
    end = at = 0
    for line in data.split(b"\n"):
        at += len(line) + 1
        found = _parsed(line)
        if found and found["update"] <= step:
            end = at
    return data[:end]
