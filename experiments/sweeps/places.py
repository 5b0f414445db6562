"""Decides which cores and which GPU each worker of this machine may use."""

import contextlib
import dataclasses
import importlib.util
import os
import subprocess
from collections.abc import Sequence

GPU_MEMORY = 0.9  # of a GPU's memory, for all workers on it


@dataclasses.dataclass(frozen=True)
class Place:
    """Holds what one worker may use."""

    index: int
    cores: list[int]
    environment: dict[str, str]


def places(workers: int) -> list[Place]:
    """Makes a place for each worker: a share of the cores, and a GPU where there are any."""
    gpus = visible_gpus()
    shares = share(cores(), workers)
    return [Place(i, shares[i], gpu_environment(gpus, i, workers)) for i in range(workers)]


def cores() -> list[int]:
    """Lists the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return []


def share(cores: Sequence[int], workers: int) -> list[list[int]]:
    """Splits the cores among the workers, neighbouring ones to each.

    Where there are too few, each gets one that others have too.
    """
    n = len(cores)
    if n < workers:
        return [[cores[i % n]] if n else [] for i in range(workers)]
    return [list(cores[i * n // workers : (i + 1) * n // workers]) for i in range(workers)]


def visible_gpus() -> list[str]:
    """Lists the GPUs as CUDA_VISIBLE_DEVICES names them; none where JAX here would not use one."""
    if os.environ.get("JAX_PLATFORMS", "cuda") not in ("cuda", "gpu", ""):
        return []
    if not any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13, 14)):
        return []
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [word for word in named.split(",") if word]
    with contextlib.suppress(OSError):
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
        return [str(i) for i, _ in enumerate(x for x in listed.splitlines() if x.startswith("GPU "))]
    return []


def gpu_environment(gpus: Sequence[str], index: int, workers: int) -> dict[str, str]:
    """Returns the environment variables that give a worker one GPU, and its share of that one's memory.

    There are none where there is no GPU.
    """
    if not gpus:
        return {}
    at = index % len(gpus)
    there = len(range(at, workers, len(gpus)))
    return {
        "CUDA_VISIBLE_DEVICES": gpus[at],
        "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{GPU_MEMORY / there:.3f}",
    }
