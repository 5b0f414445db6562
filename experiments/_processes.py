"""One run in several processes, on one host or on many: how they find each other, agree and end.

Process 0 owns the run: it alone reads and writes the folder, prints, and decides how the run ends. The others
compute, and hear from it what they need, so no file system is shared. Small things travel by the key-value
store of JAX's coordinator, which waits as long as it takes; arrays by a collective of the devices.
"""

import contextlib
import itertools
import json
import os
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import jax
import jax._src.clusters
import jax._src.distributed
import numpy as np
from jax.experimental import multihost_utils

from experiments import errors
from experiments._cluster import AUTO, Cluster
from experiments._relay import relay
from experiments.errors import BadInput, Ending

#: What JAX knows of the processes before a backend starts, and its client of the coordinator: its public
#: interface has neither yet.
_state = jax._src.distributed.global_state
WAIT = 10**9  # milliseconds: as long as it takes
JOINING = 300.0  # seconds in which all must have come
SILENCE = 10.0  # seconds after which process 0 says that it waits for them
PATIENCE = 30.0  # seconds in which process 0 ends a run that all see the end of
PARTING = 60  # seconds in which all leave the coordinator, once they are about to
GRACE = 2.0  # seconds in which what process 0 said before it went is heard
ENDING = "r3nn/ending"  # a key: how the run ended, where it did not finish
GONE = "another process of this run has gone; the same commands go on from the last checkpoint."
_following = threading.Event()  # this process is about to end as another one did
_parting = threading.Event()  # for that reason, or as all is done: process 0 may go
_cut_off = threading.Event()  # the coordinator is no longer there, or no longer needed
_numbers = itertools.count()  # of the things told: all processes come to them in the same order


def count() -> int:
    """The processes of this run."""
    return _state.num_processes if jax.distributed.is_initialized() else 1


def several() -> bool:
    """Whether this process is one of several of a run."""
    return count() > 1


def first() -> bool:
    """Whether this process owns the run: process 0, or the only one."""
    return not several() or _state.process_id == 0


def _client() -> Any:
    """Of the coordinator's key-value store and barriers."""
    return _state.client


# How they begin and end.


@contextlib.contextmanager
def joined(wanted: Cluster | None) -> Iterator[None]:
    """Within it this process is one of those; they end together, with the status of the first that fails.

    Raises: BadInput where they do not find each other.
    """
    if wanted is None:
        yield
        return
    _join(wanted)
    threading.Thread(target=_follow, daemon=True).start()
    try:
        yield
    except BaseException as error:
        if _following.is_set():  # it comes of the connection that `_follow` has closed
            threading.Event().wait(PATIENCE)
        if not isinstance(error, Ending):
            _fail(error)
        _end(error)
        raise
    with contextlib.suppress(Exception):  # one that has gone is no reason to fail: all is done
        meet()
        _parting.set()
        jax.distributed.shutdown()


def _join(wanted: Cluster) -> None:
    place = f"--coordinator={wanted.coordinator or AUTO}"
    try:
        _check_place(wanted)
        jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
        if jax.config.jax_cpu_collectives_implementation is None:
            jax.config.update("jax_cpu_collectives_implementation", "gloo")
        with _awaiting(wanted, place), _reached(wanted) as coordinator:
            jax.distributed.initialize(
                *(coordinator, wanted.processes, wanted.process),
                initialization_timeout=round(2 * JOINING),
                shutdown_timeout_seconds=PARTING,
            )
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [""])[0][:200]
        raise BadInput(f"{place}: cannot be joined ({reason}).") from error


def _check_place(wanted: Cluster) -> None:
    """Raises OSError for a name that no host has, or a port that is taken: JAX would wait, or crash."""
    if wanted.coordinator is None:
        return
    host, _, port = wanted.coordinator.rpartition(":")
    socket.getaddrinfo(host.strip("[]"), port)
    if wanted.process == 0:
        socket.create_server(("", int(port))).close()


@contextlib.contextmanager
def _reached(wanted: Cluster) -> Iterator[str | None]:
    """The coordinator's address for this process; but in process 0, a relay's, on which its end is heard."""
    find = jax._src.clusters.ClusterEnv.auto_detect_unset_distributed_params
    given = wanted.coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    coordinator, _, process, _ = find(given, wanted.processes, wanted.process, None, None, round(JOINING))
    if coordinator is None or not process:
        yield coordinator
    else:
        with relay(coordinator, _lost) as address:
            yield address


def _lost() -> None:
    """Ends this process where process 0 has gone without a word."""
    if not _parting.wait(GRACE):
        errors.leave(Ending.status, GONE)


@contextlib.contextmanager
def _awaiting(wanted: Cluster, place: str) -> Iterator[None]:
    """Ends this process where the others do not come, or at Ctrl-C: JAX would hear of neither, and abort."""
    late = f"{place}: the processes did not find each other within {JOINING:.0f} seconds."
    said = f"waiting for {wanted.processes} processes at {wanted.coordinator} ..."
    timers = [threading.Timer(JOINING, errors.leave, (BadInput.status, late))]
    if wanted.process == 0:
        timers.append(threading.Timer(SILENCE, print, (said,), {"flush": True}))
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        for timer in timers:
            timer.cancel()


