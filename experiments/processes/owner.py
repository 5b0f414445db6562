"""Makes objects that process 0 alone has, as the owner of the run: a log, a screen. Others get a stand-in."""

from collections.abc import Callable
from typing import Any

from experiments.processes import membership


class Mute:
    """Stands in for a log, events, a screen or a trace in a process that has none: its methods do nothing."""

    def _nothing(self, *_, **__) -> int:
        return 0

    add = tell = sync = say = progress = finish = close = __enter__ = __exit__ = _nothing


def on_process_0(make: Callable, *arguments: Any) -> Any:
    """Returns make(*arguments) in process 0, and a `Mute` in the others."""
    return make(*arguments) if membership.first() else Mute()
