"""What the processes of a run tell each other, and where they wait for each other."""

import itertools
import json
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import numpy as np
from jax.experimental import multihost_utils

from experiments.processes.membership import WAIT, client, count, first, several, state

_numbers = itertools.count()  # of the things told: all processes come to them in the same order


def tell(function: Callable[[], Any]) -> Any:
    """What process 0 gets from a function, in all of them; it must be fit for JSON."""
    if not several():
        return function()
    key = f"r3nn/told/{next(_numbers)}"
    if first():
        value = function()
        client().key_value_set(key, json.dumps(value))
        return value
    return json.loads(client().blocking_key_value_get(key, WAIT))


def told(mine: Any) -> list[Any]:
    """What each process tells of itself, in their order, in all of them; it must be fit for JSON."""
    if not several():
        return [mine]
    key = f"r3nn/told/{next(_numbers)}"
    client().key_value_set(f"{key}/{state.process_id}", json.dumps(mine))
    return [json.loads(client().blocking_key_value_get(f"{key}/{i}", WAIT)) for i in range(count())]


def say(text: str) -> None:
    """Prints a line, once."""
    if first():
        print(text, flush=True)


def say_first(key: str, text: str) -> None:
    """Prints a line, once, in the process that comes first to say this."""
    if several():
        try:
            client().key_value_set(f"r3nn/said/{key}", "")
        except Exception:  # another one has said it, or all part
            return
    print(text, flush=True)


def connect() -> None:
    """The first collective of all, which makes the connections between them; Gloo prints a line of it."""
    if several():
        stdout = os.dup(1)
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 1)
        multihost_utils.process_allgather(np.int32(0))
        os.dup2(stdout, 1)
        os.close(stdout)


def meet() -> None:
    """Waits until all are here."""
    if several():
        client().wait_at_barrier(f"r3nn/met/{next(_numbers)}", WAIT)


class Agreed:
    """The signals of all processes: what one receives, all read at the same update."""

    def __init__(self, signals: Any):
        self._signals, self._received = signals, None

    @property
    def received(self) -> Any:
        """The largest that any received, None if none; they wait for each other, so all must read it."""
        if self._received is None and several():
            mine = np.int32(self._signals.received or 0)
            largest = int(multihost_utils.process_allgather(mine).max())
            self._received = signal.Signals(largest) if largest else None
        return self._received if several() else self._signals.received


def least(mine: int, shared: bool = False) -> int:
    """The least of a number over all processes, 1 at least; shared: those of one host divide theirs first."""
    if not several():
        return mine
    all_told = told([socket.gethostname(), mine])
    hosts = [host for host, _ in all_told]
    return max(1, min(there // (hosts.count(host) if shared else 1) for host, there in all_told))
