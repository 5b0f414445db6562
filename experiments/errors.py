"""Says how a program ends when it does not finish: one sentence on stderr, and an exit status.

    0    finished (or there was nothing left to do)
    1    an unforeseen error, with its traceback; another process has gone; no run of a sweep succeeded
    2    bad input: nothing was created or changed
    3    a loss or gradient stopped being finite; the state before it is saved
    4    a file cannot be written or read (the disk is full or fails, a permission is gone), memory runs out,
         or a sweep's database is away: what was saved before is intact, and the same command goes on from
         there, with smaller sizes where it was memory
    141  nobody reads the output any more, as behind `| head`: nothing is said
    130  Ctrl-C, 143 SIGTERM: saved, but for the updates under way at a second one; the same command goes on
    134  JAX ends this process, because another one of the run has hung for 100 seconds

R3NN_TRACEBACK=1 in the environment shows the traceback of the others too.
"""

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
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


class NoMemory(Ending):
    """The system or a device refused memory; what was saved before is intact."""

    status = 4


class Pruned(Ending):
    """Who watches the run wants no more of it; it has saved."""


class Interrupted(Ending):
    """A signal asked the run to stop, and it has saved."""

    def __init__(self, message: str, signum: int):
        super().__init__(message)
        self.status = 128 + signum


UNREAD = 141  # as of a program that SIGPIPE ends


def ending(program: Callable[[], None]) -> int:
    """Runs a program -> its exit status; an `Ending` becomes its sentence on stderr."""
    try:
        with memory_in_words():
            program()
            sys.stdout.flush()
    except BrokenPipeError:
        if not _drop_unread():
            raise
        return UNREAD
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


@contextlib.contextmanager
def memory_in_words() -> Iterator[None]:
    """Raises NoMemory where memory is refused within its block; any other error is as it was."""
    try:
        yield
    except Exception as error:
        if not (isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)):
            raise
        what = " ".join(str(error).split()).partition("RESOURCE_EXHAUSTED: ")[2][:200].rstrip(".")
        raise NoMemory(
            f"memory ran out ({what or 'the system gave no more'}): what was saved before is intact; take a "
            "smaller config.train.batch, config.train.eval_batch or config.train.length, or other sizes."
        ) from error


def _drop_unread() -> bool:
    """Says whether nobody reads stdout or stderr.

    What Python would still write there at its end is dropped.
    """
    unread = False
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            unread = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return unread


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
