"""Saves checkpoints, and verifies them when they are read: Orbax writes them, and SHA-256 sums of each array
stand beside."""

import contextlib
import dataclasses
import errno
import hashlib
import itertools
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from experiments.errors import BadInput, Ending, NotSaved
from experiments.program.files import reading, writing
from experiments.saved.leaves import digest, flatten, sums
from experiments.saved.retention import Retained, retained
from r3nn.training import TrainState

FORMAT = 2
ROOM = 2**16  # bytes of a checkpoint beside its arrays
# Orbax logs pages of tracebacks for what is said here in one sentence.
logging.getLogger("absl").addFilter(lambda record: "orbax" not in Path(record.pathname).parts)


@dataclasses.dataclass
class Counters:
    """Holds what a run knows beside its `TrainState`; it stands in every checkpoint."""

    step: int = 0  # updates completed
    seconds: float = 0.0  # of training, over all resumes
    best: float | None = None  # the best held-out value of the task's metric so far
    best_tie: float | None = None  # its value of the metric that breaks ties; None: unknown
    best_step: int | None = None
    reached: bool = False  # the best is as good as train.target
    stale: int = 0  # evaluations since the task's metric was at its best for the first time


class Damaged(Exception):
    """A checkpoint's bytes are not those that were saved. That the system refuses to read is no damage."""


