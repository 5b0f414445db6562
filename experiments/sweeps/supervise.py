"""Runs a sweep's workers on this machine: starts them, sees who died, shows how far all are."""

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from experiments.errors import Ending, Interrupted
from experiments.program.files import append
from experiments.program.locks import free
from experiments.program.signals import Signals
from experiments.sweeps import progress, slots
from experiments.sweeps.folder import Folder
from experiments.sweeps.places import Place, places
from experiments.sweeps.plan import Sweep
from experiments.sweeps.secrets import VARIABLE
from experiments.sweeps.storage import beat, give_back, identity, silent
from experiments.sweeps.study import GRACE, HEARTBEAT, Database, patiently
from experiments.sweeps.worker import Job

ROOT = Path(__file__).resolve().parents[2]
TICK = 0.5  # seconds between two looks
DEATHS = 5  # of each worker, without a trial finished in between: the fault is not a passing one


@dataclasses.dataclass
class Local:
    """Holds a worker of this machine."""

    place: Place
    job: Job
    database: Database
    log: Path
    words: Sequence[str]  # what Python is called with, to be a worker
    process: subprocess.Popen | None = None

    def start(self) -> None:
        """Starts the worker as a process in a session of its own: Ctrl-C reaches the parent alone."""
        self.close()
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        # The URL goes by the environment, as a command line is for everybody to read.
        where = {} if self.database.file else {VARIABLE: self.database.url}
        with append(self.log) as log:
            self.process = subprocess.Popen(
                [sys.executable, "-u", *self.words],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.place.environment, **where, "PYTHONPATH": path},
                start_new_session=True,
            )
        with contextlib.suppress(BrokenPipeError):  # it is dead already
            self.process.stdin.write(json.dumps(self.job._asdict()).encode() + b"\n")
            self.process.stdin.flush()

    @property
    def ended(self) -> bool:
        """Says whether there is no process."""
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        """Ends it at once: what it has saved is intact, and the next sweep gives back what it held."""
        if self.process is not None:
            self.process.kill()

    def close(self) -> None:
        """Ends its input, upon which it saves and stops."""
        if self.process is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()


def hired(
    folder: Folder,
    sweep: Sweep,
    database: Database,
    name: str,
    workers: int,
    together: int,
    words: Sequence[str],
) -> list[Local]:
    """Makes workers, one for each place, that are not started yet."""
    found = []
    for place in places(workers):
        what = (str(folder.path), sweep.to_dict(), name, together, place.cores, workers, os.getpid())
        found.append(Local(place, Job(*what), database, folder.workers / f"{place.index}.log", words))
    return found


@contextlib.contextmanager
def stopping(there: list[Local]) -> Iterator[None]:
    """Stops all workers at the end of the block."""
    try:
        yield
    finally:
        for local in there:
            local.close()
        for local in there:
            if local.process is not None:
                local.process.wait()


@dataclasses.dataclass
class Count:
    """Counts deaths of workers since a trial was last finished."""

    deaths: int = 0
    finished: int = -1

    def add(self, deaths: int, finished: int) -> int:
        """Adds deaths, and the number of finished trials -> the deaths since a trial was last finished."""
        self.deaths = deaths + (self.deaths if finished == self.finished else 0)
        self.finished = finished
        return self.deaths


def supervise(
    study: optuna.Study,
    sweep: Sweep,
    folder: Folder,
    database: Database,
    workers: int,
    together: int,
    words: Sequence[str],
) -> None:
    """Works until all slots are done. Raises: Interrupted on a signal; Ending where the workers keep dying.

    words: what Python is called with, to be a worker.
    """
    elsewhere, count = Elsewhere(study, folder), Count()
    there = hired(folder, sweep, database, study.study_name, workers, together, words)
    drop = lambda: [local.kill() for local in there]
    with Signals(drop) as signals, progress.screen(sweep) as screen, stopping(there):
        while True:
            recover(study, folder)
            elsewhere.look()
            trials = slots.trials_of(study)
            screen.show(slots.current(trials, sweep.total))
            if slots.all_finished(trials, sweep.total):
                return
            if signals.received:
                raise Interrupted(_remark(trials, sweep, signals.received.name), signals.received)
            dead = [local for local in there if local.ended]
            begun = sum(local.process is not None for local in dead)
            if count.add(begun, sum(map(slots.finished, trials))) > DEATHS * workers:
                raise Ending(f"the workers keep dying: {folder.workers}/0.log and its like say why.")
            for local in dead:
                local.start()
            time.sleep(TICK)


def _remark(trials: list[FrozenTrial], sweep: Sweep, name: str) -> str:
    done = sum(map(slots.finished, slots.current(trials, sweep.total)))
    return f"{name}: stopped with {done} of {sweep.total} runs done; the same command goes on from there."


def recover(study: optuna.Study, folder: Folder) -> None:
    """Gives back what dead workers of this machine held: a process that dies lets go of its lock."""
    running = patiently(lambda: study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
    dead = {}
    for trial in running:
        alive = _lock(folder, trial)
        if alive is not None and free(alive):
            give_back(study, identity(trial), f"its worker on {socket.gethostname()} died.")
            dead[alive] = True
    for alive in dead:
        alive.unlink(missing_ok=True)


def _lock(folder: Folder, trial: FrozenTrial) -> Path | None:
    """Returns the file that the trial's worker holds as long as it lives.

    It is None where the worker is not of this machine and folder.
    """
    if trial.user_attrs.get("host") != socket.gethostname():
        return None
    path = folder.lock_of(trial.user_attrs["worker"])
    return path if path.exists() else None


class Elsewhere:
    """Watches trials of other machines: their signs of life, by the clock of the database."""

    def __init__(self, study: optuna.Study, folder: Folder):
        self._study, self._folder = study, folder
        self._seen: set[int] = set()
        self._looked = -float(HEARTBEAT)

    def look(self) -> None:
        """Gives back, every now and then, what has shown no sign of life for too long."""
        if time.monotonic() - self._looked < HEARTBEAT:
            return
        self._looked = time.monotonic()
        study = self._study
        running = patiently(lambda: study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
        # One that died before its first sign would never be missed: it gets that one from us.
        new = set(map(identity, running)) - self._seen
        beat(study, new)
        self._seen |= new
        for trial in silent(study):
            if _lock(self._folder, trial) is None:
                give_back(study, identity(trial), f"no sign of life for {GRACE} seconds.")
