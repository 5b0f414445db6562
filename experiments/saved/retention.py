"""Decides which checkpoints of a run stay."""

import dataclasses
from collections.abc import Callable

from orbax.checkpoint import checkpoint_managers


def retained(steps: list[int], best: int | None, marks: tuple[float, ...] = ()) -> set[int]:
    """Applies the retention rule: of checkpoints after so many updates, in order, returns those that stay.

    The last two, the best, and of each mark the first that is not before it.
    """
    spaced = (next((step for step in steps if step >= mark), None) for mark in marks)
    return {*steps[-2:], best, *spaced} & {*steps}


@dataclasses.dataclass
class Retained(checkpoint_managers.PreservationPolicy):
    """Gives the retention rule the form in which Orbax asks for it. best: the step of the best checkpoint, as
    it is now."""

    best: Callable[[], int | None]
    marks: tuple[float, ...]

    def should_preserve(self, checkpoints, *, context):
        steps = [info.step for info in checkpoints]
        stay = retained(sorted(steps), self.best(), self.marks)
        return [step in stay for step in steps]
