"""How a config file says which values a sweep tries: beside `get_config`, by field,

    from configs._space import grid, log_uniform

    def get_sweep():
        return {"optimizer.lr": log_uniform(1e-4, 1e-2), "seed": grid(range(5))}

Every value of a `grid` is tried with every configuration that is sampled from the others.
"""

import collections
import dataclasses
import itertools
import math
from collections.abc import Iterable

Value = bool | int | float | str
MOST = 10_000  # values of a choice or grid


@dataclasses.dataclass(frozen=True)
class Range:
    """Spans the numbers from `low` to `high`, both included.

    log: evenly in their logarithm. whole: integers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self):
        wanted = (int,) if self.whole else (int, float)
        for number in (self.low, self.high):
            if isinstance(number, bool) or not isinstance(number, wanted) or not math.isfinite(number):
                kind = "whole numbers" if self.whole else "numbers"
                raise ValueError(f"the ends of a range must be {kind}, got {number!r}.")
        if not self.low < self.high:
            raise ValueError(f"a range must rise, got {self.low!r} to {self.high!r}.")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range must start above 0, got {self.low!r}.")


@dataclasses.dataclass(frozen=True)
class Choice:
    """Lists values of which one is picked for each configuration."""

    values: tuple[Value, ...]

    def __post_init__(self):
        _check(self.values)


@dataclasses.dataclass(frozen=True)
class Grid:
    """Lists values that are all tried, with each configuration."""

    values: tuple[Value, ...]

    def __post_init__(self):
        _check(self.values)


Axis = Range | Choice | Grid


def uniform(low: float, high: float) -> Range:
    """Makes an axis of numbers from `low` to `high`. Raises: ValueError, in one sentence, as all here do."""
    return Range(low, high)


def log_uniform(low: float, high: float) -> Range:
    """Makes an axis of positive numbers from `low` to `high`, evenly in their logarithm."""
    return Range(low, high, log=True)


def int_uniform(low: int, high: int, log: bool = False) -> Range:
    """Makes an axis of integers from `low` to `high`, both included."""
    return Range(low, high, log, whole=True)


def choice(*values: Value | Iterable[Value]) -> Choice:
    """Makes an axis that takes one of the values, given one by one or as one list."""
    return Choice(_values(values))


def grid(*values: Value | Iterable[Value]) -> Grid:
    """Makes an axis that takes all of the values, given one by one or as one list or range."""
    return Grid(_values(values))


def _values(values: tuple) -> tuple:
    if len(values) == 1 and isinstance(values[0], Iterable) and not isinstance(values[0], str):
        return tuple(itertools.islice(values[0], MOST + 1))
    return values


def _check(values: tuple) -> None:
    if not values:
        raise ValueError("choice and grid need a value at least.")
    for value in values:
        if not isinstance(value, Value):
            raise ValueError(f"values must be numbers, words, True or False, got {value!r}.")
    if len(values) > MOST:
        raise ValueError(f"choice and grid take at most {MOST:,} values.")
    (most, count), *_ = collections.Counter(values).most_common(1)
    if count > 1:
        raise ValueError(f"the value {most!r} stands there twice.")
