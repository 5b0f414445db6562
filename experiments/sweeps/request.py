"""What is asked of a sweep."""

from typing import NamedTuple


class Asked(NamedTuple):
    """What a command line says."""

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
