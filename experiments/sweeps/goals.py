"""Says what the configurations of a sweep are measured by."""

import dataclasses

from experiments.sweeps.plan import Sweep, Values, edges


@dataclasses.dataclass(frozen=True)
class Goal:
    """Holds what a configuration is measured by, in units of the task's metric."""

    baseline: float | None  # of trivial predictions, where that is known
    target: float | None  # at which training stops


class Goals:
    """Gives the goal of each configuration, which depends on the task, its length and train.target alone."""

    def __init__(self, sweep: Sweep):
        self._sweep, self._known = sweep, {}
        named = edges(sweep.axes["task.name"]) if "task.name" in sweep.axes else ()
        self._named = (sweep.base["task"]["name"], *named)  # not what the database may have in their place

    def of(self, values: Values) -> Goal:
        """Returns the goal of a configuration. Raises: BadInput where its task is in a file that the sweep
        does not name."""
        matter = {
            k: v for k, v in values.items() if k.startswith("task.") or k in ("train.length", "train.target")
        }
        key = tuple(matter.items())
        if key not in self._known:
            config = self._sweep.config_of(matter)
            allowed = config.task.name in self._named
            self._known[key] = Goal(*self._sweep.trainer.measured(config, allow_code=allowed))
        return self._known[key]
