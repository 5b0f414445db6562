"""Holds what the user asks of a sweep."""

from typing import NamedTuple


class CommandLine(NamedTuple):
    """Holds what the command line of experiments/sweep.py says: its flags, and overrides of config fields."""

    config: str
    workdir: str
    workers: int
    trials: int | None
    sampler: str
    pruner: str
    storage: str
    together: int
    seed: int
    dry_run: bool
    overrides: tuple[str, ...]  # --config.FIELD=VALUE
