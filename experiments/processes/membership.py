"""Says which of the processes of a run this one is, and what JAX knows of the others."""

from typing import Any

import jax
import jax._src.clusters
import jax._src.distributed

#: What JAX knows of the processes before a backend starts, and its client of the coordinator: its public
#: interface has neither yet.
state = jax._src.distributed.global_state
WAIT = 10**9  # milliseconds: as long as it takes


def count() -> int:
    """Counts the processes of this run."""
    return state.num_processes if jax.distributed.is_initialized() else 1


def several() -> bool:
    """Says whether this process is one of several of a run."""
    return count() > 1


def first() -> bool:
    """Says whether this process owns the run: process 0 does, and the only one does."""
    return not several() or state.process_id == 0


def client() -> Any:
    """Returns JAX's client of the coordinator, which has its key-value store and barriers."""
    return state.client
