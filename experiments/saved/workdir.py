"""Keeps the folder of one run: who may write there, and how its files are written."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from experiments.config import named_code
from experiments.errors import BadInput
from experiments.program.absl_flags import expanded
from experiments.program.files import PART, append, from_json, make, reading, size, to_json, write, writing

SHOWN = {  # of result.json, in the last words on the screen
    *("learner", "task", "length", "metric", "higher_is_better", "value", "baseline", "test_sequences"),
    *("reached_target", "out_of_patience", "updates", "seconds", "parameters"),
}
LOCK = ".lock"


class Workdir:
    """Knows the paths of a run's files, and the few ways to write them.

    config.json       the whole config, and the SHA-256 of each file that it or its task names
    metrics.jsonl     a line for each log interval, and for each evaluation
    checkpoints/      the last two and the best
    tensorboard/      the same numbers as events, the config, the learning rate and the test result
    profile/          a JAX trace, where config.profile asks for one
    result.json       once finished: all that a table of results needs
    loss_curve.png    once finished
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(expanded("--workdir", path))
        self.config, self.metrics = self.path / "config.json", self.path / "metrics.jsonl"
        self.checkpoints, self.tensorboard = self.path / "checkpoints", self.path / "tensorboard"
        self.result, self.curve = self.path / "result.json", self.path / "loss_curve.png"
        self.profile = self.path / "profile"

    @contextlib.contextmanager
    def claimed(self, config: ConfigDict) -> Iterator["Workdir"]:
        """Claims this folder, for this process alone, and for this config alone once anything is trained.

        Raises: BadInput where another process has it, or it holds something else; nothing is then changed.
        NotSaved, NotRead.
        """
        self._check(config)
        with self._locked():
            self._check(config)
            if not self.holds_run():
                write(self.config, to_json(named_code.record(config)))
            yield self

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Locks the folder, made where it has to be, while no other process is in it."""
        lock = self.path / LOCK
        make(self.path)
        with writing(lock):
            file = append(lock)
        with file:
            with writing(lock):
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise BadInput(f"--workdir={self.path}: another process is training there.") from None
            yield

    def holds_run(self) -> bool:
        """Says whether anything was trained here, or is left of it; until then the folder is free for any
        config.

        Raises: NotRead.
        """
        with reading(self.checkpoints):
            saved = size(self.checkpoints) is not None and os.listdir(self.checkpoints)
        return bool(saved or size(self.metrics) or size(self.result))

    def _check(self, config: ConfigDict) -> None:
        """Raises BadInput unless the folder is new, or free, or that of a run of this config."""
        names = self._names()
        if self.config.name in names:
            field = named_code.difference(config, self.read_record())
            if field is not None and self.holds_run():
                named = named_code.files(config).keys() | named_code.data(config).keys()
                code = " (the content of the file counts)" if field in named else ""
                raise BadInput(
                    f"--workdir={self.path}: holds a run of another config, which differs in "
                    f"config.{field}{code}; take that config or another folder."
                )
        elif foreign := [name for name in names if name != LOCK and not name.endswith(PART)]:
            raise BadInput(
                f"--workdir={self.path}: holds {foreign[0]!r} but no config.json, so it is not the folder of "
                "a run; it must be one, or be empty or new."
            )

    def _names(self) -> list[str]:
        """Lists all that is in the folder; none where there is no folder yet. Raises: BadInput, NotRead."""
        try:
            if size(self.path) is None:
                return []
            if self.path.is_dir():
                with reading(self.path):
                    return sorted(os.listdir(self.path))
        except OSError as error:
            raise BadInput(f"--workdir={self.path}: cannot be read ({error.strerror}).") from error
        raise BadInput(f"--workdir={self.path}: is a file; it must be a folder, or a name for a new one.")

    def read_config(self) -> ConfigDict:
        """Reads the run's config, with default.py's values for fields that are newer, and its cache_dir,
        which is the reader's own. Raises: BadInput, NotRead."""
        return named_code.read(self.read_record())

    def read_record(self) -> dict[str, Any]:
        """Reads the content of config.json, which `named_code.read` takes. Raises: BadInput, NotRead."""
        try:
            with reading(self.config):
                text = self.config.read_text("utf-8")
            record = from_json(text)
            named_code.read(record)
            return record
        except OSError as error:
            raise BadInput(
                f"--workdir={self.path}: has no readable config.json ({error.strerror})."
            ) from error
        except (BadInput, ValueError, TypeError) as error:
            what = str(error).rstrip(".")
            raise BadInput(f"{self.config}: is not the config of a run of this version ({what}).") from error

    def devices(self) -> int:
        """Reads the number of devices that the run here began on; 0 where none is known. Raises: NotRead."""
        try:
            with reading(self.config):
                return int(from_json(self.config.read_text("utf-8"))["devices"]) if self.holds_run() else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def read_result(self) -> dict[str, Any] | None:
        """Reads result.json: None while the run has not finished, or where it is not whole. Raises:
        NotRead."""
        try:
            with reading(self.result):
                result = from_json(self.result.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return result if isinstance(result, dict) and SHOWN <= result.keys() else None
