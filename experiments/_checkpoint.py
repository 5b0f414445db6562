"""Checkpoints, verified when read: Orbax writes them, and SHA-256 sums of each array stand beside."""

import dataclasses
import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from experiments._workdir import writing
from experiments.errors import BadInput, NotSaved
from r3nn.training import TrainState

FORMAT = 1
ROOM = 2**16  # bytes of a checkpoint beside its arrays
# Orbax logs pages of tracebacks for what is said here in one sentence.
logging.getLogger("absl").addFilter(lambda record: "orbax" not in Path(record.pathname).parts)


@dataclasses.dataclass
class Counters:
    """What a run knows beside its `TrainState`; it stands in every checkpoint."""

    step: int = 0  # updates completed
    seconds: float = 0.0  # of training, over all resumes
    best: float | None = None  # the best held-out value of the task's metric so far
    best_step: int | None = None
    reached: bool = False  # the best is as good as train.target
    log_bytes: int = 0  # length of metrics.jsonl


class Damaged(Exception):
    """A checkpoint whose bytes are not those that were saved."""


class Checkpoints:
    """The folder of a run's checkpoints: the last two, and the best.

    say: takes the sentences about damage that was got around. read_only: changes nothing, so that it may look
    at a run that goes on.
    """

    def __init__(self, folder: Path, say: Callable[[str], None] = print, read_only: bool = False):
        self.folder, self._say = folder, say
        self._best_step: int | None = None
        if not read_only:
            folder.mkdir(parents=True, exist_ok=True)
        self._manager = ocp.CheckpointManager(
            folder.resolve(),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=checkpoint_managers.AnyPreservationPolicy(
                    [checkpoint_managers.LatestN(2), _Best(self)]
                ),
                create=False,
                multiprocessing_options=ocp.options.MultiprocessingOptions(active_processes={0}),
                read_only=read_only,
                cleanup_tmp_directories=not read_only,  # left by a kill during a save
                enable_async_checkpointing=False,
            ),
        )

    def close(self) -> None:
        """Ends Orbax's threads."""
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
            "sha256": {name: _digest(leaf) for name, leaf in leaves.items()},
        }
        self._best_step = counters.best_step
        parts = ocp.args.Composite(
            state=ocp.args.StandardSave(leaves),
            about=ocp.args.JsonSave({**about, "sha256 of this": _sum(about)}),
        )
        try:
            with writing(self.folder / str(counters.step)):
                self._check_room(leaves)
                self._manager.save(counters.step, args=parts)
        except NotSaved:
            for part in self.folder.glob(f"{counters.step}.*"):  # what it had written takes up room
                shutil.rmtree(part, ignore_errors=True)
            raise

    def _check_room(self, leaves: dict[str, Any]) -> None:
        """Raises OSError where the disk is full: Orbax's threads would complain at length beside it."""
        if shutil.disk_usage(self.folder).free < ROOM + sum(leaf.nbytes for leaf in leaves.values()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def steps(self) -> list[int]:
        """The updates after which there is a checkpoint, in order."""
        return sorted(self._manager.all_steps())

    def restore(self, like: TrainState, log_size: int) -> tuple[TrainState, Counters] | None:
        """The newest good checkpoint, None if there is none at all.

        Deletes damaged ones behind it; or, where none is, what a killed `save` had yet to delete.
        like: the state's shapes, with shardings where it shall lie on several devices. log_size: of
        metrics.jsonl, which must reach as far as it did.
        Raises: BadInput where there are checkpoints and none is good, or their format is another.
        """
        damaged = {}
        for step in reversed(self.steps()):
            try:
                state, counters = self.read(step, like)
                if counters.log_bytes > log_size:
                    raise Damaged("metrics.jsonl is shorter than it was")
            except Damaged as damage:
                damaged[step] = damage
                self._say(f"checkpoint {step} is damaged ({damage}); trying the one before.")
                continue
            old = [step for step in self.steps()[:-2] if step != counters.best_step] if not damaged else []
            for unwanted in (*damaged, *old):
                self._manager.delete(unwanted)
            return state, counters
        if damaged:
            raise BadInput(
                f"no checkpoint in {self.folder} is good: take another folder, or delete this one to start "
                "anew."
            )
        return None

    def read(self, step: int, like: TrainState) -> tuple[TrainState, Counters]:
        """A checkpoint, verified. Raises: Damaged; BadInput for another format."""
        wanted = flatten(like)
        try:
            about = self._about(step)
            leaves = self._manager.restore(
                step, args=ocp.args.Composite(state=ocp.args.StandardRestore(_targets(wanted)))
            ).state
        except BadInput:
            raise
        except Exception as error:  # any byte may be wrong, so anything may be raised
            reason = (str(error).splitlines() or [""])[0][:120]
            raise Damaged(f"{type(error).__name__}: {reason}") from error
        wrong = [name for name in wanted if _digest(leaves[name]) != about["sha256"].get(name)]
        if wrong:
            raise Damaged(f"the bytes of {wrong[0]} are not those that were saved")
        restored = jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in wanted])
        return restored, Counters(**about["counters"])

    def counters(self, step: int) -> Counters:
        """What a checkpoint says beside its arrays. Raises: Damaged; BadInput for another format."""
        try:
            return Counters(**self._about(step)["counters"])
        except BadInput:
            raise
        except Exception as error:
            raise Damaged(str(error)) from error

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


@dataclasses.dataclass
class _Best(checkpoint_managers.PreservationPolicy):
    """Keeps the checkpoint of the best evaluation."""

    checkpoints: Checkpoints

    def should_preserve(self, checkpoints, *, context):
        return [info.step == self.checkpoints._best_step for info in checkpoints]


def flatten(tree: Any) -> dict[str, Any]:
    """Leaves by path, such as params/body/bias/update/value, in the tree's order."""
    name = lambda path: jax.tree_util.keystr(path, simple=True, separator="/")
    return {name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _targets(leaves: dict[str, Any]) -> dict[str, Any]:
    """Shapes where they have a sharding already; elsewhere on the first device."""
    first = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    place = lambda leaf: getattr(leaf, "sharding", None) or first
    return {name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place(x)) for name, x in leaves.items()}


def _digest(leaf) -> str:
    """Of dtype, shape and bytes."""
    array = np.asarray(leaf)
    return hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()


def _sum(about: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
