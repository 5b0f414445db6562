"""How a program ends when it does not finish: one sentence on stderr, and an exit status.

    0    finished (or there was nothing left to do)
    1    an unforeseen error, with its traceback; another process has gone; no run of a sweep succeeded
    2    bad input: nothing was created or changed
    3    a loss or gradient stopped being finite; the state before it is saved
    4    the disk is full or fails: what was saved before is intact, and the same command goes on from there
    130  Ctrl-C, 143 SIGTERM: saved; the same command goes on from there

R3NN_TRACEBACK=1 in the environment shows the traceback of the others too.
"""

import os
import sys
import traceback
from collections.abc import Callable


class Ending(Exception):
    """An end that one sentence explains."""

    status = 1


class BadInput(Ending, ValueError):
    """A field, a file or a folder that cannot be used; the sentence says what is allowed."""

    status = 2


class NotFinite(Ending, ArithmeticError):
    """Training met a loss or gradient that is not finite."""

    status = 3


class NotSaved(Ending):
    """A file of a run could not be written; earlier checkpoints are intact."""

    status = 4


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
