"""Writes estimates at several lengths as lines of a table, as JSON and as CSV."""

import csv
import io
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


COLUMNS = ("run", "length", "metric", "value", "low", "high", "baseline")


def as_csv(tables: dict[str, dict[int, dict[str, Estimate]]]) -> str:
    """Writes the estimates of runs, by their labels and lengths, a line each; what is unknown is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for run, table in tables.items():
        for length, row in table.items():
            for metric, estimate in row.items():
                numbers = as_json(estimate).values()
                writer.writerow([run, length, metric, *("" if x is None else x for x in numbers)])
    return text.getvalue()


def joint(tables: dict[str, dict[int, dict[str, Estimate]]], metric: str) -> list[str]:
    """Writes one metric of several runs: a line for each length, a column for each run."""
    widths = [max(len(label), 8) for label in tables]
    words = [f"{label:>{width}}" for label, width in zip(tables, widths, strict=True)]
    said = ["  ".join([f"{'length':>8}", *words])]
    for length in next(iter(tables.values())):
        values = (table[length][metric].value for table in tables.values())
        numbers = (f"{value:{width}.4g}" for value, width in zip(values, widths, strict=True))
        said.append("  ".join([f"{length:8}", *numbers]))
    return said
