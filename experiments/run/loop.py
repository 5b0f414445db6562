"""Runs the one loop of training: runs that share an engine train, are judged and saved, and end.

A run is a group of one. It differs from many side by side in its engine, and in that what ends it is raised.
"""

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments.building.experiment import Experiment
from experiments.errors import Ending, Interrupted, NotFinite
from experiments.processes import agreement, owner
from experiments.program.durations import duration
from experiments.program.files import writing
from experiments.program.signals import Signals
from experiments.run import device_count, jax_settings, joint_folder
from experiments.run.diagnosis import blame
from experiments.run.engines import Alone, SideBySide
from experiments.run.screen import Part, Screen, screen
from experiments.run.session import EvaluationCallback, Session, opened
from experiments.saved import result_words
from experiments.saved.workdir import Workdir
from r3nn.training import TrainState

Outcome = dict[str, Any] | Ending  # the content of result.json, or why there is none
Ended = Callable[[int, Outcome], None]


@dataclasses.dataclass(frozen=True)
class Member:
    """Describes one run: its config, its folder, the command that repeats it alone, and who watches it.

    watch(updates made, held-out metric) is called after each evaluation; it may raise an `Ending`, such as
    Pruned, which ends this member alone.
    """

    config: ConfigDict
    workdir: str
    command: str = ""
    watch: EvaluationCallback | None = None


