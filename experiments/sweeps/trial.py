"""Runs one trial: decides what the storage hears of it while it runs, and how it ends."""

import contextlib
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from experiments.errors import DiskError, Ending, Interrupted, NotFinite, Pruned
from experiments.sweeps.secrets import clean
from experiments.sweeps.slots import ENDING, GIVEN_UP, RESULT, Claim
from experiments.sweeps.storage import give_back, identity
from experiments.sweeps.study import HEARTBEAT, Away, patiently

#: of result.json, in the storage
SHOWN = ("value", "held_out", "updates", "seconds", "parameters", "reached_target")


class Taken(Ending):
    """The slot was given to another worker meanwhile."""


def watch(claim: Claim) -> Callable[[int, float], None]:
    """Returns what a run calls after each evaluation, with the update and the value, to report it.

    That raises Pruned, or Taken, where it is the end.
    """

    def report(update: int, value: float) -> None:
        trial = claim.trial
        try:
            if update not in claim.reported:
                patiently(lambda: trial.report(value, update))
        except UpdateFinishedTrialError:
            raise Taken(f"slot {claim.slot} was given to another worker; saved.") from None
        if patiently(trial.should_prune):
            raise Pruned(f"pruned after update {update}, at {value:.4g}; saved.")

    return report


def settle(study: optuna.Study, claim: Claim, outcome: dict[str, Any] | Exception) -> None:
    """Records how a trial ended. A trial that was taken away meanwhile stays as it is. Raises: Away."""
    with contextlib.suppress(UpdateFinishedTrialError):
        match outcome:
            case Taken():
                print(outcome)
            case Away():
                raise outcome
            case Interrupted():
                give_back(study, identity(claim.trial), None)
            case Pruned():
                _tell(study, claim, TrialState.PRUNED)
            case DiskError():  # a full disk is not the trial's fault
                print(outcome)
                give_back(study, identity(claim.trial), " ".join(str(outcome).split()))
            case NotFinite():
                _fail(study, claim, " ".join(str(outcome).split()))
            case Ending():  # its folder, or another thing that can be mended
                _attribute(claim, GIVEN_UP, True)
                _fail(study, claim, " ".join(str(outcome).split()))
            case Exception():
                clean(outcome)
                traceback.print_exception(outcome)
                give_back(study, identity(claim.trial), f"unforeseen: {type(outcome).__name__}: {outcome}")
            case {"held_out": None}:
                _fail(study, claim, "no evaluation was finite.")
            case result:
                _attribute(claim, RESULT, {name: result[name] for name in SHOWN})
                _tell(study, claim, TrialState.COMPLETE, result["held_out"])


def _fail(study: optuna.Study, claim: Claim, sentence: str) -> None:
    print(f"slot {claim.slot} failed: {sentence}")
    _attribute(claim, ENDING, sentence)
    _tell(study, claim, TrialState.FAIL)


def _attribute(claim: Claim, name: str, value: Any) -> None:
    patiently(lambda: claim.trial.set_user_attr(name, value))


def _tell(study: optuna.Study, claim: Claim, state: TrialState, value: float | None = None) -> None:
    """Calls `Study.tell`, and raises UpdateFinishedTrialError where the trial is no longer running."""
    patiently(lambda: study.tell(claim.trial, value, state, skip_if_finished=True))


class Heart:
    """Gives a sign of life, by a thread, every now and then, for each trial that is held within its block."""

    def __init__(self, storage: optuna.storages.RDBStorage):
        self._storage, self._held, self._over = storage, set(), threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Heart":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()

    @contextlib.contextmanager
    def holding(self, claims: list[Claim]) -> Iterator[None]:
        """Gives signs of life for these trials, from at once to the end of the block."""
        ids = {identity(claim.trial) for claim in claims}
        for trial_id in ids:
            patiently(lambda trial_id=trial_id: self._storage.record_heartbeat(trial_id))
        self._held |= ids
        try:
            yield
        finally:
            self._held -= ids

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT):
            for trial_id in tuple(self._held):
                with contextlib.suppress(Exception):  # a database that is away: the next beat may reach it
                    self._storage.record_heartbeat(trial_id)
