"""Runs that share a program: how they begin, take turns between two calls of the device, and end."""

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from ml_collections import ConfigDict

from experiments import _devices, _jax, _result, _turn
from experiments._build import Experiment
from experiments._lanes import Lanes
from experiments._report import Bar, Part, Plain, duration, screen
from experiments._session import Session, opened
from experiments._signals import Signals
from experiments._turn import Watch
from experiments._workdir import Workdir
from experiments.errors import Ending, Interrupted

Outcome = dict[str, Any] | Ending  # the content of result.json, or why there is none
Ended = Callable[[int, Outcome], None]


@dataclasses.dataclass(frozen=True)
class Member:
    """One run: its config, its folder, the command that repeats it alone, and who watches it.

    watch(updates made, held-out metric) is called after each evaluation; it may raise an `Ending`, such as
    Pruned, which ends this member alone.
    """

    config: ConfigDict
    workdir: str
    command: str = ""
    watch: Watch | None = None


class Group:
    """Members 0 .. M-1: the sessions of those that are not through, and the outcomes of the others.

    What only the host does after a call (saving, drawing) waits in `_later` until the next call is under way.
    """

    def __init__(self, members: Sequence[Member], experiments: Sequence[Experiment], ended: Ended | None):
        self._members, self._experiments, self._ended = members, experiments, ended
        self.sessions: dict[int, Session] = {}
        self.outcomes: dict[int, Outcome] = {}
        self._folders: dict[int, contextlib.ExitStack] = {}
        self._later: list[tuple[int, Callable[[], None]]] = []
        self._updates = experiments[0].config.train.updates
        self._screen: Plain | Bar = screen(len(members) * self._updates, 0)

    def close(self) -> None:
        """Lets go of the folders that are still claimed."""
        for folder in self._folders.values():
            folder.close()
        self._screen.close()

    def train(self, signals: Signals) -> None:
        """Opens all members and trains until each has an outcome. Raises: Interrupted, once all are saved."""
        for number in range(len(self._members)):
            self._attempt(number, partial(self._open, number))
        if self.sessions:
            lanes = self._begin()
            self._conclude(lanes, [number for number, session in self.sessions.items() if session.done])
            while self._going() and not signals.received:
                self._round(lanes)
            self._catch_up()
        if self.sessions:
            self._interrupt(lanes, signals)

    def _going(self) -> list[int]:
        return [number for number, session in self.sessions.items() if not session.done]

    # The ends of members.

    def _attempt(self, number: int, job: Callable[[], Any]) -> Any:
        """Does what may end a member, which is its outcome then, and no trouble of the others."""
        try:
            return job()
        except Ending as end:
            self._end(number, end)

    def _end(self, number: int, outcome: Outcome) -> None:
        self.sessions.pop(number, None)
        with contextlib.suppress(KeyError):
            self._folders.pop(number).close()
        if isinstance(outcome, Ending):
            self._part(number).say(str(outcome))
        self.outcomes[number] = outcome
        if self._ended:
            self._ended(number, outcome)

    def _part(self, number: int) -> Part:
        return Part(self._screen, Workdir(self._members[number].workdir).path.name)

    def _interrupt(self, lanes: Lanes, signals: Signals) -> None:
        count = len(self.sessions)
        for number in list(self.sessions):
            self._attempt(number, partial(self._save, lanes, number))
        raise Interrupted(
            f"{signals.received.name}: stopped and saved {count} runs; the same command goes on from there.",
            signals.received,
        )

    # Before the first call of the device.

    def _open(self, number: int) -> None:
        """Claims a member's folder -> its session, or the result that stands there already."""
        experiment, place = self._experiments[number], Workdir(self._members[number].workdir)
        with contextlib.ExitStack() as stack:
            stack.enter_context(place.claimed(experiment.config))
            if not self.sessions:
                _jax.use_cache(experiment.config)
            result = place.read_result()
            if result is None:
                session = stack.enter_context(opened(experiment, place, self._part(number)))
                self.sessions[number], self._folders[number] = session, stack.pop_all()
        if result is not None:
            self._part(number).say("has finished already.")
            self._end(number, result)

    def _begin(self) -> Lanes:
        """All states on the devices, and the programs compiled."""
        sessions, experiment = list(self.sessions.values()), self._experiments[0]
        began = time.perf_counter()
        lanes = Lanes({number: (one.experiment, one.state) for number, one in self.sessions.items()})
        self._screen.say(
            f"{experiment.title}, {experiment.parameters:,} parameters; {len(sessions)} side by side on "
            f"{_devices.describe(lanes.devices)}, compiling ..."
        )
        for session in sessions:
            session.state = None  # the lanes have it
            if session.counters.step:
                session.screen.say(f"going on after update {session.counters.step}")
        if going := self._going():
            lanes.compile(max(_turn.next_count(self.sessions[number]) for number in going))
        self._screen.say(f"compiled in {duration(time.perf_counter() - began)}")
        return lanes

    # Calls of the device.

    def _round(self, lanes: Lanes) -> None:
        """One call for the members with the most updates to make in it, and all that follows from it."""
        counts = {number: _turn.next_count(self.sessions[number]) for number in self._going()}
        count = max(counts.values())
        going = [number for number, own in counts.items() if own == count]
        lanes.compile(count)
        began = time.perf_counter()
        metrics = lanes.advance(going, count)
        self._catch_up()
        metrics, finite = jax.device_get((metrics, lanes.states.ok))
        seconds = time.perf_counter() - began
        losses = []
        for number in going:
            self.sessions[number].counters.seconds += seconds / len(going)
            arguments = (lanes, number, count, lanes.of(number, metrics), lanes.of(number, finite))
            losses.append(self._attempt(number, partial(self._trained, *arguments)))
        self._progress([loss for loss in losses if loss is not None], count * len(going) / seconds)
        self._judge(lanes, [number for number in going if number in self.sessions], count)

    def _trained(self, lanes: Lanes, number: int, count: int, metrics: dict[str, Any], finite: bool) -> float:
        session = self.sessions[number]
        if not finite:
            session.state = lanes.state(number)
            raise _turn.not_finite(session)
        return _turn.trained(session, count, metrics)

    def _progress(self, losses: list[float], rate: float) -> None:
        done = sum(session.counters.step for session in self.sessions.values())
        done += self._updates * (len(self._members) - len(self.sessions))
        if losses:
            self._screen.progress(done, statistics.median(losses), rate)

    def _judge(self, lanes: Lanes, members: list[int], count: int) -> None:
        """Evaluates those whose turn it is, and has saved what is worth it."""
        train, began = self._experiments[0].config.train, time.perf_counter()
        due = [number for number in members if self.sessions[number].due(train.eval_every, count)]
        numbers = lanes.measure(due, "held_out") if due else {}
        for number in due:
            lanes.judge(number, numbers[number])
        for number in due:
            self.sessions[number].counters.seconds += (time.perf_counter() - began) / len(due)
        better = {n: self._attempt(n, partial(self._judged, lanes, n, numbers[n])) for n in due}
        left = [number for number in members if number in self.sessions]
        for number in left:
            if better.get(number) or self.sessions[number].due(train.checkpoint_every, count):
                self.sessions[number].state = lanes.state(number)
                self._later.append((number, partial(self._save, lanes, number)))
        self._conclude(lanes, [number for number in left if self.sessions[number].done])

    def _judged(self, lanes: Lanes, number: int, numbers: dict[str, float]) -> bool:
        try:
            return _turn.judged(self.sessions[number], numbers, self._members[number].watch)
        except Ending:
            self._save(lanes, number)
            raise

    def _save(self, lanes: Lanes, number: int) -> None:
        session = self.sessions[number]
        session.state = session.state or lanes.state(number)
        session.save()
        session.state = None

    def _catch_up(self) -> None:
        """Does what has waited for the devices to be at work again."""
        later, self._later = self._later, []
        for number, job in later:
            self._attempt(number, job)

    def _conclude(self, lanes: Lanes, members: list[int]) -> None:
        """Tests the best states of members that are through, and has their results written."""
        if not members:
            return
        self._catch_up()  # the best state may not be saved yet
        tested = {}
        for number in members:
            session = self.sessions[number]
            session.state = lanes.state(number)
            state = self._attempt(number, partial(_turn.to_test, session))
            if state is not None:
                tested[number] = state
        if not tested:
            return
        numbers = lanes.measure([*tested], "test", tested)
        for number, state in tested.items():
            arguments = (number, numbers[number], int(state.step))
            self._later.append((number, partial(self._finish, *arguments)))

    def _finish(self, number: int, numbers: dict[str, float], step: int) -> None:
        session = self.sessions[number]
        result = _turn.finish(session, numbers, step, self._members[number].command)
        session.screen.say(_result.line(result))
        self._end(number, result)
