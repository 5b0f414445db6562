"""Keeps a run in progress: its counters, and the files that it writes. The state of its training is an
engine's."""

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from experiments.building.experiment import Experiment
from experiments.processes import agreement, owner
from experiments.program.files import to_json
from experiments.run import joint_folder, result_record
from experiments.run.engines import begin
from experiments.run.events import Events
from experiments.run.screen import Screen
from experiments.saved.checkpoints import Checkpoints, Counters, Damaged
from experiments.saved.leaves import sums
from experiments.saved.metrics_log import Log, read_lines
from experiments.saved.workdir import Workdir
from r3nn.training import TrainState, schedule

EvaluationCallback = Callable[[int, float], None]  # (updates made, held-out metric), after each evaluation


@dataclasses.dataclass
class Session:
    """Holds what the loop knows of a run; `opened` makes one."""

    experiment: Experiment
    place: Workdir
    counters: Counters
    checkpoints: Checkpoints
    log: Log
    events: Events
    screen: Screen
    saved: int  # the step of the newest checkpoint

    @property
    def config(self) -> ConfigDict:
        """Returns the whole, checked config of this run."""
        return self.experiment.config

    @property
    def done(self) -> bool:
        """Says whether all updates are made, the target is reached, or patience is at its end."""
        patience, counters = self.config.train.patience, self.counters
        return (
            counters.reached or counters.step >= self.config.train.updates or 0 < patience <= counters.stale
        )

    @property
    def next_count(self) -> int:
        """Counts the updates of the next call of the device."""
        return min(self.config.train.log_every, self.config.train.updates - self.counters.step)

    def due(self, every: int, count: int) -> bool:
        """Says whether the last `count` updates passed a multiple of `every`, or are the last of all."""
        return self.done or _passed(every, self.counters.step - count, self.counters.step)

    def trained(self, count: int, metrics: dict[str, Any]) -> float:
        """Counts `count` more updates, of these metrics [count], and logs their line -> the mean loss."""
        self.counters.step += count
        means = mean(metrics)
        self.record("train", means)
        if (rate := self._rate()) is not None:
            self.events.add("train", self.counters.step, {"learning_rate": rate})
        return means["loss"]

    def _rate(self) -> float | None:
        """Gives the learning rate of the last update; None where the learner has an optimizer of its own."""
        spec, hparams = self.experiment.spec, self.experiment.hparams
        if spec.learner.optimizer(hparams):
            return None
        return float(hparams.lr * schedule(spec, self.counters.step - 1))

    def judged(self, numbers: dict[str, float], watch: EvaluationCallback | None) -> bool:
        """Logs the line of these held-out metrics -> whether they are the best so far.

        Of equal values of the metric, the one whose tie breaker is less is the better; but it is no gain, and
        patience goes on. Raises: what `watch` raises.
        """
        learner, target, counters = self.experiment.learner, self.config.train.target, self.counters
        self.record("eval", numbers)
        value, sign = numbers[learner.metric], 1 if learner.higher_is_better else -1
        tie = numbers.get(learner.tie_breaker, math.nan)
        gain = math.isfinite(value) and (counters.best is None or sign * value > sign * counters.best)
        known = counters.best_tie is not None  # not so in a checkpoint of before there were tie breakers
        better = gain or (value == counters.best and known and tie < counters.best_tie)
        counters.stale = 0 if gain else counters.stale + 1
        if better:
            counters.best, counters.best_step = value, counters.step
            counters.best_tie = tie if math.isfinite(tie) else None
            counters.reached = bool(target) and sign * value >= sign * target
        mark = "  (best so far)" if better else ""
        self.screen.say(f"held-out {learner.metric} after update {counters.step}: {value:.4g}{mark}")
        if watch:
            watch(counters.step, value)
        return better

    def record(self, kind: str, numbers: dict[str, float]) -> None:
        """Writes a line of metrics.jsonl, and the same as events."""
        numbers = {**numbers, "seconds": round(self.counters.seconds, 3)}
        known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        self.log.add({"kind": kind, "update": self.counters.step, **known})
        self.events.add(kind, self.counters.step, numbers)

    def save(self, state: TrainState) -> None:
        """Saves a checkpoint of now, unless there is one."""
        if self.counters.step > self.saved:
            self.log.sync()
            self.events.sync()
            self.checkpoints.save(state, self.counters, self.config.to_dict())
            self.saved = self.counters.step

    def to_test(self, last: TrainState) -> TrainState:
        """Returns the best state, which is tested; the last one where that is damaged."""
        best = self.counters.best_step
        if best in (None, self.counters.step):
            return last
        try:
            return self.checkpoints.read(best, self.experiment.placed())[0]
        except Damaged as damage:
            self.screen.say(f"the best checkpoint is damaged ({damage}); the last state is tested instead.")
            return last

    def finish(self, numbers: dict[str, float], tested: int, command: str) -> dict[str, Any]:
        """Writes the test result as events, the loss curve and result.json -> its content.

        numbers: on sequences that decided nothing. tested: the update after which the tested state stood.
        """

        def write() -> dict[str, Any]:
            result = result_record.collect(self.experiment, self.counters, numbers, tested, command)
            self.events.add("test", tested, numbers)
            self.events.sync()
            result_record.save(result, self.place)
            return result

        return agreement.broadcast_from_0(write)


