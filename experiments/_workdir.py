"""The folder of one run: who may write there, and how its files are written."""

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from experiments._config import first_difference, merge
from experiments.errors import BadInput, NotSaved

SHOWN = {  # of result.json, in the last words on the screen
    *("task", "length", "metric", "higher_is_better", "value", "baseline", "test_sequences"),
    *("reached_target", "updates", "seconds", "parameters"),
}
LOCK, PART = ".lock", ".part"  # PART: the ending of a file that is being written
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)  # full, or failing


class Workdir:
    """Paths of a run's files, and the few ways to write them.

    config.json       the whole config
    metrics.jsonl     a line for each log interval, and for each evaluation
    checkpoints/      the last two and the best
    tensorboard/      the same numbers as events
    profile/          a JAX trace, where config.profile asks for one
    result.json       once finished: all that a table of results needs
    loss_curve.png    once finished
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.config, self.metrics = self.path / "config.json", self.path / "metrics.jsonl"
        self.checkpoints, self.tensorboard = self.path / "checkpoints", self.path / "tensorboard"
        self.result, self.curve = self.path / "result.json", self.path / "loss_curve.png"
        self.profile = self.path / "profile"

    @contextlib.contextmanager
    def claimed(self, config: ConfigDict) -> Iterator["Workdir"]:
        """This folder, for this process alone, and for this config alone.

        Raises: BadInput where another process has it, or it holds something else; nothing is then changed.
        """
        try:
            self._check(config)
            self.path.mkdir(parents=True, exist_ok=True)
            lock = open(self.path / LOCK, "ab")
        except OSError as error:
            raise BadInput(f"--workdir={self.path}: cannot be written ({error.strerror}).") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BadInput(f"--workdir={self.path}: another process is training there.") from None
            self._check(config)
            if not self.config.exists():
                write(self.config, to_json(config.to_dict()))
            yield self

    def _check(self, config: ConfigDict) -> None:
        """Raises BadInput unless the folder is new, or that of a run of this config."""
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise BadInput(f"--workdir={self.path}: is a file; it must be a folder, or a name for a new one.")
        if self.config.exists():
            field = first_difference(config, self.read_config())
            if field is not None:
                raise BadInput(
                    f"--workdir={self.path}: holds a run of another config, which differs in config.{field}; "
                    "take that config or another folder."
                )
        elif foreign := [name for name in self._names() if name != LOCK and not name.endswith(PART)]:
            raise BadInput(
                f"--workdir={self.path}: holds {foreign[0]!r} but no config.json, so it is not the folder of "
                "a run; it must be one, or be empty or new."
            )

    def _names(self) -> list[str]:
        try:
            return sorted(os.listdir(self.path))
        except OSError as error:
            raise BadInput(f"--workdir={self.path}: cannot be read ({error.strerror}).") from error

    def read_config(self) -> ConfigDict:
        """The run's config, with default.py's values for fields that are newer. Raises: BadInput."""
        try:
            return merge(ConfigDict(json.loads(self.config.read_text("utf-8"))))
        except OSError as error:
            raise BadInput(
                f"--workdir={self.path}: has no readable config.json ({error.strerror})."
            ) from error
        except (ValueError, TypeError) as error:
            raise BadInput(f"{self.config}: is not the config of a run ({error}).") from error

    def devices(self) -> int:
        """The number of devices that the run here began on; 0 where none is known."""
        try:
            return int(json.loads(self.config.read_text("utf-8"))["devices"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def read_result(self) -> dict[str, Any] | None:
        """result.json, None while the run has not finished, or where it is not whole."""
        try:
            result = json.loads(self.result.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return result if isinstance(result, dict) and SHOWN <= result.keys() else None


class Log:
    """metrics.jsonl: lines that are added, and cut back to a checkpoint's length on resume."""

    def __init__(self, path: Path, size: int):
        self._path = path
        self._file = open(path, "ab", buffering=0)
        self._file.truncate(size)

    def add(self, line: dict[str, Any]) -> None:
        """Appends one line, at once. Raises: NotSaved."""
        rest = json.dumps(line, allow_nan=False).encode() + b"\n"
        with writing(self._path):
            while rest:  # a disk that is nearly full takes a part
                rest = rest[self._file.write(rest) :]

    def sync(self) -> int:
        """Brings all lines to the disk -> the length in bytes. Raises: NotSaved."""
        with writing(self._path):
            os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def write(path: Path, text: str) -> None:
    """The whole file, or, after a kill, the file as it was. Raises: NotSaved."""
    part = path.with_name(path.name + PART)
    with writing(path), open(part, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around what writes a file or folder. Raises: NotSaved where the disk is full, or fails."""
    try:
        yield
    except Exception as error:  # TensorStore's are ValueErrors
        reason = next((os.strerror(code) for code in DISK if os.strerror(code) in str(error)), None)
        if reason is None:
            raise
        raise NotSaved(
            f"{path} cannot be written ({reason}): what was saved before is intact, and once the disk is in "
            "order the same command goes on from there."
        ) from error


def to_json(value: Any) -> str:
    """As a file that people read too."""
    return json.dumps(value, indent=2) + "\n"
