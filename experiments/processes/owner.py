"""What process 0 alone has, as the owner of the run; the others act as if they had one."""

from collections.abc import Callable
from typing import Any

from experiments.processes import membership


class Mute:
    """A log, events, a screen or a trace of a process that has none."""

    def _nothing(self, *_, **__) -> int:
        return 0

    add = sync = say = progress = close = __enter__ = __exit__ = _nothing


def mine(make: Callable, *arguments: Any) -> Any:
    """What process 0 makes of the arguments; the others get a `Mute`."""
    return make(*arguments) if membership.first() else Mute()
