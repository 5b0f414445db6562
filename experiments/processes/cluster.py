"""Says which processes train a run together: by flags, or as a launcher says in the environment."""

import dataclasses
import os

from absl import flags

from experiments.errors import BadInput
from r3nn._lookup import check_int

FLAGS = ("coordinator", "processes", "process")
AUTO = "auto"
#: the environment of a launcher that started several processes: a number of them, or their names
LAUNCHERS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "TPU_WORKER_HOSTNAMES")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Names the processes of a run. None: what JAX finds out from the environment (SLURM, Open MPI, TPU
    pods)."""

    coordinator: str | None = None  # HOST:PORT, where process 0 listens
    processes: int | None = None
    process: int | None = None  # this one


def define(values: flags.FlagValues) -> None:
    """Defines the flags by which processes find each other."""
    place = f"HOST:PORT where process 0 listens, for a run of several processes; {AUTO}: as the launcher says"
    flags.DEFINE_string("coordinator", None, place, flag_values=values)
    flags.DEFINE_integer("processes", None, "how many there are", flag_values=values)
    flags.DEFINE_integer("process", None, "which of them this is, from 0", flag_values=values)


def asked(values: flags.FlagValues) -> Cluster | None:
    """Reads the processes that the flags ask for, or else the environment; None: one process.

    Raises: BadInput for flags that are malformed, out of range, or only some of those that go together.
    """
    given = {name: values[name].value for name in FLAGS if values[name].value is not None}
    if not given:
        return Cluster() if not values.dry_run and _launched() else None
    if values.dry_run:
        raise BadInput(f"--dry_run measures one process: --{next(iter(given))} must not be given with it.")
    if given.get("coordinator") == AUTO:
        if len(given) > 1:
            raise BadInput(f"--coordinator={AUTO}: --{list(given)[1]} must not be given with it.")
        return Cluster()
    for name in FLAGS:
        if name not in given:
            raise BadInput(
                f"--{name} is missing: --coordinator=HOST:PORT, --processes=N and --process=I go together."
            )
    cluster = Cluster(**given)
    _check(cluster)
    return cluster if cluster.processes > 1 else None


def _check(cluster: Cluster) -> None:
    host, _, port = cluster.coordinator.rpartition(":")
    if not (host and port.isascii() and port.isdecimal() and 0 < int(port) < 2**16):
        raise BadInput(
            f"--coordinator={cluster.coordinator}: must be HOST:PORT, such as 10.0.0.1:7000, or {AUTO}."
        )
    try:
        check_int("--processes", cluster.processes, 1)
        check_int("--process", cluster.process, 0, cluster.processes - 1)
    except ValueError as error:
        raise BadInput(str(error)) from error


def _launched() -> bool:
    """Says whether the environment is that of one of several processes that a launcher started."""
    counts = [os.environ.get(name, "") for name in LAUNCHERS]
    return any(int(text) > 1 if text.isdecimal() else "," in text for text in counts)
