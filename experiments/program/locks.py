"""Locks among the processes of a machine: files that a process holds as long as it lives."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from experiments.program.files import append, writing


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock among the processes of a machine; one that dies lets go of it."""
    with writing(path):
        file = append(path)
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def free(path: Path) -> bool:
    """Says whether no process holds the lock of a file that is there."""
    with append(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
