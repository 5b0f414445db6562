"""Estimates what no tally adds up: accuracy at the last counted step, and accuracy on a scale from chance."""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from experiments.evaluation.intervals import Estimate, wilson
from r3nn.training import Last, Streamed

SAME = 1e-6  # two baselines this close are one


class Chance(NamedTuple):
    """Holds the accuracy that counts as 0 on the scale, and where it comes from."""

    value: float
    source: str


def chance(streamed: Streamed, lengths: list[int]) -> Chance | None:
    """Returns the task's baseline accuracy where it is the same at all lengths, else 1 / out_size; None
    where there are no classes."""
    task = getattr(streamed.learner, "task", None)
    if task is None or task.kind != "classification" or task.out_size < 2:
        return None
    known = [streamed.baseline(length).get("accuracy", math.nan) for length in lengths]
    if known and np.ptp(known) < SAME and known[0] < 1 - SAME:
        return Chance(float(known[0]), "baseline")
    return Chance(1 / task.out_size, "1 / out_size")


def last_accuracy(last: Last | tuple) -> dict[str, Estimate]:
    """Estimates how many of the sequences [N] that count any step are right at the last such step."""
    if not isinstance(last, Last) or not last.there.any():
        return {}
    right = last.right[last.there]
    return {
        "last_accuracy": Estimate(right.mean().item(), *wilson(right.mean().item(), len(right)), math.nan)
    }


def scaled_accuracy(row: dict[str, Estimate], chance: float | None) -> dict[str, Estimate]:
    """Puts accuracy on the scale where chance is 0: (accuracy - chance) / (1 - chance); so its interval."""
    if chance is None or "accuracy" not in row:
        return {}
    return {"scaled_accuracy": Estimate(*((x - chance) / (1 - chance) for x in row["accuracy"]))}


def l99(table: dict[int, dict[str, Any]], metric: str) -> int | None:
    """Returns the longest length up to which the headline metric is at least 99 % at every length measured;
    None where it is less at the first.

    table: the estimates by length, shorter ones first.
    """
    right = itertools.takewhile(lambda length: table[length][metric].value >= 0.99, table)
    return max(right, default=None)
