"""Which of the processes of a run this one is, and what JAX knows of the others."""

from typing import Any

import jax
import jax._src.clusters
import jax._src.distributed

#: What JAX knows of the processes before a backend starts, and its client of the coordinator: its public
#: interface has neither yet.
state = jax._src.distributed.global_state
WAIT = 10**9  # milliseconds: as long as it takes


def count() -> int:
    """The processes of this run."""
    return state.num_processes if jax.distributed.is_initialized() else 1


def several() -> bool:
    """Whether this process is one of several of a run."""
    return count() > 1


def first() -> bool:
    """Whether this process owns the run: process 0, or the only one."""
    return not several() or state.process_id == 0


def client() -> Any:
    """Of the coordinator's key-value store and barriers."""
    return state.client
