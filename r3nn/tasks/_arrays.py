"""Defines the tasks of one's own arrays, classified or regressed on."""

import dataclasses
import functools
import zipfile
from typing import Any

import numpy as np

from r3nn._lookup import FieldError
from r3nn.tasks._finite import SPLITS, Finite, FiniteClassification, Rows, digest, path_of, split_at_random
from r3nn.tasks._kinds import Regression


@dataclasses.dataclass(frozen=True)
class _FromArrays(Finite):
    """Reads `file`, an .npz."""

    file: str = ""
    sha256: str = dataclasses.field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        if self.file:
            object.__setattr__(self, "sha256", digest("file", self.file))
            self.found()

    def found(self) -> dict[str, Rows]:
        """Reads the file, unless its content is known. Raises: FieldError."""
        return _read(self.file, self.sha256, self.kind == "classification")

    @property
    def every_step(self) -> bool:
        """Says whether each step has a target of its own: whether targets have one axis more."""
        return self.found()["train"].targets.ndim == (2 if self.kind == "classification" else 3)

    @property
    def vocab(self) -> int | None:
        """Counts the ids, of inputs that are ids."""
        inputs = [rows.inputs for rows in self.found().values()]
        return None if inputs[0].ndim == 3 else 1 + max(int(x.max(initial=0)) for x in inputs)

    @property
    def in_size(self) -> int:
        """Counts the features, or the ids."""
        return self.vocab or self.found()["train"].inputs.shape[-1]


@dataclasses.dataclass(frozen=True)
class Arrays(_FromArrays, FiniteClassification):
    """What class has a sequence, or each of its steps, in a file of one's own?

    `file` is an .npz; nothing in it is run. For N sequences of at most T steps it has

        x        float [N, T, D], or [N, T] of one feature; or integers [N, T], ids from 0 on
        label    integers [N], classes of the sequences, or [N, T], of their steps; what is below 0 does not
                 count
        length   integers [N], steps of each sequence; absent: T
        split    integers [N]: 0 train, 1 held out, 2 test; absent: 80, 10 and 10 percent at random, always
                 the same

    The label of a sequence counts at its last step: config.model.predict is "last", or "mean" to judge by the
    mean over its steps. Inputs are taken as they are; scale them before. The content of the file, by its
    SHA-256, is part of the value. Without a file, 1,200 noisy sine waves of 30 to 60 steps are made, and the
    label says whether the pitch rises.

    Example, x = [[[.1], [.2], [.3]], [[.5], [.6], [0]]], label = [1, 0], length = [3, 2]:

        x    .1  .2  .3        .5  .6
        y     .   .   1         .   0

    Baseline: the class that most training rows have, each class's share among them being its chance.
    """

    @property
    def out_size(self) -> int:
        """Counts the classes: one more than the largest label."""
        return 1 + max(int(rows.targets.max(initial=0)) for rows in self.found().values())


