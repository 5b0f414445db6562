"""The folder of a run in several processes: process 0 has it, the others act as if they had one."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from experiments import _code, _processes
from experiments._checkpoint import Checkpoints, Counters, Damaged
from experiments._workdir import Workdir
from experiments.errors import BadInput
from r3nn.training import TrainState


class Mute:
    """A log, events, a screen or a trace of a process that has none."""

    def _nothing(self, *_, **__) -> int:
        return 0

    add = sync = say = progress = close = __enter__ = __exit__ = _nothing


def mine(make: Callable, *arguments: Any) -> Any:
    """What process 0 makes of the arguments; the others get a `Mute`."""
    return make(*arguments) if _processes.first() else Mute()


@contextlib.contextmanager
def claimed(place: Workdir, config: ConfigDict) -> Iterator[Workdir]:
    """The folder, claimed by process 0 for all. Raises: BadInput, also where another has another config."""
    first, *others = _processes.told(_code.record(config))
    for number, other in enumerate(others, 1):  # each looks at all, so that nothing is made where one differs
        if field := _code.apart(first, other):
            raise BadInput(f"config.{field} differs between process 0 and process {number}.")
    with place.claimed(config) if _processes.first() else contextlib.nullcontext():
        yield place


def checkpoints(folder: Path, **options: Any) -> "Checkpoints | Together":
    """Of a run in one process, or in several. options: of `Checkpoints`."""
    if not _processes.several():
        return Checkpoints(folder, **options)
    return Together(Checkpoints(folder, **options) if _processes.first() else None)


class Together:
    """`Checkpoints` in several processes, all of which call the same methods: process 0 reads and writes."""

    def __init__(self, own: Checkpoints | None):
        self._own = own

    def close(self) -> None:
        """Ends Orbax's threads, in the process that has them."""
        if self._own:
            self._own.close()

    def save(self, state: TrainState, counters: Counters, config: dict[str, Any]) -> None:
        """As `Checkpoints.save`, of arrays that may be split over processes."""
        state = _processes.gathered(state)
        if self._own:
            self._own.save(state, counters, config)
        _processes.meet()

    def restore(self, like: TrainState) -> tuple[TrainState, Counters] | None:
        """Restores as `Checkpoints.restore` does, in all processes."""
        return self._read(like, lambda here: self._own.restore(here))

    def read(self, step: int, like: TrainState) -> tuple[TrainState, Counters]:
        """Reads as `Checkpoints.read` does, in all processes."""
        return self._read(like, lambda here: self._own.read(step, here))

    def _read(self, like: TrainState, reading: Callable) -> tuple[TrainState, Counters] | None:
        """What process 0 reads, with the shardings of `like`. Raises: Damaged."""
        state = None

        def read() -> dict[str, Any]:
            nonlocal state
            try:
                found = reading(jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), like))
            except Damaged as damage:
                return {"damaged": str(damage)}
            state, counters = found or (None, None)
            return {"counters": counters and vars(counters)}

        told = _processes.tell(read)
        if "damaged" in told:
            raise Damaged(told["damaged"])
        if told["counters"] is None:
            return None
        return _processes.from_first(state, like), Counters(**told["counters"])