class Checkpoints:
    """Keeps the folder of a run's checkpoints: those that are `retained`. Nothing else removes any.

    say: is called with a sentence about each damaged checkpoint in whose place another was read. read_only:
    changes nothing, so that it may look at a run that goes on. data: SHA-256 sums of the arrays that are
    trained on, by name; checkpoints of a run on others are refused. marks: as of `retained`. Raises:
    NotSaved, NotRead.
    """

    def __init__(
        self,
        folder: Path,
        say: Callable[[str], None] = print,
        read_only: bool = False,
        data: dict[str, str] | None = None,
        marks: tuple[float, ...] = (),
    ):
        self.folder, self._say, self._data, self.marks = folder, say, data, marks
        self.best_step: int | None = None
        if not read_only:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
        with reading(folder):
            self._manager = ocp.CheckpointManager(
                folder.resolve(),
                options=ocp.CheckpointManagerOptions(
                    preservation_policy=Retained(lambda: self.best_step, marks),
                    create=False,
                    multiprocessing_options=ocp.options.MultiprocessingOptions(active_processes={0}),
                    read_only=read_only,
                    cleanup_tmp_directories=not read_only,  # left by a kill during a save
                    enable_async_checkpointing=False,
                ),
                item_handlers={
                    "state": ocp.StandardCheckpointHandler(),
                    "about": ocp.JsonCheckpointHandler(),
                },
            )

    def close(self) -> None:
        """Ends Orbax's threads; checkpoints that were saved stay."""
        self._manager.close()

    def save(self, state: TrainState, counters: Counters, config: dict[str, Any]) -> None:
        """Saves under counters.step, which must be new, and deletes what is neither recent nor the best.

        Raises: NotSaved, and what there was before is there.
        """
        leaves = flatten(state)
        about = {
            "format": FORMAT,
            "counters": dataclasses.asdict(counters),
            "config": config,
            "data": self._data,
            "sha256": sums(leaves),
        }
        self.best_step = counters.best_step
        parts = ocp.args.Composite(
            state=ocp.args.StandardSave(leaves),
            about=ocp.args.JsonSave({**about, "sha256 of this": _sum(about)}),
        )
        try:
            with writing(self.folder / str(counters.step)):
                self._check_room(leaves)
                self._manager.save(counters.step, args=parts)
        except NotSaved:
            for part in self.folder.glob(f"{counters.step}.orbax-*"):  # what it had written takes up room
                shutil.rmtree(part, ignore_errors=True)
            raise

    def _check_room(self, leaves: dict[str, Any]) -> None:
        """Raises OSError where the disk is full: Orbax's threads would complain at length beside it."""
        if shutil.disk_usage(self.folder).free < ROOM + sum(leaf.nbytes for leaf in leaves.values()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def steps(self) -> list[int]:
        """Lists the updates after which there is a checkpoint, in order. Raises: NotRead."""
        with reading(self.folder):  # Orbax takes what it cannot look at for absent
            return sorted(int(name) for name in os.listdir(self.folder) if name.isdecimal())

    def restore(self, like: TrainState) -> tuple[TrainState, Counters] | None:
        """Reads the newest good checkpoint; None if there is none at all.

        It renames damaged ones that are newer; where there are none, it deletes what a killed `save` had yet
        to delete.
        like: the state's shapes, with shardings where it shall lie on several devices.
        Raises: BadInput where there are checkpoints and none is good, or they are those of other code;
        NotRead, NotSaved.
        """
        damaged = {}
        for step in reversed(self.steps()):
            try:
                state, counters = self.read(step, like)
            except Damaged as damage:
                damaged[step] = damage
                self._say(f"checkpoint {step} is damaged ({damage}); trying the one before.")
                continue
            steps = self.steps()
            old = set() if damaged else {*steps} - retained(steps, counters.best_step, self.marks)
            with writing(self.folder):
                for unwanted in sorted(old):
                    self._manager.delete(unwanted)
                for step in damaged:
                    self._set_aside(step)
            return state, counters
        if damaged:
            raise BadInput(
                f"no checkpoint in {self.folder} is good: take another folder, or delete this one to start "
                "anew."
            )
        return None

    def _set_aside(self, step: int) -> None:
        """Renames a damaged checkpoint, whose place a good one will take: only its owner may delete it."""
        names = (f"{step}.damaged{number or ''}" for number in itertools.count())
        aside = next(self.folder / name for name in names if not os.path.lexists(self.folder / name))
        os.rename(self.folder / str(step), aside)
        self._manager.reload()
        self._say(f"checkpoint {step} is set aside as {aside}.")

    def read(self, step: int, like: TrainState) -> tuple[TrainState, Counters]:
        """Reads a checkpoint, verified, in the dtypes of `like`, on its devices or else on the first one.

        Raises: Damaged; BadInput where it is sound and another format's, or another model's; NotRead.
        """
        about, leaves = self._verified(step)
        self._check_data(step, about["data"] or {})
        return self._fitted(step, leaves, like), Counters(**about["counters"])

    def read_params(self, step: int, like: Any) -> Any:
        """Reads the parameters alone, whatever optimizer moved them. Raises: as `read`."""
        _, leaves = self._verified(step)
        group = "params/"
        named = {name.removeprefix(group): x for name, x in leaves.items() if name.startswith(group)}
        return self._fitted(step, named, like)

    def _verified(self, step: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Reads (what a checkpoint says of itself, its arrays by name). Raises: Damaged, BadInput,
        NotRead."""
        with self._verifying(step):
            about, leaves = self._about(step), self._leaves(step)
            saved = about["sha256"]
            wrong = [name for name in saved if name not in leaves or digest(leaves[name]) != saved[name]]
            if wrong:
                raise Damaged(f"the bytes of {wrong[0]} are not those that were saved")
            return about, {name: leaves[name] for name in saved}

    def _fitted(self, step: int, leaves: dict[str, np.ndarray], like: Any) -> Any:
        """Makes a tree such as `like` of arrays by name. Raises: BadInput where they are another model's."""
        wanted = flatten(like)
        self._check_fit(step, leaves, wanted)
        placed = [_placed(leaves[name], leaf) for name, leaf in wanted.items()]
        return jax.tree.unflatten(jax.tree.structure(like), placed)

    def counters(self, step: int) -> Counters:
        """Reads what a checkpoint says beside its arrays. Raises: Damaged; BadInput for another format;
        NotRead."""
        with self._verifying(step):
            return Counters(**self._about(step)["counters"])

    @contextlib.contextmanager
    def _verifying(self, step: int) -> Iterator[None]:
        """Turns what reading a checkpoint raises into Damaged or NotRead: any byte may be wrong, so it may be
        anything."""
        try:
            with reading(self.folder / str(step)):
                _read_all(self.folder / str(step))
                yield
        except (Damaged, Ending):
            raise
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0][:120]
            raise Damaged(f"{type(error).__name__}: {reason}") from error

    def _about(self, step: int) -> dict[str, Any]:
        about = dict(self._manager.restore(step, args=ocp.args.Composite(about=ocp.args.JsonRestore())).about)
        if about.pop("sha256 of this", None) != _sum(about):
            raise Damaged("its description is not the one that was saved")
        if about["format"] != FORMAT:
            raise BadInput(
                f"checkpoint {step} in {self.folder} has format {about['format']}, and this version of r3nn "
                f"reads format {FORMAT}: take the version that wrote it, or another folder."
            )
        return about

    def _leaves(self, step: int) -> dict[str, np.ndarray]:
        """Reads the arrays as they were saved, by name: what this process wants of them has no say in whether
        they are sound."""
        saved = self._manager.item_metadata(step).state
        like = {name: np.broadcast_to(np.empty((), x.dtype), x.shape) for name, x in saved.items()}
        return self._manager.restore(
            step, args=ocp.args.Composite(state=ocp.args.StandardRestore(like))
        ).state

    def _check_data(self, step: int, saved: dict[str, str]) -> None:
        """Raises BadInput for a sound checkpoint of a run on other data."""
        now = saved if self._data is None else self._data
        for name in {**now, **saved}:
            if now.get(name) != saved.get(name):
                raise BadInput(
                    f"checkpoint {step} in {self.folder} is sound, but of a run on other data: {name} is not "
                    "what it was; take that data, or another folder."
                )

    def _check_fit(self, step: int, leaves: dict[str, np.ndarray], wanted: dict[str, Any]) -> None:
        """Raises BadInput for a sound checkpoint that is not of this model; says so where it is rounded."""
        shape = lambda tree, name: str(list(tree[name].shape)) if name in tree else "none"
        for name in {**wanted, **leaves}:
            if shape(leaves, name) != shape(wanted, name):
                raise BadInput(
                    f"checkpoint {step} in {self.folder} is sound, but of another model: {name} is "
                    f"{shape(leaves, name)} in it, and {shape(wanted, name)} in that of the config; take the "
                    "code that wrote it, or another folder."
                )
        for name, leaf in leaves.items():
            if leaf.dtype.itemsize > wanted[name].dtype.itemsize:
                self._say(f"checkpoint {step} is rounded from {leaf.dtype} to {wanted[name].dtype}.")
                return


def _read_all(folder: Path) -> None:
    """Reads every byte, once: what the system refuses is heard of here, before Orbax's threads complain of
    it."""

    def refused(error: OSError) -> None:
        raise error

    for place, _, names in os.walk(folder, onerror=refused):
        for name in names:
            with open(os.path.join(place, name), "rb", buffering=0) as file:
                while file.read(2**24):
                    pass


def _placed(leaf: np.ndarray, like: Any) -> jax.Array:
    """Puts an array where `like` has its sharding; where it has none, on the first device."""
    place = getattr(like, "sharding", None) or jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.device_put(leaf.astype(like.dtype), place)


def _sum(about: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
