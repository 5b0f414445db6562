"""What the configurations of a sweep are measured by."""

import dataclasses

from experiments._sweep.plan import Sweep, Values
from r3nn.tasks import get_task


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a configuration is measured by."""

    baseline: float  # of trivial predictions
    target: float | None  # at which training stops


class Goals:
    """The goal of each configuration: it depends on the task, its length and train.target alone."""

    def __init__(self, sweep: Sweep):
        self._sweep, self._known = sweep, {}

    def of(self, values: Values) -> Goal:
        """Of a configuration."""
        matter = {
            k: v for k, v in values.items() if k.startswith("task.") or k in ("train.length", "train.target")
        }
        key = tuple(matter.items())
        if key not in self._known:
            config = self._sweep.config_of(matter)
            task = get_task(config.task.name, **config.task.options)
            baseline = float(task.baseline(config.train.length)[task.metric])
            self._known[key] = Goal(baseline, config.train.target or None)
        return self._known[key]
