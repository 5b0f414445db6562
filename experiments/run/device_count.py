"""Decides over how many devices, of this host or of all processes, a run splits its batch."""

import contextlib
import os

import jax
from ml_collections import ConfigDict

from experiments.errors import BadInput
from experiments.processes import agreement, membership

FORCED = "xla_force_host_platform_device_count"  # of XLA_FLAGS; JAX does not take both
# B x H that each device of a CPU must get to be worth its overhead. On two cores, by --dry_run of the
# quickstart with --config.devices=1 and 2, two are slower than one at a share of 32 (batch and hidden size
# 8), and faster at 256 (hidden size 16) and its own 512.
SHARE = 512


def choose(config: ConfigDict, width: int | None, recorded: int = 0, cores: int = 0) -> int:
    """Chooses the number of devices, of those that `make_all` made. width: `Learner.width`. cores: that this
    process may use; 0: as many as there are.

    It is config.devices; or else `recorded`, the number of the run so far, where there are so many; or else
    the largest divisor of the batch that is at most the number of usable devices. All GPUs and TPUs are
    usable; on a CPU, the cores that this process may use, as long as each gets SHARE numbers of the state.
    Several processes have an equal share each.
    Raises: BadInput where config.devices does not divide the batch, or there are fewer: of a CPU, fewer
      cores, unless XLA_FLAGS says how many devices it shall pass for; where the processes do not divide both.
    """
    wanted, batch, processes = config.devices, config.train.batch, membership.count()
    if wanted and batch % wanted:
        raise BadInput(f"config.devices={wanted}: must divide config.train.batch={batch}.")
    if batch % processes:
        raise BadInput(f"--processes={processes}: must divide config.train.batch={batch}.")
    if wanted % processes:
        raise BadInput(f"config.devices={wanted}: must be a multiple of {processes}, the processes; or 0.")
    there = agreement.least(jax.local_device_count())
    cores = agreement.least(cores or usable_cores(), shared=True)
    if wanted > there * processes:
        what = "cores" if jax.default_backend() == "cpu" else "devices"
        raise BadInput(
            f"config.devices={wanted}: must be at most {there * processes}, the {what} {_of(processes)}."
        )
    share, before = batch // processes, recorded // processes
    if wanted or (before and recorded % processes == 0 and before <= there and share % before == 0):
        return wanted or recorded
    if jax.default_backend() == "cpu":
        there = min(there, cores, cores if width is None else max(1, share * width // SHARE))
    return processes * divisor(share, there)


def _of(processes: int) -> str:
    return "of this host" if processes == 1 else f"of {processes} processes like this one"


def make_all(wanted: int = 0, cores: int = 0) -> int:
    """Makes the devices of this host, of a CPU one for each core that this process may use -> how many they
    are.

    It is called before any array exists: a process whose backend has started keeps the devices that it has.
    Processes of one host share its cores, unless more are wanted of all. cores: as of `choose`.
    """
    cores = cores or usable_cores()
    own, shared = agreement.least(cores), agreement.least(cores, shared=True)
    count = max(shared, min(own, wanted // membership.count()))
    if FORCED not in os.environ.get("XLA_FLAGS", "") and jax.config.jax_num_cpu_devices <= 0:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", count)
    return jax.local_device_count()


def divisor(batch: int, most: int) -> int:
    """Returns the largest divisor of the batch that is not above `most`."""
    return next(n for n in range(min(batch, most), 0, -1) if batch % n == 0)


def describe(count: int) -> str:
    """Names so many devices for the screen, such as "2 of 4 cpu"."""
    kind, there = jax.devices()[0].device_kind, jax.local_device_count()
    if membership.several():
        return f"{count} {kind} of {membership.count()} processes"
    if there == 1:
        return kind
    return f"{count} {kind}" if count == there else f"{count} of {there} {kind}"


def usable_cores() -> int:
    """Counts the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
