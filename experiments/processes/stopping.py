"""Signals of a process that may be one of several of a run."""

import functools

from experiments.processes import agreement, endings
from experiments.program.signals import Signals


def signals() -> Signals:
    """Makes `Signals` of which all processes are told once; where one ends, so do the others."""
    return Signals(say=functools.partial(agreement.say_first, "stopping"), leave=endings.leave)
