"""Decides what a sweep tries: its axes, its slots, and the config and command of each run."""

import dataclasses
import functools
import inspect
import itertools
import math
import runpy
import shlex
from typing import Any

from ml_collections import ConfigDict

from configs import _space
from configs._space import Axis, Grid, Range
from experiments.errors import BadInput
from experiments.program.caller import absolute, folder_of
from experiments.program.python_files import running
from experiments.sweeps.trainer import Trainer

Values = dict[str, Any]  # config field -> value


@dataclasses.dataclass(frozen=True)
class Sweep:
    """N configurations are sampled; each is run at every grid point, of the product of all grids.

    A run is known by its slot, 0 .. total-1: configuration = slot // number of grid
    points, grid point = the rest.
    """

    config: str  # as --config names it
    overrides: tuple[str, ...]  # the --config.FIELD=VALUE of the command line
    base: dict[str, Any]  # the whole config before any axis
    axes: dict[str, Axis]  # by config field
    trials: int  # N
    sampler: str
    pruner: str
    seed: int  # of the sampler
    metric: str
    higher_is_better: bool
    trainer: Trainer = dataclasses.field(compare=False, repr=False)  # of the runs

    @functools.cached_property
    def traced(self) -> tuple[str, ...]:
        """Names the fields that no compiled program depends on.

        Runs that differ in these alone share one.
        """
        return self.trainer.free(self.base)

    @functools.cached_property
    def sampled(self) -> dict[str, Axis]:
        """Returns the axes that a sampler decides, by name."""
        return {name: axis for name, axis in self.axes.items() if not isinstance(axis, Grid)}

    @functools.cached_property
    def grid_points(self) -> list[Values]:
        """Lists the points of the product of the grids, a dict of values for each.

        Traced fields change faster than others, the seed fastest.
        """
        grids = {name: axis.values for name, axis in self.axes.items() if isinstance(axis, Grid)}
        names = sorted(grids, key=lambda name: (name in self.traced, name == "seed"))
        rows = itertools.product(*(grids[name] for name in names))
        return [dict(zip(names, row, strict=True)) for row in rows]

    @property
    def total(self) -> int:
        """Counts the slots of the sweep, one a run."""
        grids = (len(axis.values) for axis in self.axes.values() if isinstance(axis, Grid))
        return self.trials * math.prod(grids)

    def configuration(self, slot: int) -> int:
        """Says which of the N configurations a slot belongs to."""
        return slot // len(self.grid_points)

    def grid_point(self, slot: int) -> Values:
        """Returns the grids' values in a slot."""
        return self.grid_points[slot % len(self.grid_points)]

    def architecture(self, values: Values) -> Values:
        """Returns the values that decide which program is compiled."""
        return {name: value for name, value in values.items() if name not in self.traced}

    def config_of(self, values: Values) -> ConfigDict:
        """Makes the config of a run from its values.

        Raises: BadInput for a name or type that is no config's.
        """
        return self.trainer.with_values(self.base, values)

    def command(self, workdir: str, values: Values) -> str:
        """Makes the command that repeats a run by itself in `workdir`.

        Its length is this one or, with a longer --config.train.updates, another.
        """
        fields = [f"--config.{name}={word(value)}" for name, value in values.items()]
        start = ["scripts/run", "experiments/train.py", f"--config={self.config}", f"--workdir={workdir}"]
        return shlex.join([*start, *self.overrides, *fields])

    def to_dict(self) -> dict[str, Any]:
        """Writes the sweep as JSON can hold it."""
        axes = {
            name: {"kind": type(axis).__name__, **dataclasses.asdict(axis)}
            for name, axis in self.axes.items()
        }
        plain = {name: getattr(self, name) for name in self._recorded()}
        return {**plain, "overrides": list(self.overrides), "axes": axes}

    @classmethod
    def from_dict(cls, data: dict[str, Any], trainer: Trainer) -> "Sweep":
        """Reads back what `to_dict` wrote."""
        known = {name: data[name] for name in cls._recorded()}
        axes = {name: _axis(**axis) for name, axis in data["axes"].items()}
        return cls(**{**known, "overrides": tuple(data["overrides"]), "axes": axes}, trainer=trainer)

    @classmethod
    def _recorded(cls) -> list[str]:
        """Names the fields that say what is tried, which are all but the trainer."""
        return [field.name for field in dataclasses.fields(cls) if field.name != "trainer"]


def _axis(kind: str, **options) -> Axis:
    values = {name: tuple(x) if isinstance(x, list) else x for name, x in options.items()}
    return getattr(_space, kind)(**values)


def workdir(slot: int) -> str:
    """Names a run's folder, relative to that of its sweep."""
    return f"trials/{slot:05d}"


def word(value: Any) -> str:
    """Writes a value as a command line says it, so that reading gives the same value again."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def space(name: str) -> dict[str, Axis]:
    """Returns the axes that "FILE.py" or "FILE.py:VARIANT" declares, a file that is there. The Python files
    that they name are looked for as those of a config are.

    Raises: BadInput.
    """
    path, _, variant = name.partition(":")
    get_sweep = runpy.run_path(path).get("get_sweep")
    if get_sweep is None:
        raise BadInput(
            f"--config={name}: {path} does not define get_sweep(), which says what to try; "
            "configs/quickstart_sweep.py shows one."
        )
    takes = variant and inspect.signature(get_sweep).parameters
    with running("--config", f"{name}: get_sweep()"):
        axes = get_sweep(variant) if takes else get_sweep()
    if not (isinstance(axes, dict) and axes and all(isinstance(axis, Axis) for axis in axes.values())):
        raise BadInput(
            f"--config={name}: get_sweep() must return config fields with what configs/_space.py makes, such "
            f"as {{'seed': grid(range(5))}}, got {axes!r}."
        )
    return {field: _located(field, axis, folder_of(path)) for field, axis in axes.items()}


def _located(field: str, axis: Axis, folder: str) -> Axis:
    """Returns an axis in which Python files have absolute paths, as `absolute` finds them."""
    if isinstance(axis, Range):
        return axis
    find = lambda value: absolute(f"get_sweep()[{field!r}]", value, [folder])
    values = (find(value) if isinstance(value, str) else value for value in axis.values)
    return dataclasses.replace(axis, values=tuple(values))


def edges(axis: Axis) -> tuple:
    """Returns the values of an axis, or the ends of a range."""
    return (axis.low, axis.high) if isinstance(axis, Range) else axis.values
