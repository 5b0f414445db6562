"""Writes estimates at several lengths as lines of a table, and as JSON."""

import math

from experiments.evaluation.intervals import Estimate
from experiments.program.numbers import about


def heading(row: dict[str, Estimate]) -> str:
    """Names the columns: the length, and each metric, the headline first."""
    headline, *others = row
    words = [f"{'length':>8}", f"{headline:>18}", f"{'95% interval':>22}", f"{'trivial':>10}"]
    return "  ".join(words + [f"{name:>{max(len(name), 8)}}" for name in others])


def line(length: int, row: dict[str, Estimate]) -> str:
    """Writes the estimates at one length, under the heading."""
    headline, *others = row.values()
    within = f"{headline.low:.4g} to {headline.high:.4g}"
    words = [f"{length:8}", f"{headline.value:18.4g}", f"{within:>22}", f"{about(headline.baseline):>10}"]
    widths = [max(len(name), 8) for name in list(row)[1:]]
    return "  ".join(words + [f"{x.value:{width}.4g}" for x, width in zip(others, widths, strict=True)])


def as_json(estimate: Estimate) -> dict[str, float | None]:
    """Converts an estimate for JSON, which has no NaN."""
    return {name: x if math.isfinite(x) else None for name, x in estimate._asdict().items()}
