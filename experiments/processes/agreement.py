"""Runs small collectives of the processes of a run: broadcast, gather and barrier, by JAX's key-value store.

All processes come to the same collectives in the same order, so a running number names each of them.
"""

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

_numbers = itertools.count()  # one for each collective


def broadcast_from_0(function: Callable[[], Any]) -> Any:
    """Calls the function in process 0 and returns its result, fit for JSON, in all processes."""
    if not several():
        return function()
    key = f"r3nn/told/{next(_numbers)}"
    if first():
        value = function()
        client().key_value_set(key, json.dumps(value))
        return value
    return json.loads(client().blocking_key_value_get(key, WAIT))


def gather_all(own: Any) -> list[Any]:
    """Returns the `own` of every process, by its number, in all processes; it must be fit for JSON."""
    if not several():
        return [own]
    key = f"r3nn/told/{next(_numbers)}"
    client().key_value_set(f"{key}/{state.process_id}", json.dumps(own))
    return [json.loads(client().blocking_key_value_get(f"{key}/{i}", WAIT)) for i in range(count())]


def print_once(text: str) -> None:
    """Prints a line in process 0 alone."""
    if first():
        print(text, flush=True)


def print_by_first(key: str, text: str) -> None:
    """Prints a line in one process: the first that calls this with that key."""
    if several():
        try:
            client().key_value_set(f"r3nn/said/{key}", "")
        except Exception:  # another one has said it, or all part
            return
    print(text, flush=True)


def connect() -> None:
    """Runs a first collective of arrays, which connects the processes; Gloo's line about it is not shown."""
    if several():
        stdout = os.dup(1)
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 1)
        multihost_utils.process_allgather(np.int32(0))
        os.dup2(stdout, 1)
        os.close(stdout)


def barrier() -> None:
    """Waits until all processes have come to this call."""
    if several():
        client().wait_at_barrier(f"r3nn/met/{next(_numbers)}", WAIT)


class Agreed:
    """Joins the signals of all processes: what one of them receives, all of them read at the same update."""

    def __init__(self, signals: Any):
        self._signals, self._received = signals, None

    @property
    def received(self) -> Any:
        """Returns the largest signal that any process received, None if none did; a collective: all must read
        it."""
        if self._received is None and several():
            own = np.int32(self._signals.received or 0)
            largest = int(multihost_utils.process_allgather(own).max())
            self._received = signal.Signals(largest) if largest else None
        return self._received if several() else self._signals.received


def least(own: int, shared: bool = False) -> int:
    """Returns the least of a number over all processes, 1 at least.

    shared: whether the processes of one host share it: each of them then has an equal part of its own.
    """
    if not several():
        return own
    gathered = gather_all([socket.gethostname(), own])
    hosts = [host for host, _ in gathered]
    return max(1, min(there // (hosts.count(host) if shared else 1) for host, there in gathered))
