"""Takes SIGINT and SIGTERM in a process that may be one of several of a run."""

import functools

from experiments.processes import agreement, endings
from experiments.program.signals import Signals


def signals() -> Signals:
    """Makes `Signals` whose sentence is printed once for all processes; where one ends, so do the others."""
    return Signals(say=functools.partial(agreement.print_by_first, "stopping"), leave=endings.leave)
