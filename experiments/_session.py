"""A run in progress: its state on the device, its counters, and the files it writes."""

import contextlib
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiments import _processes, _shared
from experiments._build import Experiment, start
from experiments._checkpoint import Checkpoints, Counters, sums
from experiments._report import Events, Screen, screen
from experiments._workdir import Log, Workdir, read_lines
from r3nn import training

_updates = jax.jit(training.updates, static_argnums=(0, 3), donate_argnums=2)
_evaluate = jax.jit(training.evaluate, static_argnums=(0, 3, 4))
_start = jax.jit(start, static_argnums=0)  # one program for all seeds


@dataclasses.dataclass
class Session:
    """What the training loop holds; `opened` makes one."""

    experiment: Experiment
    place: Workdir
    arrays: Any  # the learner's finite data, on the devices
    state: training.TrainState
    counters: Counters
    checkpoints: Checkpoints
    log: Log
    events: Events
    screen: Screen
    saved: int  # the step of the newest checkpoint
    _programs: dict[Any, Callable] = dataclasses.field(default_factory=dict)

    @property
    def config(self) -> ConfigDict:
        """The run's."""
        return self.experiment.config

    @property
    def done(self) -> bool:
        """Whether all updates are made, the target is reached, or patience is at its end."""
        patience, counters = self.config.train.patience, self.counters
        return (
            counters.reached or counters.step >= self.config.train.updates or 0 < patience <= counters.stale
        )

    def due(self, every: int, count: int) -> bool:
        """Whether the last `count` updates passed a multiple of `every`, or are the last of all."""
        return self.done or _passed(every, self.counters.step - count, self.counters.step)

    def program(self, count: int) -> Callable:
        """`count` updates as one compiled program: (hparams, state, arrays) -> (state, metrics of each)."""
        if count not in self._programs:
            arguments = (self.experiment.spec, self.experiment.hparams, self.state, count, self.arrays)
            self._programs[count] = _updates.lower(*arguments).compile()
        return self._programs[count]

    def measure(self, state: training.TrainState, split: training.Split) -> dict[str, float]:
        """The learner's metrics on the rows of a split: the same ones for every seed."""
        numbers = self.evaluator(split)(state.params, state.carry.shared, self.arrays)
        return {name: float(value) for name, value in numbers.items()}

    def evaluator(self, split: training.Split) -> Callable:
        """One evaluation as a compiled program: (params, shared, arrays) -> metrics."""
        if split not in self._programs:
            params, shared = self.state.params, self.state.carry.shared
            batch = self.config.train.eval_batch
            lowered = _evaluate.lower(self.experiment.spec, params, shared, batch, split, self.arrays)
            self._programs[split] = lowered.compile()
        return self._programs[split]

    def record(self, kind: str, numbers: dict[str, float]) -> None:
        """A line of metrics.jsonl, and the same as events."""
        known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        self.log.add({"kind": kind, "update": self.counters.step, **known})
        self.events.add(kind, self.counters.step, numbers)

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Adds the time that passes within to the run's seconds of training."""
        began = time.perf_counter()
        yield
        self.counters.seconds += time.perf_counter() - began

    def save(self) -> None:
        """A checkpoint of now, unless there is one."""
        if self.counters.step > self.saved:
            self.counters.log_bytes = self.log.sync()
            self.events.sync()
            self.checkpoints.save(self.state, self.counters, self.config.to_dict())
            self.saved = self.counters.step


def begin(experiment: Experiment) -> training.TrainState:
    """The state before the first update, computed on one device: the same bits on any number of them."""
    state = _start(experiment.spec, experiment.hparams)
    if experiment.source is not None:
        state = state._replace(params=experiment.source)
    placed = experiment.placed()
    if _processes.several():
        return _processes.from_first(state, placed)
    return jax.device_put(state, jax.tree.map(lambda leaf: leaf.sharding, placed))


def placed_arrays(experiment: Experiment, sharding: jax.sharding.Sharding) -> Any:
    """The learner's finite data on the devices of a sharding, which has them whole on each."""

    def place(array):
        array = np.asarray(array, jax.dtypes.canonicalize_dtype(array.dtype))
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(place, experiment.arrays)


@contextlib.contextmanager
def opened(experiment: Experiment, place: Workdir, shown: Screen | None = None) -> Iterator[Session]:
    """The session of a claimed folder: from its newest good checkpoint, or from the start.

    shown: the screen that it has a part of; None: one of its own.
    """
    with contextlib.ExitStack() as stack:
        closing = lambda part: stack.enter_context(contextlib.closing(part))
        options = {"data": sums(experiment.arrays), "marks": _marks(experiment.config.train)}
        checkpoints = closing(_shared.checkpoints(place.checkpoints, **options))
        found = checkpoints.restore(experiment.placed())
        state, counters = found or (begin(experiment), Counters())
        arrays = placed_arrays(experiment, experiment.placed().step.sharding)
        log = closing(_shared.mine(Log, place.metrics, counters.step))
        events = closing(_shared.mine(Events, place.tensorboard, counters.step))
        shown = shown or closing(_shared.mine(screen, experiment.config.train.updates, counters.step))
        _shared.mine(_tell_gaps, place, experiment.config.train, counters.step, shown)
        yield Session(
            experiment, place, arrays, state, counters, checkpoints, log, events, shown, saved=counters.step
        )


def _marks(train: ConfigDict) -> tuple[float, ...]:
    """Numbers of updates, evenly in their logarithm, at or behind which a checkpoint stays."""
    return tuple(train.updates ** (number / train.keep) for number in range(1, train.keep + 1))


def _tell_gaps(place: Workdir, train: ConfigDict, step: int, shown: Screen) -> None:
    """Says which lines up to an update metrics.jsonl does not have; the run goes on without them."""
    ends = [*range(train.log_every, step + 1, train.log_every)]
    if step == train.updates and step % train.log_every:
        ends.append(step)
    there = {(line["kind"], line["update"]) for line in read_lines(place.metrics)}
    gone = {end for end in ends if ("train", end) not in there}
    for before, end in itertools.pairwise([0, *ends]):
        evaluated = end == train.updates or _passed(train.eval_every, before, end)
        if evaluated and ("eval", end) not in there:
            gone.add(end)
    if gone:
        shown.say(
            f"{place.metrics} lacks lines of update {_stretches(ends, gone)}, or they cannot be read; the "
            f"run goes on after update {step}, and its loss curve has a gap."
        )


def _passed(every: int, before: int, now: int) -> bool:
    """Whether a multiple of `every` lies behind `before`, and not behind `now`."""
    return now // every > before // every


def _stretches(steps: list[int], some: set[int]) -> str:
    """Some of the steps in words: 4, 12 to 20."""
    runs = [list(run) for among, run in itertools.groupby(steps, some.__contains__) if among]
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
