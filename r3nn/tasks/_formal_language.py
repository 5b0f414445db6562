"""Defines the task of a formal language whose strings a folder holds."""

import dataclasses
import functools
import hashlib
import pathlib

import numpy as np

from r3nn._lookup import FieldError, check_choice
from r3nn.tasks._finite import FiniteClassification, Rows, path_of

_HELD_OUT = ("validation-short", "validation-long")


@dataclasses.dataclass(frozen=True)
class FormalLanguage(FiniteClassification):
    """Does a string belong to a formal language?

    `folder` is that of one language of the FLaRe benchmark, or laid out as those are: main.tok holds the
    training strings, one a line, their symbols divided by blanks, an empty line being the empty string, and
    labels.txt a 1 for each that belongs to the language, a 0 for each other. The same two files stand in
    datasets/test and in datasets/validation-short and datasets/validation-long, of which `held_out` names the
    one that is held out. Nothing is downloaded. Without a folder the language is that of the strings of a and
    b with an even number of a, up to 20 symbols long.

    A string ends in a symbol of its own, id 0, at which its class counts, so that one of n symbols has n + 1
    steps: `steps(n)`. The other ids are the symbols of the training strings, in alphabetical order. The test
    strings may be longer than the training ones (in FLaRe up to 500 symbols rather than 40).

    Inputs ids int32 [B, T], the class, int32, 1 for a string of the language.

    Example, the language of an even number of a:

        x    1   2   1   0          1   2   0
        y    .   .   .   1          .   .   0

    Baseline: the class that most training strings have.

    Source: Butoi et al. 2024, "Training Neural Networks as Recognizers of Formal Languages".
    """

    folder: str = ""
    held_out: str = "validation-short"
    sha256: str = dataclasses.field(default="", init=False, repr=False)

    out_size = 2

    def __post_init__(self) -> None:
        check_choice("held_out", self.held_out, _HELD_OUT)
        if self.folder:
            content = b"".join(file.read_bytes() for pair in _files(self).values() for file in pair)
            object.__setattr__(self, "sha256", hashlib.sha256(content).hexdigest())
            self.found()

    def found(self) -> dict[str, Rows]:
        """Reads the strings. Raises: FieldError."""
        return _read(self)[0]

    @property
    def vocab(self) -> int:
        """Counts the symbols, with the one of the end."""
        return len(_read(self)[1])

    def steps(self, n: int) -> int:
        """Returns the steps of a string of n symbols."""
        return n + 1

    def decode(self, ids: np.ndarray) -> str:
        """Writes the symbols, and $ for the end."""
        return " ".join(_read(self)[1][i] for i in ids.tolist())


def _files(task: FormalLanguage) -> dict[str, tuple[pathlib.Path, pathlib.Path]]:
    """Finds the strings and the labels of each split. Raises: FieldError."""
    folder = path_of("folder", task.folder)
    places = {
        "train": folder,
        "held_out": folder / "datasets" / task.held_out,
        "test": folder / "datasets/test",
    }
    files = {split: (place / "main.tok", place / "labels.txt") for split, place in places.items()}
    for file in (file for pair in files.values() for file in pair):
        if not file.is_file():
            missing = file.relative_to(folder)
            raise FieldError(
                "folder", f"folder {task.folder!r} has no file {missing}, as one of FLaRe's has."
            )
    return files


@functools.lru_cache(8)
def _read(task: FormalLanguage) -> tuple[dict[str, Rows], list[str]]:
    """Returns (the rows of each split, the symbols by id). Raises: FieldError."""
    found = {split: _strings(*pair) for split, pair in _files(task).items()} if task.folder else _even()
    symbols = ["$", *sorted({symbol for string in found["train"][0] for symbol in string})]
    ids = {symbol: number for number, symbol in enumerate(symbols)}
    rows = {}
    for split, (strings, labels) in found.items():
        length = np.array([len(string) + 1 for string in strings], np.int32)
        inputs = np.zeros((len(strings), length.max()), np.int32)
        for row, string in zip(inputs, strings, strict=True):
            for symbol in string:
                if symbol not in ids:
                    raise FieldError(
                        "folder", f"folder: {symbol!r} of the {split} strings is in none of training."
                    )
            row[: len(string)] = [ids[symbol] for symbol in string]
        rows[split] = Rows(inputs, np.array(labels, np.int32), length)
    return rows, symbols


def _strings(strings: pathlib.Path, labels: pathlib.Path) -> tuple[list[list[str]], list[int]]:
    """Reads the strings and labels of a split. Raises: FieldError."""
    lines, marks = (
        file.read_text(encoding="utf-8", errors="replace").splitlines() for file in (strings, labels)
    )
    wrong = next((n for n, mark in enumerate(marks, 1) if mark.strip() not in ("0", "1")), None)
    if wrong is not None:
        raise FieldError(
            "folder", f"folder: {labels}, line {wrong}: must be 0 or 1, got {marks[wrong - 1][:20]!r}."
        )
    if len(lines) != len(marks) or not lines:
        raise FieldError(
            "folder", f"folder: {strings} has {len(lines)} strings, and {labels} {len(marks)} labels."
        )
    return [line.split() for line in lines], [int(mark) for mark in marks]


def _even() -> dict[str, tuple[list[list[str]], list[int]]]:
    """Draws strings of a and b."""
    draw, found = np.random.default_rng(0), {}
    for split, rows in (("train", 1000), ("held_out", 200), ("test", 200)):
        strings = [["ab"[i] for i in draw.integers(0, 2, draw.integers(0, 21))] for _ in range(rows)]
        found[split] = strings, [1 - string.count("a") % 2 for string in strings]
    return found
