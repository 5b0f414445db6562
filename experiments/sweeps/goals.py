"""What the configurations of a sweep are measured by."""

import dataclasses

from experiments.building.learners import learner_of
from experiments.config.fields import complete
from experiments.config.loading import running
from experiments.sweeps.plan import Sweep, Values, edges


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a configuration is measured by."""

    baseline: float | None  # of trivial predictions, where that is known
    target: float | None  # at which training stops


class Goals:
    """The goal of each configuration: it depends on the task, its length and train.target alone."""

    def __init__(self, sweep: Sweep):
        self._sweep, self._known = sweep, {}
        named = edges(sweep.axes["task.name"]) if "task.name" in sweep.axes else ()
        self._named = (sweep.base["task"]["name"], *named)  # not what the database may have in their place

    def of(self, values: Values) -> Goal:
        """Of a configuration. Raises: BadInput where its task is in a file that the sweep does not name."""
        matter = {
            k: v for k, v in values.items() if k.startswith("task.") or k in ("train.length", "train.target")
        }
        key = tuple(matter.items())
        if key not in self._known:
            config = self._sweep.config_of(matter)
            with running("config.task.name", name := config.task.name):
                learner = learner_of(complete(config), allow_code=name in self._named)
            baseline = learner.baseline().get(learner.metric)
            self._known[key] = Goal(
                None if baseline is None else float(baseline), config.train.target or None
            )
        return self._known[key]