@contextlib.contextmanager
def opened(experiment: Experiment, place: Workdir, screen: Screen) -> Iterator[tuple[Session, TrainState]]:
    """Opens the session of a claimed folder, with its state: from its newest good checkpoint, or from the
    start."""
    with contextlib.ExitStack() as stack:
        closing = lambda part: stack.enter_context(contextlib.closing(part))
        options = {"data": sums(experiment.arrays), "marks": _marks(experiment.config.train)}
        checkpoints = closing(joint_folder.checkpoints(place.checkpoints, **options))
        found = checkpoints.restore(experiment.placed())
        state, counters = found or (begin(experiment), Counters())
        log = closing(owner.on_process_0(Log, place.metrics, counters.step))
        events = closing(owner.on_process_0(Events, place.tensorboard, counters.step))
        if not counters.step:
            events.tell("config", 0, to_json(experiment.config.to_dict()))
        owner.on_process_0(_tell_gaps, place, experiment.config.train, counters.step, screen)
        yield Session(experiment, place, counters, checkpoints, log, events, screen, counters.step), state


def mean(metrics: dict[str, Any]) -> dict[str, float]:
    """Averages each metric [count] over the updates in which a step counted at all; NaN where there is none.

    Of whole sequences that is every update; a piece of truncated backpropagation may hold no counted step.
    """
    counted = np.asarray(metrics["counted"]) > 0
    columns = {name: np.asarray(values, np.float64)[counted] for name, values in metrics.items()}
    del columns["counted"]
    return {name: float(values.mean()) if len(values) else math.nan for name, values in columns.items()}


def _marks(train: ConfigDict) -> tuple[float, ...]:
    """Lists numbers of updates, evenly in their logarithm, at or behind which a checkpoint stays."""
    return tuple(train.updates ** (number / train.keep) for number in range(1, train.keep + 1))


def _tell_gaps(place: Workdir, train: ConfigDict, step: int, screen: Screen) -> None:
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
        screen.say(
            f"{place.metrics} lacks lines of update {_stretches(ends, gone)}, or they cannot be read; the "
            f"run goes on after update {step}, and its loss curve has a gap."
        )


def _passed(every: int, before: int, now: int) -> bool:
    """Says whether a multiple of `every` lies behind `before`, and not behind `now`."""
    return now // every > before // every


def _stretches(steps: list[int], some: set[int]) -> str:
    """Writes some of the steps in words: 4, 12 to 20."""
    runs = [list(run) for among, run in itertools.groupby(steps, some.__contains__) if among]
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