class Loop:
    """Trains members 0 .. M-1: it holds the sessions of those that are not through, and the outcomes of the
    others.

    Jobs that the host alone does after a call of the device (saving, drawing) wait in `_later` until the next
    call is under way, if the engine's states outlive that call.
    """

    def __init__(
        self,
        members: Sequence[Member],
        experiments: Sequence[Experiment],
        engine: type[Alone] | type[SideBySide],
        ended: Ended | None = None,
    ):
        self._members, self._experiments, self._ended = members, experiments, ended
        self._make, self._engine = engine, None
        self._alone = engine is Alone
        self._sessions: dict[int, Session] = {}
        self.outcomes: dict[int, Outcome] = {}
        self._folders: dict[int, contextlib.ExitStack] = {}
        self._later: list[tuple[int, Callable[[], None]]] = []
        self._updates = experiments[0].config.train.updates
        self._screen: Screen = owner.on_process_0(screen, len(members) * self._updates, 0)

    def train(self, signals: Signals) -> dict[int, Outcome]:
        """Trains until each member has an outcome. Raises: Interrupted, once all are saved."""
        try:
            self._begin()
            while self._going() and not signals.received:
                self._round()
            self._catch_up()
            if self._sessions:
                self._interrupt(signals)
            if any(isinstance(outcome, dict) for outcome in self.outcomes.values()):
                self._screen.finish()
            return self.outcomes
        finally:
            for folder in self._folders.values():
                folder.close()
            self._screen.close()

    def _going(self) -> list[int]:
        return [number for number, session in self._sessions.items() if not session.done]

    # The ends of members.

    def _attempt(self, number: int, job: Callable[[], Any]) -> Any:
        """Does a job that may end a member: the `Ending` is then its outcome, and the others go on."""
        try:
            return job()
        except Ending as end:
            self._end(number, end)

    def _end(self, number: int, outcome: Outcome) -> None:
        self._sessions.pop(number, None)
        with contextlib.suppress(KeyError):
            self._folders.pop(number).close()
        if isinstance(outcome, Ending) and not self._alone:
            self._part(number).say(str(outcome))
        self.outcomes[number] = outcome
        if self._ended:
            self._ended(number, outcome)

    def _part(self, number: int) -> Screen:
        """Returns the screen of a member, which says its name where there are others."""
        return self._screen if self._alone else Part(self._screen, self._place(number).path.name)

    def _place(self, number: int) -> Workdir:
        return Workdir(self._members[number].workdir)

    def _interrupt(self, signals: Signals) -> None:
        left = list(self._sessions.items())
        for number, _ in left:
            self._attempt(number, partial(self._save, number))
        if self._alone and self.outcomes:  # it could not be saved
            return
        where = f"after update {left[0][1].counters.step}" if self._alone else f"{len(left)} runs"
        raise Interrupted(
            f"{signals.received.name}: stopped and saved {where}; the same command goes on from there.",
            signals.received,
        )

    # Before the first call of the device.

    def _begin(self) -> None:
        """Claims all folders, puts all states on the devices, and compiles the programs."""
        states: dict[int, TrainState] = {}
        for number in range(len(self._members)):
            self._attempt(number, partial(self._open, number, states))
        if not states:
            return
        self._engine = self._make({n: (self._experiments[n], state) for n, state in states.items()})
        states.clear()  # the engine has them
        if self._going():
            self._compile()
        self._conclude()

    def _open(self, number: int, states: dict[int, TrainState]) -> None:
        """Claims a member's folder, for its session and state, or the result that stands there already."""
        experiment, place = self._experiments[number], self._place(number)
        with contextlib.ExitStack() as stack:
            stack.enter_context(joint_folder.claimed(place, experiment.config))
            if not self._sessions:
                jax_settings.use_cache(experiment.config)
            result = agreement.broadcast_from_0(place.read_result)
            if result is None:
                part = self._part(number)
                self._sessions[number], states[number] = stack.enter_context(opened(experiment, place, part))
                self._folders[number] = stack.pop_all()
        if result is not None:
            self._part(number).say(f"This run has finished already: nothing to do in {place.path}.")
            self._end(number, result)

    def _compile(self) -> None:
        """Says what is about to be trained, compiles it, and traces some updates where the config asks so."""
        experiment, began = self._experiments[0], time.perf_counter()
        beside = "" if self._alone else f"{len(self._sessions)} side by side "
        self._screen.say(
            f"{experiment.title}, {experiment.parameters:,} parameters, {beside}on "
            f"{device_count.describe(self._engine.devices)}, compiling ..."
        )
        for session in self._sessions.values():
            if session.counters.step:
                session.screen.say(f"going on after update {session.counters.step}{_other_devices(session)}")
        self._engine.compile(max(self._sessions[number].next_count for number in self._going()))
        self._screen.say(f"compiled in {duration(time.perf_counter() - began)}")
        if self._alone and (count := experiment.config.profile):
            folder = self._place(0).profile
            with writing(folder):
                self._engine.trace(count, folder)
            self._screen.say(f"traced {count} updates into {folder}")

    # Calls of the device.

    def _round(self) -> None:
        """Makes one call for the members with the most updates to make in it, and all that follows from
        it."""
        counts = {number: self._sessions[number].next_count for number in self._going()}
        count = max(counts.values())
        going = [number for number, own in counts.items() if own == count]
        self._engine.compile(count)
        self._advance(going, count)
        going = [number for number in going if number in self._sessions]
        due = [n for n in going if self._sessions[n].due(self._sessions[n].config.train.eval_every, count)]
        better = self._evaluate(due) if due else {}
        left = [number for number in going if number in self._sessions]
        for number in left:
            session = self._sessions[number]
            if better.get(number) or session.due(session.config.train.checkpoint_every, count):
                self._wait(number, partial(self._save, number, self._engine.state(number)))
        self._conclude()

    def _advance(self, going: list[int], count: int) -> None:
        """Makes `count` updates of these members in one call, and writes their lines in the logs."""
        began = time.perf_counter()
        wait = self._engine.advance(going, count)
        self._catch_up()
        found = wait()
        seconds, losses = time.perf_counter() - began, []
        for number, (metrics, finite) in found.items():
            if number in self._sessions:
                self._sessions[number].counters.seconds += seconds / len(going)
                losses.append(self._attempt(number, partial(self._trained, number, count, metrics, finite)))
        if self._experiments[0].learner.probes and (left := [n for n in going if n in self._sessions]):
            for number, numbers in self._engine.probe(left).items():
                self._attempt(number, partial(self._sessions[number].record, "probe", numbers))
        losses = [loss for loss in losses if loss is not None]
        done = sum(session.counters.step for session in self._sessions.values())
        done += self._updates * (len(self._members) - len(self._sessions))
        if losses:
            self._screen.progress(done, statistics.median(losses), count * len(going) / seconds)

    def _trained(self, number: int, count: int, metrics: dict[str, Any], finite: bool) -> float:
        session = self._sessions[number]
        if finite:
            return session.trained(count, metrics)
        state, experiment = self._engine.state(number), session.experiment
        session.counters.step = int(state.step)
        session.save(state)  # a resume meets the same bad update again
        arrays = jax.device_put(self._engine.arrays, experiment.placed().step.sharding)
        raise NotFinite(blame(experiment, state, arrays))

    def _evaluate(self, due: list[int]) -> dict[int, bool]:
        """Measures these members on held-out data -> whether each is the best so far."""
        began = time.perf_counter()
        numbers = self._engine.measure(due, "held_out")
        for number in due:
            if (learner := self._experiments[number].learner).judges:
                self._engine.put(number, _judged(learner, self._engine.state(number), numbers[number]))
        for number in due:
            self._sessions[number].counters.seconds += (time.perf_counter() - began) / len(due)
        return {number: self._attempt(number, partial(self._hear, number, numbers[number])) for number in due}

    def _hear(self, number: int, numbers: dict[str, float]) -> bool:
        """Tells a member, and who watches it, of its evaluation. Raises: what the watcher raises, once the
        member is saved."""
        try:
            return self._sessions[number].judged(numbers, self._members[number].watch)
        except Ending:
            self._save(number)
            raise

    def _save(self, number: int, state: TrainState | None = None) -> None:
        self._sessions[number].save(self._engine.state(number) if state is None else state)

    def _wait(self, number: int, job: Callable[[], None]) -> None:
        """Does a job while the devices are at work again, or at once where that would be too late."""
        self._later.append((number, job))
        if not self._engine.copies:
            self._catch_up()

    def _catch_up(self) -> None:
        later, self._later = self._later, []
        for number, job in later:
            if number in self._sessions:
                self._attempt(number, job)

    def _conclude(self) -> None:
        """Tests the best states of members that are through, and writes their results."""
        if len(self._going()) < len(self._sessions):
            self._catch_up()  # the best state may not be saved yet
        tested = {}
        for number in [number for number, session in self._sessions.items() if session.done]:
            read = partial(self._sessions[number].to_test, self._engine.state(number))
            if (state := self._attempt(number, read)) is not None:
                tested[number] = state
        if not tested:
            return
        numbers = self._engine.measure([*tested], "test", tested)
        for number, state in tested.items():
            self._wait(number, partial(self._finish, number, numbers[number], int(state.step)))

    def _finish(self, number: int, numbers: dict[str, float], step: int) -> None:
        session = self._sessions[number]
        result = session.finish(numbers, step, self._members[number].command)
        if not self._alone:
            session.screen.say(result_words.line(result))
        self._end(number, result)


def _judged(learner, state: TrainState, numbers: dict[str, float]) -> TrainState:
    """Returns the state behind an evaluation of these numbers on held-out data, which may change what is
    shared."""
    place = lambda new, old: jnp.asarray(new, old.dtype)
    shared = jax.tree.map(place, learner.judged(state.carry.shared, numbers), state.carry.shared)
    return state._replace(carry=state.carry._replace(shared=shared))


def _other_devices(session: Session) -> str:
    """Remarks that the run began on another number of devices, where it did."""
    begun, now = session.place.devices(), session.config.devices
    same = begun in (0, now)
    return "" if same else f" (begun on {begun} devices, now {now}: the same numbers, not the same bits)"
