"""JAX set up as a config wants it, before any array exists."""

import os
from pathlib import Path

import jax
from ml_collections import ConfigDict

from experiments.errors import BadInput

DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


def configure(config: ConfigDict, cache: bool = True) -> None:
    """Precision of products, deterministic GPUs, and the cache of compiled programs. Raises: BadInput."""
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_gpu_deterministic_ops" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {DETERMINISTIC}".strip()
    jax.config.update("jax_default_matmul_precision", config.precision)
    if cache and config.cache_dir:
        _use_cache(_cache_dir() if config.cache_dir == "auto" else Path(config.cache_dir).expanduser())


def _use_cache(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"config.cache_dir={folder}: cannot be made ({error.strerror}); '' is none."
        ) from error
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Many small programs make up most of the wait before the first update, so they are kept as well.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _cache_dir() -> Path:
    """The user's own: a shared one would run programs that others wrote."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "r3nn" / "jax"
