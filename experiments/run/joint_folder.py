"""Shares the folder of a run among several processes: process 0 has it, the others act as if they had one."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from experiments.config import named_code
from experiments.errors import BadInput
from experiments.processes import agreement, exchange, membership
from experiments.saved.checkpoints import Checkpoints, Counters, Damaged
from experiments.saved.workdir import Workdir
from r3nn.training import TrainState


@contextlib.contextmanager
def claimed(place: Workdir, config: ConfigDict) -> Iterator[Workdir]:
    """Claims the folder, in process 0 for all. Raises: BadInput, also where another process has another
    config."""
    first, *others = agreement.gather_all(named_code.record(config))
    for number, other in enumerate(others, 1):  # each looks at all, so that nothing is made where one differs
        if field := named_code.apart(first, other):
            raise BadInput(f"config.{field} differs between process 0 and process {number}.")
    with place.claimed(config) if membership.first() else contextlib.nullcontext():
        yield place


def checkpoints(folder: Path, **options: Any) -> "Checkpoints | Together":
    """Opens the checkpoints of a run in one process, or in several. options: of `Checkpoints`."""
    if not membership.several():
        return Checkpoints(folder, **options)
    return Together(Checkpoints(folder, **options) if membership.first() else None)


class Together:
    """Stands for `Checkpoints` in several processes, all of which call the same methods: process 0 reads and
    writes."""

    def __init__(self, own: Checkpoints | None):
        self._own = own

    def close(self) -> None:
        """Ends Orbax's threads, in the process that has them."""
        if self._own:
            self._own.close()

    def save(self, state: TrainState, counters: Counters, config: dict[str, Any]) -> None:
        """Saves as `Checkpoints.save` does; the arrays may be split over processes."""
        state = exchange.gathered(state)
        if self._own:
            self._own.save(state, counters, config)
        agreement.barrier()

    def restore(self, like: TrainState) -> tuple[TrainState, Counters] | None:
        """Restores as `Checkpoints.restore` does, in all processes."""
        return self._read(like, lambda here: self._own.restore(here))

    def read(self, step: int, like: TrainState) -> tuple[TrainState, Counters]:
        """Reads as `Checkpoints.read` does, in all processes."""
        return self._read(like, lambda here: self._own.read(step, here))

    def _read(self, like: TrainState, reading: Callable) -> tuple[TrainState, Counters] | None:
        """Returns what process 0 reads, with the shardings of `like`. Raises: Damaged."""
        state = None

        def read() -> dict[str, Any]:
            nonlocal state
            try:
                found = reading(jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), like))
            except Damaged as damage:
                return {"damaged": str(damage)}
            state, counters = found or (None, None)
            return {"counters": counters and vars(counters)}

        found = agreement.broadcast_from_0(read)
        if "damaged" in found:
            raise Damaged(found["damaged"])
        if found["counters"] is None:
            return None
        return exchange.from_first(state, like), Counters(**found["counters"])
