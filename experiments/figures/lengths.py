"""Draws the headline metric of what was learned against the length of its sequences."""

from typing import Any

import numpy as np

from experiments.evaluation.intervals import Estimate
from experiments.program import plots


def draw(ax, table: dict[int, dict[str, Estimate]], report: dict[str, Any]) -> None:
    """Draws the headline metric against length, with its interval, the baseline and the training length."""
    metric = report["metric"]
    lengths, column = list(table), [row[metric] for row in table.values()]
    values, low, high, trivial = (np.array(numbers) for numbers in zip(*column, strict=True))
    plots.log_lengths(ax, lengths)
    shortest, longest = report["trained_lengths"]
    label = f"trained at {trained_at(shortest, longest)}"
    plots.mark(ax, min(max(shortest, lengths[0]), longest), longest, label)
    plots.curve(ax, lengths, values, low=low, high=high, marker="o", markersize=5)
    plots.baseline(ax, lengths, trivial, "trivial")
    if report["higher_is_better"]:
        ax.set_ylim(-0.03, 1.05)
    else:
        plots.log_values(ax, [values, trivial])
    measure = metric.replace("_", " ")
    plots.name(ax, f"{report['task']}: {measure} against length", "length of a sequence (steps)", measure)


def trained_at(shortest: int, longest: int) -> str:
    """Says the trained lengths in words."""
    return f"{shortest} to {longest}" if shortest < longest else f"{longest}"
