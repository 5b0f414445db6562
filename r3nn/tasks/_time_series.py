"""Defines the task of a set of time series of the UCR or UEA archive."""

import dataclasses
import functools
import hashlib
import importlib.util
import pathlib

import numpy as np

from r3nn._lookup import FieldError, unknown
from r3nn.tasks._finite import FiniteClassification, Rows, missing_package, path_of


@dataclasses.dataclass(frozen=True)
class TimeSeries(FiniteClassification):
    """Which class has a time series of the UCR or UEA archive?

    `dataset` is one that the package aeon holds in its wheel, such as JapaneseVowels, BasicMotions, GunPoint
    or ItalyPowerDemand, or, with `folder`, one whose DATASET_TRAIN.ts and DATASET_TEST.ts lie there. Nothing
    is downloaded, and nothing of aeon is run: its files are read, so that `pip install --no-deps aeon` is
    enough. The test split is the archive's; of its training series each fifth of a class is held out. Each
    channel is scaled by the mean and the standard deviation of the training series.

    Inputs float32 [B, T, D] of D channels; the class, int32, counts at the last step.

    Example, two channels, three steps, class 4:

        x    .1 2.0    .3 1.9    .2 1.7
        y      .         .         4

    Baseline: the class that most training series have.

    Source: Dau et al. 2019, "The UCR Time Series Archive"; Bagnall et al. 2018, "The UEA Multivariate Time
    Series Classification Archive".
    """

    dataset: str = "JapaneseVowels"
    folder: str = ""
    sha256: str = dataclasses.field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        if self.folder:
            content = b"".join(file.read_bytes() for file in _files(self.dataset, self.folder))
            object.__setattr__(self, "sha256", hashlib.sha256(content).hexdigest())
            self.found()

    def found(self) -> dict[str, Rows]:
        """Reads the series. Raises: FieldError, also where aeon is not installed, or has no such set."""
        return _read(self.dataset, self.folder, self.sha256)

    @property
    def in_size(self) -> int:
        """Counts the channels of a series, D."""
        return self.found()["train"].inputs.shape[-1]

    @property
    def out_size(self) -> int:
        """Counts the classes of the set, of training and test together."""
        return 1 + max(int(rows.targets.max()) for rows in self.found().values())


def _files(dataset: str, folder: str) -> list[pathlib.Path]:
    """Finds the training and the test file of a set. Raises: FieldError."""
    if folder:
        place = path_of("folder", folder)
    else:
        aeon = importlib.util.find_spec("aeon")
        if aeon is None:
            raise missing_package("dataset", "time_series", "aeon", "--no-deps aeon")
        held = pathlib.Path(aeon.origin).parent / "datasets" / "data"
        sets = sorted(path.name.removesuffix("_TRAIN.ts") for path in held.glob("*/*_TRAIN.ts"))
        place = next((path.parent for path in held.glob(f"*/{dataset}_TRAIN.ts")), None)
        if dataset not in sets or place is None:
            raise FieldError("dataset", unknown("dataset of aeon's wheel,", dataset, sets))
    files = [place / f"{dataset}_{part}.ts" for part in ("TRAIN", "TEST")]
    for file in files:
        if not file.is_file():
            raise FieldError("folder", f"folder {folder or str(place)!r} has no file {file.name}.")
    return files


@functools.lru_cache(8)
def _read(dataset: str, folder: str, sha256: str) -> dict[str, Rows]:
    """Reads the splits of a set; folder and sha256 are as in the class. Raises: FieldError."""
    (train, labels), (test, others) = map(_series, _files(dataset, folder))
    names = sorted({*labels, *others})
    channels = {series.shape[1] for series in [*train, *test]}
    classes = np.array([names.index(label) for label in labels])
    held = np.zeros(len(train), bool)
    for number in range(len(names)):
        held[np.flatnonzero(classes == number)[4::5]] = True
    if len(channels) != 1 or not held.any():
        must = "all its series must have as many channels, and some class five training series"
        raise FieldError("dataset", f"dataset={dataset}: {must}.")
    steps = np.concatenate([series for series, out in zip(train, held, strict=True) if not out])
    mean, spread = steps.mean(axis=0), np.maximum(steps.std(axis=0), 1e-8)

    def rows(series: list[np.ndarray], labels: list[str]) -> Rows:
        inputs = np.zeros((len(series), max(map(len, series)), len(mean)), np.float32)
        for row, one in zip(inputs, series, strict=True):
            row[: len(one)] = (one - mean) / spread
        return Rows(
            inputs, np.array([*map(names.index, labels)], np.int32), np.array([*map(len, series)], np.int32)
        )

    of = lambda numbers: rows([train[i] for i in numbers], [labels[i] for i in numbers])
    return {
        "train": of(np.flatnonzero(~held)),
        "held_out": of(np.flatnonzero(held)),
        "test": rows(test, others),
    }


def _series(file: pathlib.Path) -> tuple[list[np.ndarray], list[str]]:
    """Reads a .ts file: behind "@data" a line holds a series, its channels and then its class with colons
    between, the steps of a channel with commas between -> (series float64 [T, D], classes). Raises:
    FieldError."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    at = next((n for n, line in enumerate(lines) if line.strip().lower() == "@data"), len(lines))
    head = [line.lower().split() for line in lines[:at]]
    if not any(words[:2] == ["@classlabel", "true"] for words in head):
        raise FieldError("dataset", f"dataset: {file.name} must have classes: a line '@classLabel true'.")
    series, labels = [], []
    for number, line in enumerate(lines[at + 1 :], at + 2):
        if not line.strip():
            continue
        *channels, label = line.strip().split(":")
        try:
            steps = np.array([np.float64(channel.split(",")) for channel in channels]).T
            if steps.ndim != 2 or not steps.size or not np.isfinite(steps).all():
                raise ValueError
        except ValueError:
            must = "must hold finite numbers, as many in each channel"
            raise FieldError("dataset", f"dataset: {file.name}, line {number}: {must}.") from None
        series.append(steps)
        labels.append(label.strip())
    if not series:
        raise FieldError("dataset", f"dataset: {file.name} holds no series.")
    return series, labels