@dataclasses.dataclass(frozen=True)
class ArraysRegression(_FromArrays, Regression):
    """What numbers belong to a sequence, or to each of its steps, in a file of one's own?

    As `arrays`, with `target` in place of `label`: float [N, O], of the sequences, or [N, T, O], of their
    steps. Without a file, the target of the waves is the pitch at their end minus that at their beginning, in
    periods per 60 steps.

    Example, x = [[[.1], [.2], [.3]], [[.5], [.6], [0]]], target = [[.6], [1.1]], length = [3, 2]:

        x    .1  .2  .3        .5  .6
        y     .   .  .6         . 1.1

    Baseline: the mean of the training targets.
    """

    @property
    def out_size(self) -> int:
        """Counts the numbers that make a target, O."""
        return self.found()["train"].targets.shape[-1]

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses the mean; see the class."""
        train, test = map(self._counted, ("train", "test"))
        return {"mse": float(np.mean((test - train.mean(axis=0)) ** 2))}

    def _counted(self, split: str) -> np.ndarray:
        """Returns the targets that count, [N, O]."""
        rows = self.found()[split]
        if not self.every_step:
            return rows.targets
        there = np.arange(rows.targets.shape[1]) < rows.length[:, None]
        return rows.targets[there]


@functools.lru_cache(8)
def _read(file: str, sha256: str, classes: bool) -> dict[str, Rows]:
    """Reads the splits of a file with this content. Raises: FieldError, in one sentence."""
    given = _load(file) if file else _waves()
    if file and digest("file", file) != sha256:
        raise FieldError("file", f"file {file!r} has another content than when its task was made.")
    name = "label" if classes else "target"

    def check(good: Any, what: str, must: str, array: np.ndarray) -> None:
        if not good:
            got = f"{array.dtype} {list(array.shape)}"
            raise FieldError("file", f"file {file!r}: {what} must be {must}, got {got}.")

    for what in ("x", name):
        if what not in given:
            there = ", ".join(given) or "nothing"
            raise FieldError("file", f"file {file!r}: must have an array {what}, has {there}.")
    x, target = given["x"], given[name]
    floats, N, T = x.dtype.kind == "f", *(*x.shape, 0, 0)[:2]
    good = x.ndim in ((2, 3) if floats else (2,)) and x.dtype.kind in "fiu" and x.size
    check(good, "x", "float [N, T, D] or [N, T], or integers [N, T]", x)
    check(
        np.isfinite(x).all() if floats else (0 <= x.min() <= x.max() < 2**24), "x", "finite; ids from 0 on", x
    )
    length, split = given.get("length", np.full(N, T)), given.get("split", _numbered(N))
    shapes = ((N,), (N, T)) if classes else ((N, *target.shape[1:2]), (N, T, *target.shape[2:3]))
    kinds, axes = ("iu", "integers [N] or [N, T]") if classes else ("f", "float [N, O] or [N, T, O]")
    check(
        target.dtype.kind in kinds and target.shape in shapes and target.ndim > (not classes),
        name,
        axes,
        target,
    )
    check(np.isfinite(target).all() and target.max() < 2**24, name, "finite", target)
    within = lambda array, low, high: (
        array.dtype.kind in "iu" and array.shape == (N,) and low <= array.min() and array.max() <= high
    )
    check(within(length, 1, T), "length", f"integers [N] from 1 to T={T}", length)
    check(within(split, 0, 2), "split", "integers [N] from 0 to 2", split)
    inputs = np.float32(x if x.ndim == 3 else x[..., None]) if floats else np.int32(x)
    rows = Rows(inputs, np.int32(target) if classes else np.float32(target), np.int32(length))
    found = {name: Rows(*(leaf[split == at] for leaf in rows)) for at, name in enumerate(SPLITS)}
    for at, name in enumerate(SPLITS):
        check(len(found[name].length), f"split, of which none is {at} ({name}),", "that of some row", split)
    return found


def _load(file: str) -> dict[str, np.ndarray]:
    """Reads all arrays of a file. Raises: FieldError."""
    try:
        with np.load(path_of("file", file), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        why = str(error).split("\n")[0].rstrip(".")
        raise FieldError("file", f"file {file!r} is no readable .npz of plain arrays: {why}.") from None


def _numbered(rows: int) -> np.ndarray:
    """Returns the number of each row's split."""
    split = np.zeros(rows, int)
    for number, name in enumerate(SPLITS):
        split[split_at_random(rows)[name]] = number
    return split


def _waves(rows: int = 1200, steps: int = 60) -> dict[str, np.ndarray]:
    """Makes noisy sine waves whose pitch rises or falls."""
    draw = np.random.default_rng(0)
    label, length = draw.integers(0, 2, rows), draw.integers(steps // 2, steps + 1, rows)
    time, whole = np.arange(steps) / steps, length[:, None] / steps
    pitch = 4 + 4 * np.where(label[:, None] == 1, time, whole - time)
    wave = np.sin(2 * np.pi * np.cumsum(pitch, axis=1) / steps + draw.uniform(0, 6, (rows, 1)))
    target = 4 * np.where(label == 1, 1, -1)[:, None] * whole
    x = wave + draw.normal(0, 0.1, wave.shape)
    return {"x": x, "label": label, "target": target, "length": length}
