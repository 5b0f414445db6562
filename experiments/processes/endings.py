"""Ends the processes of a run together, whatever each is doing."""

import contextlib
import json
import threading
import traceback
from typing import NoReturn

import jax
import jax._src.clusters
import jax._src.distributed

from experiments import errors
from experiments.errors import Ending
from experiments.processes.membership import WAIT, client, first, several, state

PATIENCE = 30.0  # seconds in which process 0 ends a run that all see the end of
PARTING = 60  # seconds in which all leave the coordinator, once they are about to
GRACE = 2.0  # seconds in which what process 0 said before it went is heard
ENDING = "r3nn/ending"  # a key: how the run ended, where it did not finish
GONE = "another process of this run has gone; the same commands go on from the last checkpoint."
following = threading.Event()  # this process is about to end as another one did
parting = threading.Event()  # for that reason, or as all is done: process 0 may go
leaving = threading.Event()  # nothing but the exit is left, and no word of the coordinator is waited for
_cut_off = threading.Event()  # the coordinator is no longer there, or no longer needed


def lost() -> None:
    """Ends this process where process 0 has gone without a word."""
    if not parting.wait(GRACE):
        errors.leave(Ending.status, GONE)
    if leaving.is_set():  # JAX, told that the coordinator is gone, would abort before this process has left
        threading.Event().wait()


def end(reason: Ending) -> None:
    """Tells the others, before this process ends with a sentence, or waits until process 0 says the same."""
    if not first():
        threading.Event().wait(PATIENCE)  # as soon as process 0 ends, `follow` ends this one
    _part(reason.status, str(reason))
    if not first():
        errors.leave(reason.status, str(reason))


def _part(status: int, sentence: str) -> None:
    """Tells the others how the run ends; process 0 waits until they have heard it."""
    _publish(status, sentence)
    if first():
        with contextlib.suppress(Exception):
            jax.distributed.shutdown()  # the others arrive there from `follow`


def fail(error: BaseException) -> None:
    """Ends this process and the others at once, after an error that is no `Ending`."""
    if "Gloo" in str(error) or "NCCL" in str(error):
        said = GONE
    else:
        traceback.print_exception(error)
        said = f"process {state.process_id} failed: {type(error).__name__}."
    _publish(Ending.status, said)
    errors.leave(Ending.status, said)


def _publish(status: int, sentence: str) -> None:
    """Tells all how the run ends. The first that says so is believed: `follow` ends who comes later."""
    about = {"process": state.process_id, "status": status, "sentence": sentence}
    try:
        client().key_value_set(ENDING, json.dumps(about))
    except Exception:  # told already, or nobody is left to be told
        _cut_off.wait(PARTING)


def follow() -> None:
    """Ends this process as another one ended, whatever it is doing."""
    coordinator = client()
    try:
        about = json.loads(coordinator.blocking_key_value_get(ENDING, WAIT))
    except Exception:  # the run is over
        _cut_off.set()
        return
    if about["process"] == state.process_id:
        return
    following.set()
    if about["process"] != 0:
        leaving.set()
    parting.set()
    if about["process"] == 0:
        with contextlib.suppress(Exception):
            coordinator.shutdown()  # process 0 waits there for all
        errors.leave(about["status"])
    errors.leave(about["status"], about["sentence"])


def leave(status: int, sentence: str) -> NoReturn:
    """Ends this process and the others at once."""
    leaving.set()
    parting.set()  # whoever hears of it first may be gone before this process is
    if several():
        telling = threading.Thread(target=_part, args=(status, sentence), daemon=True)
        telling.start()
        telling.join(2 * GRACE)
    errors.leave(status, sentence)
