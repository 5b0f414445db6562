"""Defines tasks of finite data: their sequences are the rows of arrays, in splits, where others are drawn.

The arrays are read once, on the host; a trainer hands them to its programs as operands (`Learner.arrays`),
takes each training row once an epoch, and measures each held-out and each test row once.
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from r3nn._lookup import FieldError, check_int
from r3nn.tasks._base import Batch, Task, padded
from r3nn.tasks._kinds import Classification

SPLITS = ("train", "held_out", "test")


class Rows(NamedTuple):
    """Holds N sequences of at most T steps, as NumPy arrays or as traced ones.

    Attributes:
      inputs: float32 [N, T, D], or ids int32 [N, T].
      targets: of each step, int32 [N, T] or float32 [N, T, O], or one a sequence, at its last step, int32 [N]
        or float32 [N, O]. A class below 0 does not count.
      length: int32 [N], steps of each sequence.
    """

    inputs: Any
    targets: Any
    length: Any


@dataclasses.dataclass(frozen=True)
class Finite(Task):
    """A finite task has rows in place of `example`: a subclass gives `found`; or, where its data are no
    `Rows`, `arrays`, `rows`, `row`, `room` and `min_length`."""

    finite = True
    own_lengths = True
    #: whether each step has a target of its own
    every_step: ClassVar[bool] = False

    def found(self) -> dict[str, Rows]:
        """Reads the rows of each split, once a process."""
        raise NotImplementedError(f"{type(self).__name__}.found must be given.")

    @property
    def min_length(self) -> int:
        """Counts the steps of the longest training sequence, for which there must be room."""
        return self.found()["train"].inputs.shape[1]

    def room(self, split: str, length: int) -> int:
        """Returns the steps of a batch of a split: `length`, or more where a sequence that is measured is
        longer."""
        return max(length, self.found()[split].inputs.shape[1])

    def arrays(self) -> dict[str, Any]:
        """Returns the data of each split, trees of NumPy arrays."""
        return self.found()

    def rows(self, split: str, length: int) -> int:
        """Counts the sequences of a split, where they have room for `length` steps."""
        return len(self.found()[split].length)

    def counted(self, max_length: int) -> int:
        """Counts the last step, or all where each has a target of its own."""
        return max_length if self.every_step else 1

    def row(self, data: Any, index: jax.Array, max_length: int) -> tuple[jax.Array, ...]:
        """Returns sequence number `index` of a split, as `example` returns one that it draws.

        data: what `arrays` has for the split, traced. index: int32 [].
        """
        inputs, targets, length = (leaf[index] for leaf in data)
        t = jnp.arange(max_length, dtype=jnp.int32)
        grow = lambda leaf: jnp.pad(leaf, [(0, max_length - len(leaf)), *[(0, 0)] * (leaf.ndim - 1)])
        if not self.every_step:
            targets, mask = jnp.broadcast_to(targets, (max_length, *targets.shape)), t == length - 1
        else:
            targets, mask = grow(targets), t < length
        if self.kind == "classification":
            mask, targets = mask & (targets >= 0), jnp.maximum(targets, 0)
        return grow(inputs), targets, mask, length

    def take(self, data: Any, indices: jax.Array, max_length: int) -> Batch:
        """Takes the sequences of these numbers, int32 [B], of a split's data. Pure, under jit too."""
        data = jax.tree.map(jnp.asarray, data)
        row = lambda index: self.row(data, index, max_length)
        return padded(*jax.vmap(row)(indices))

    def sample(self, key: jax.Array, batch: int, length: int, max_length: int) -> Batch:
        """Takes rows of the training split at random, each as likely: to look at. `length` says no more than
        `max_length`.

        Raises: ValueError where an argument is out of range.
        """
        check_int("batch", batch, 1)
        check_int("max_length", max_length, self.min_length)
        check_int("length", length, self.min_length, max_length)
        indices = jax.random.randint(key, (batch,), 0, self.rows("train", max_length), jnp.int32)
        return self.take(self.arrays()["train"], indices, max_length)

    def draw(self, keys: jax.Array, length: Any, max_length: int) -> Batch:
        """Raises NotImplementedError: rows are taken, by `take`."""
        raise NotImplementedError(f"{type(self).__name__} has finite data: `take` rows of it.")


@dataclasses.dataclass(frozen=True)
class FiniteClassification(Finite, Classification):
    """A finite classification is judged beside a guess of the commonest class."""

    def counted_classes(self, split: str) -> list[np.ndarray]:
        """Returns the classes that count, of each sequence of a split, int [n]."""
        rows = self.found()[split]
        classes = [
            target[:length] if self.every_step else target[None]
            for target, length in zip(rows.targets, rows.length, strict=True)
        ]
        return [row[row >= 0] for row in classes]

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses test classes by how often each is one in training, the commonest of them everywhere."""
        train, test = map(self.counted_classes, ("train", "test"))
        train = np.concatenate(train)
        surprise, right = class_baseline(train, np.concatenate(test), self.out_size)
        commonest = np.bincount(train, minlength=1).argmax()
        whole = np.mean([(row == commonest).all() for row in test if len(row)])
        return {"cross_entropy": surprise, "accuracy": right, "sequence_accuracy": float(whole)}


def split_at_random(rows: int) -> dict[str, np.ndarray]:
    """Divides rows into 80, 10 and 10 percent, by a permutation that is always the same -> their numbers."""
    order = np.random.default_rng(0).permutation(rows)
    at = [rows - 2 * (rows // 10), rows - rows // 10]
    return dict(zip(SPLITS, np.split(order, at), strict=True))


def class_baseline(train: np.ndarray, test: np.ndarray, classes: int) -> tuple[float, float]:
    """Guesses test classes by how often each is a training class -> (cross-entropy in nats, accuracy).

    One is added to each count, so that a class that was never met has a chance.
    """
    counts = np.bincount(train, minlength=classes) + 1.0
    surprise = -np.log(counts / counts.sum())
    return float(surprise[test].mean()), float((test == counts.argmax()).mean())


def missing_package(field: str, task: str, package: str, install: str) -> FieldError:
    """Returns the error of data that an optional package holds, which is not installed."""
    return FieldError(field, f"task {task} reads data that {package} holds: pip install {install}.")


def path_of(field: str, file: str) -> pathlib.Path:
    """Returns the path of a file or folder that is there. Raises: FieldError."""
    if not isinstance(file, str):
        raise FieldError(field, f"{field} must be a path, got {file!r}.")
    path = pathlib.Path(file).expanduser()
    if not path.exists():
        raise FieldError(field, f"{field} {file!r} is not there.")
    return path


def digest(field: str, file: str) -> str:
    """Returns the SHA-256 of a file's content. Raises: FieldError."""
    path = path_of(field, file)
    try:
        about = path.stat()
        return _digest(os.fspath(path.resolve()), about.st_mtime_ns, about.st_size)
    except OSError as error:
        raise FieldError(field, f"{field} {file!r} cannot be read: {error.strerror}.") from None


@functools.lru_cache(64)
def _digest(path: str, modified: int, size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