def _end(end: Ending) -> None:
    """Before this process ends with a sentence: tells the others, or waits for process 0 to say the same."""
    if not first():
        threading.Event().wait(PATIENCE)  # as soon as process 0 ends, `_follow` ends this one
    _part(end.status, str(end))
    if not first():
        errors.leave(end.status, str(end))


def _part(status: int, sentence: str) -> None:
    """Tells the others how the run ends; process 0 waits until they have heard it."""
    _publish(status, sentence)
    if first():
        with contextlib.suppress(Exception):
            jax.distributed.shutdown()  # the others arrive there from `_follow`


def _fail(error: BaseException) -> None:
    """Ends this process and the others at once, after an error that is no `Ending`."""
    if "Gloo" in str(error) or "NCCL" in str(error):
        said = GONE
    else:
        traceback.print_exception(error)
        said = f"process {_state.process_id} failed: {type(error).__name__}."
    _publish(Ending.status, said)
    errors.leave(Ending.status, said)


def _publish(status: int, sentence: str) -> None:
    """Tells all how the run ends. The first that says so is believed: `_follow` ends who comes later."""
    about = {"process": _state.process_id, "status": status, "sentence": sentence}
    try:
        _client().key_value_set(ENDING, json.dumps(about))
    except Exception:  # told already, or nobody is left to be told
        _cut_off.wait(PARTING)


def _follow() -> None:
    """Ends this process as another one ended, whatever it is doing."""
    client = _client()
    try:
        about = json.loads(client.blocking_key_value_get(ENDING, WAIT))
    except Exception:  # the run is over
        _cut_off.set()
        return
    if about["process"] == _state.process_id:
        return
    _following.set()
    _parting.set()
    if about["process"] == 0:
        with contextlib.suppress(Exception):
            client.shutdown()  # process 0 waits there for all
        errors.leave(about["status"])
    errors.leave(about["status"], about["sentence"])


def leave(status: int, sentence: str) -> NoReturn:
    """Ends this process and the others at once."""
    _parting.set()  # whoever hears of it first may be gone before this process is
    if several():
        telling = threading.Thread(target=_part, args=(status, sentence), daemon=True)
        telling.start()
        telling.join(2 * GRACE)
    errors.leave(status, sentence)


# How they agree.


def tell(function: Callable[[], Any]) -> Any:
    """What process 0 gets from a function, in all of them; it must be fit for JSON."""
    if not several():
        return function()
    key = f"r3nn/told/{next(_numbers)}"
    if first():
        value = function()
        _client().key_value_set(key, json.dumps(value))
        return value
    return json.loads(_client().blocking_key_value_get(key, WAIT))


def told(mine: Any) -> list[Any]:
    """What each process tells of itself, in their order, in all of them; it must be fit for JSON."""
    if not several():
        return [mine]
    key = f"r3nn/told/{next(_numbers)}"
    _client().key_value_set(f"{key}/{_state.process_id}", json.dumps(mine))
    return [json.loads(_client().blocking_key_value_get(f"{key}/{i}", WAIT)) for i in range(count())]


def say(text: str) -> None:
    """Prints a line, once."""
    if first():
        print(text, flush=True)


def say_first(key: str, text: str) -> None:
    """Prints a line, once, in the process that comes first to say this."""
    if several():
        try:
            _client().key_value_set(f"r3nn/said/{key}", "")
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
        _client().wait_at_barrier(f"r3nn/met/{next(_numbers)}", WAIT)


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


# Arrays.


def gathered(tree: Any) -> Any:
    """The arrays of a tree as NumPy's, whole, in every process: a collective where they are split."""
    if not several():
        return tree
    whole = lambda x: (
        np.asarray(x) if x.is_fully_replicated else multihost_utils.process_allgather(x, tiled=True)
    )
    return jax.tree.map(whole, tree)


def from_first(tree: Any, like: Any) -> Any:
    """Process 0's arrays in all processes, with the shardings of `like`; bit by bit, a NaN too.

    tree: only process 0's counts. like: shapes, dtypes and shardings, the same in all processes.
    """
    leaves, structure = jax.tree.flatten(like)
    sizes = [leaf.size * leaf.dtype.itemsize for leaf in leaves]
    if first():
        data = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree))
    else:
        data = bytes(sum(sizes))
    if several():
        data = multihost_utils.broadcast_one_to_all(np.frombuffer(data, np.uint8)).tobytes()
    ends = np.cumsum(sizes, dtype=int)
    parts = [data[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    return structure.unflatten([_placed(*pair) for pair in zip(parts, leaves, strict=True)])


def _placed(data: bytes, like: Any) -> jax.Array:
    whole = np.frombuffer(data, like.dtype).reshape(like.shape)
    return jax.make_array_from_callback(like.shape, like.sharding, lambda index: whole[index])
