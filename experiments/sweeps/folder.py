"""Keeps the folder of a sweep: its files, whose it is, and who of this machine may do what in it."""

from pathlib import Path

from experiments.errors import BadInput
from experiments.program.files import from_json, make, to_json, write, writing
from experiments.sweeps.plan import Sweep
from experiments.sweeps.secrets import VARIABLE, place, shown
from experiments.sweeps.trainer import Trainer


class Folder:
    """Names the files of a sweep.

    sweep.json    what is tried; a repeated command must say the same
    sweep.db      the trials (SQLite), unless --storage keeps them elsewhere
    trials/00007/ each a run as experiments/train.py leaves it
    workers/0.log what a worker printed
    """

    def __init__(self, path: str):
        self.path = Path(path)
        self.record, self.database = self.path / "sweep.json", self.path / "sweep.db"
        self.workers, self.claims = self.path / "workers", self.path / ".claims.lock"

    def lock_of(self, worker: str) -> Path:
        """Returns the path of the file that a worker holds as long as it lives."""
        return self.workers / f"{worker}.lock"

    def check(self, sweep: Sweep, storage: str) -> None:
        """Raises BadInput unless the folder is new or empty, or that of this very sweep."""
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise BadInput(f"--workdir={self.path}: is a file; it must be a folder, or a name for a new one.")
        try:
            names = sorted(path.name for path in self.path.iterdir())
        except OSError as error:
            raise BadInput(f"--workdir={self.path}: cannot be read ({error.strerror}).") from error
        if self.record.name in names:
            self._check_same(sweep, storage)
        elif foreign := [name for name in names if not name.startswith(".") and not name.endswith(".part")]:
            raise BadInput(
                f"--workdir={self.path}: holds {foreign[0]!r} but no sweep.json, so it is not the folder of "
                "a sweep; it must be one, or be empty or new."
            )

    def _check_same(self, sweep: Sweep, storage: str) -> None:
        before, kept = self.read(sweep.trainer)
        field = difference(sweep, before)
        if field is None and place(storage) != place(kept):
            field = f"where its trials are recorded ({shown(kept)}: --storage, or {VARIABLE})"
        if field is not None:
            raise BadInput(
                f"--workdir={self.path}: holds another sweep, which differs in {field}; repeat its command, "
                "or take another folder."
            )

    def read(self, trainer: Trainer) -> tuple[Sweep, str]:
        """Reads (the sweep of this folder, where its trials are recorded). Raises: BadInput."""
        try:
            data = from_json(self.record.read_text("utf-8"))
            return Sweep.from_dict(data, trainer), data["storage"]
        except OSError as error:
            raise BadInput(f"{self.record}: cannot be read ({error.strerror}).") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            what = str(error).rstrip(".")
            raise BadInput(f"{self.record}: is not the record of a sweep ({what}).") from error

    def create(self, sweep: Sweep, storage: str) -> None:
        """Makes the folder and its sweep.json.

        Raises: BadInput for a path that no folder can have; NotSaved.
        """
        make(self.path)
        with writing(self.workers):
            self.workers.mkdir(exist_ok=True)
        before = self.read(sweep.trainer) if self.record.exists() else None
        if before is None or before[0].trials < sweep.trials or before[1] != storage:
            write(self.record, to_json({**sweep.to_dict(), "storage": storage}))


def difference(asked: Sweep, before: Sweep) -> str | None:
    """Names the first thing that is not as before, as commands name it; None where none is.

    To ask for more trials is no difference.
    """
    field = asked.trainer.difference(asked.base, before.base)
    if field is not None:
        return f"config.{field}"
    names = [*asked.axes, *before.axes]
    axis = next((name for name in names if asked.axes.get(name) != before.axes.get(name)), None)
    if axis is not None:
        return f"get_sweep()[{axis!r}]"
    if asked.trials < before.trials:
        return "--trials"
    options = ("config", "sampler", "pruner", "seed")
    return next((f"--{name}" for name in options if getattr(asked, name) != getattr(before, name)), None)


def file_system(path: Path, mounts: str = "") -> str:
    """Names the kind of the file system that a path is on, as /proc/mounts does; "" where that is not known.

    mounts: the text of that file.
    """
    if not mounts:
        try:
            mounts = Path("/proc/mounts").read_text("utf-8")
        except OSError:
            return ""
    place, kind = Path("/"), ""
    for line in mounts.splitlines():
        mounted, found = line.split()[1:3]
        at = Path(mounted.replace("\\040", " "))
        if path.absolute().is_relative_to(at) and at.is_relative_to(place):
            place, kind = at, found
    return kind
