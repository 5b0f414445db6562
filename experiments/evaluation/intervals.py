"""Estimates a metric from a sample of sequences: its value, and a 95% interval."""

import functools
import math
from typing import NamedTuple

import jax
import numpy as np

from r3nn.training import Learner, Streamed


class Estimate(NamedTuple):
    """Holds a metric over sequences, its 95% interval, and what the best guess without the inputs gets."""

    value: float
    low: float
    high: float
    baseline: float


def estimates(streamed: Streamed, tally, length: int) -> dict[str, Estimate]:
    """Estimates the metrics of a tally [N], the headline first, each with its 95% interval over the N
    sequences."""
    learner = streamed.learner
    values, each = _metrics(learner, tally)
    trivial = streamed.baseline(length)
    names = sorted(values, key=lambda name: (name != learner.metric, name))
    return {
        name: Estimate(
            float(values[name]),
            *interval(values[name], each[name], fraction=name in learner.fractions),
            float(trivial.get(name, math.nan)),
        )
        for name in names
    }


@functools.partial(jax.jit, static_argnums=0)
def _metrics(learner: Learner, tally):
    """Returns the metrics of all sequences together, and those of each alone, [N]."""
    alone = lambda row: learner.metrics(jax.tree.map(lambda leaf: leaf[None], row))
    return learner.metrics(tally), jax.vmap(alone)(tally)


def interval(value: float, each: np.ndarray, fraction: bool) -> tuple[float, float]:
    """Computes the 95% interval of a mean over sequences, from each sequence's own value [N].

    Fractions, as the learner names them, have Wilson's interval for N trials. The steps of one sequence
    depend on each other, so each sequence counts as one trial; for a fraction of steps this interval is
    rather too wide.
    Other metrics have the normal interval.
    """
    if fraction:
        return wilson(float(value), len(each))
    margin = 1.96 * float(np.std(np.asarray(each, np.float64), ddof=1)) / math.sqrt(len(each))
    return float(value) - margin, float(value) + margin


def wilson(fraction: float, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Computes the score interval of a fraction. Source: Wilson 1927."""
    middle = fraction + z * z / (2 * trials)
    margin = z * math.sqrt(max(0.0, fraction * (1 - fraction)) / trials + (z / (2 * trials)) ** 2)
    scale = 1 + z * z / trials
    return max(0.0, (middle - margin) / scale), min(1.0, (middle + margin) / scale)
