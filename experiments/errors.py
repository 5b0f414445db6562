"""Says how a program ends when it does not finish: one sentence on stderr, and an exit status.

    0    finished (or there was nothing left to do)
    1    an unforeseen error, with its traceback; another process has gone; no run of a sweep succeeded
    2    bad input: nothing was created or changed
    3    a loss or gradient stopped being finite; the state before it is saved
    4    a file cannot be written or read (the disk is full or fails, a permission is gone), or a sweep's
         database is away: what was saved before is intact, and the same command goes on from there
    130  Ctrl-C, 143 SIGTERM: saved, but for the updates under way at a second one; the same command goes on
    134  JAX ends this process, because another one of the run has hung for 100 seconds

R3NN_TRACEBACK=1 in the environment shows the traceback of the others too.
"""

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import NoReturn

_leaving = threading.Lock()


class Ending(Exception):
    """Ends a program; one sentence explains why."""

    status = 1


class BadInput(Ending, ValueError):
    """A field, a file or a folder cannot be used; the sentence says what is allowed."""

    status = 2


class NotFinite(Ending, ArithmeticError):
    """Training met a loss or gradient that is not finite."""

    status = 3


class DiskError(Ending):
    """The system refused a file of a run; checkpoints are intact."""

    status = 4


class NotSaved(DiskError):
    """A file of a run could not be written."""


class NotRead(DiskError):
    """A file of a run is there and could not be read, which says nothing against what it holds."""


class Pruned(Ending):
    """Who watches the run wants no more of it; it has saved."""


class Interrupted(Ending):
    """A signal asked the run to stop, and it has saved."""

    def __init__(self, message: str, signum: int):
        super().__init__(message)
        self.status = 128 + signum


def ending(program: Callable[[], None]) -> int:
    """Runs a program -> its exit status; an `Ending` becomes its sentence on stderr."""
    try:
        program()
    except Ending as end:
        if os.environ.get("R3NN_TRACEBACK"):
            traceback.print_exc()
        else:
            print(" ".join(str(end).split()), file=sys.stderr)
        return end.status
    except KeyboardInterrupt:
        print("interrupted.", file=sys.stderr)
        return 130
    return 0


def leave(status: int, sentence: str = "") -> NoReturn:
    """Ends this process here, from any thread and whatever the others are doing. The first call counts."""
    _leaving.acquire()
    with contextlib.suppress(OSError, ValueError):  # nobody reads, or it is closed
        if sentence:
            print(" ".join(sentence.split()), file=sys.stderr)
        sys.stderr.flush()
        sys.stdout.flush()
        if sys.stdout is not sys.__stdout__ and sys.__stdout__.isatty():  # a bar, which hides the cursor
            print("\x1b[?25h", file=sys.__stdout__, flush=True)
    os._exit(status)
