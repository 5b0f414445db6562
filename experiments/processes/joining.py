"""Lets the processes of a run find each other, and leave."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator

import jax
import jax._src.clusters
import jax._src.distributed

from experiments import errors
from experiments.errors import BadInput, Ending
from experiments.processes import endings
from experiments.processes.agreement import barrier
from experiments.processes.cluster import AUTO, Cluster
from experiments.processes.relay import relay

JOINING = 300.0  # seconds in which all must have come
SILENCE = 10.0  # seconds after which process 0 says that it waits for them


@contextlib.contextmanager
def joined(wanted: Cluster | None) -> Iterator[None]:
    """Makes this process one of the wanted ones within its block. All end with the status of the first that
    fails.

    Raises: BadInput where they do not find each other.
    """
    if wanted is None:
        yield
        return
    _join(wanted)
    threading.Thread(target=endings.follow, daemon=True).start()
    try:
        yield
    except BaseException as error:
        if endings.following.is_set():  # it comes of the connection that `follow` has closed
            threading.Event().wait(endings.PATIENCE)
        if not isinstance(error, Ending):
            endings.fail(error)
        endings.end(error)
        raise
    with contextlib.suppress(Exception):  # one that has gone is no reason to fail: all is done
        barrier()
        endings.parting.set()
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
                shutdown_timeout_seconds=endings.PARTING,
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
    """Gives process 0 the coordinator's address, and the others that of a relay, on which they hear its
    end."""
    find = jax._src.clusters.ClusterEnv.auto_detect_unset_distributed_params
    given = wanted.coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    coordinator, _, process, _ = find(given, wanted.processes, wanted.process, None, None, round(JOINING))
    if coordinator is None or not process:
        yield coordinator
    else:
        with relay(coordinator, endings.lost) as address:
            yield address


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
