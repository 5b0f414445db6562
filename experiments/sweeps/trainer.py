"""Says what a sweep asks of whoever trains its runs: all that it asks of configs and of runs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ml_collections import ConfigDict


class Trainer(Protocol):
    """A trainer is what a sweep is handed; `experiments.run.services` is one.

    What `build` gives has a `config`, and a `learner` with `metric` and `higher_is_better`. Raises: BadInput
    for configs that are no good.
    """

    def base(self, config: str, overrides: Iterable[str]) -> ConfigDict:
        """Returns the config of a file, with --config.FIELD=VALUE."""

    def takes(self, words: list[str]) -> bool:
        """Says whether the command line of a run, from its program on, is good."""

    def with_values(self, config: Mapping[str, Any], values: Mapping[str, Any]) -> ConfigDict:
        """Returns a config with some fields set."""

    def difference(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
        """Names the first field, of those that change results, in which two configs differ; or None."""

    def check_names(self, names: Iterable[str]) -> None:
        """Refuses the first that is no field's."""

    def check_cache(self, config: ConfigDict) -> Any:
        """Refuses a folder for compiled programs that cannot be."""

    def complete(self, config: ConfigDict) -> ConfigDict:
        """Returns the whole config, checked field by field."""

    def build(self, config: ConfigDict) -> Any:
        """Makes what a config describes; code that it names is run."""

    def vary(self, experiment: Any, config: ConfigDict) -> Any:
        """Returns the same under a config that differs in hyperparameters alone."""

    def free(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Names the fields that no compiled program depends on."""

    def measured(self, config: ConfigDict, allow_code: bool) -> tuple[float | None, float | None]:
        """Returns (what trivial predictions get, the target); None where that is not known."""

    def together(self, config: ConfigDict, devices: int) -> int:
        """Says how many runs of this config to train side by side on so many devices."""

    def run(self, config: ConfigDict, workdir: str, command: str, watch: Callable) -> dict[str, Any]:
        """Trains one run, or goes on with it -> its result. Raises: an `Ending`."""

    def run_members(self, members: Sequence[dict[str, Any]], ended: Callable) -> Any:
        """Trains side by side what `run` takes; ended(i, result or `Ending`) is called for each."""

    def in_use(self, workdir: Path) -> bool:
        """Says whether a process trains in a work folder."""
