"""Sets JAX up as a config wants it, before any array exists."""

import os
import tempfile
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache
from ml_collections import ConfigDict

from experiments.errors import BadInput
from experiments.program.absl_flags import expanded

DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


def configure(config: ConfigDict, cache: bool = True) -> None:
    """Sets the precision of products, deterministic GPUs, and, where `cache` says so, the cache. Raises:
    BadInput."""
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_gpu_deterministic_ops" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {DETERMINISTIC}".strip()
    jax.config.update("jax_default_matmul_precision", config.precision)
    if cache:
        use_cache(config)


def use_cache(config: ConfigDict) -> None:
    """Makes the cache of compiled programs, where the config wants one. Raises: BadInput."""
    folder = check_cache(config)
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error.strerror) from error
    jax.config.update("jax_compilation_cache_dir", str(folder))
    compilation_cache.reset_cache()  # JAX decides at its first compilation whether there is one
    # Many small programs make up most of the wait before the first update, so they are kept as well.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def check_cache(config: ConfigDict) -> Path | None:
    """Returns the cache's folder, not made yet, or None where none is wanted. Raises: BadInput where it
    cannot be."""
    if not config.cache_dir:
        return None
    folder = Path(expanded("config.cache_dir", _auto() if config.cache_dir == "auto" else config.cache_dir))
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:
        raise _unusable(folder, error.strerror) from error
    try:
        with tempfile.TemporaryFile(dir=there):  # root may write everywhere, it says, but not in /proc
            return folder
    except OSError as error:
        raise _unusable(folder, f"{there} is no folder that can be written to.") from error


def _unusable(folder: Path, reason: str) -> BadInput:
    return BadInput(f"config.cache_dir={folder}: cannot be made ({reason}); '' is none.")


def _auto() -> str:
    """Names the user's own cache: a shared one would run programs that others wrote."""
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "r3nn", "jax")
