"""Draws the headline metric of what was learned against the length of its sequences."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.evaluation.intervals import Estimate
from experiments.program import plots

PANELS = 3  # in a row


def draw(ax, table: dict[int, dict[str, Estimate]], report: dict[str, Any]) -> None:
    """Draws the headline metric against length, with its interval, the baseline and the training length;
    where worst words were asked for, also how far they are right."""
    metric = report["metric"]
    lengths, column = list(table), [row[metric] for row in table.values()]
    values, low, high, trivial = (np.array(numbers) for numbers in zip(*column, strict=True))
    _frame(ax, lengths, report)
    plots.curve(ax, lengths, values, low=low, high=high, marker="o", markersize=5)
    plots.baseline(ax, lengths, trivial, "trivial")
    _scale(ax, report, [values, trivial])
    _mark_worst(ax, lengths, report)
    measure = metric.replace("_", " ")
    plots.name(ax, f"{report['task']}: {measure} against length", "length of a sequence (steps)", measure)


class Curve(NamedTuple):
    """Holds what is drawn of one run: the estimates by length, and its report, as in evaluation.json."""

    table: dict[int, dict[str, Estimate]]
    report: dict[str, Any]
    label: str


def side_by_side(groups: Sequence[Sequence[Curve]]) -> Figure:
    """Draws a panel for each group of runs, which differ in their seed alone: each run thin, their median
    bold."""
    columns = min(len(groups), PANELS)
    lines = -(-len(groups) // columns)
    figure, panels = plots.grid(lines, columns, 5.2 * columns, 3.8 * lines, sharey=True)
    for ax, runs in zip(panels.flat, groups, strict=False):
        if len(runs) == 1:
            draw(ax, runs[0].table, runs[0].report)
            measure = runs[0].report["metric"].replace("_", " ")
            label = runs[0].label.replace("$", r"\$")
            plots.name(ax, f"{runs[0].report['task']}: {label}", "length of a sequence (steps)", measure)
            continue
        _draw_seeds(ax, runs)
    for ax in panels.flat[len(groups) :]:
        ax.set_visible(False)
    return figure


def _draw_seeds(ax, runs: Sequence[Curve]) -> None:
    report, metric = runs[0].report, runs[0].report["metric"]
    column = lambda run, field: [getattr(row[metric], field) for row in run.table.values()]
    values = np.array([column(run, "value") for run in runs])
    trivial, lengths = column(runs[0], "baseline"), list(runs[0].table)
    _frame(ax, lengths, report)
    for each in values:
        plots.curve(ax, lengths, each, color=plots.COLORS[5], linewidth=0.8)
    plots.curve(ax, lengths, np.median(values, axis=0), marker="o", markersize=5)
    plots.baseline(ax, lengths, trivial, "trivial")
    _scale(ax, report, [*values, trivial])
    for run in runs:
        _mark_worst(ax, lengths, run.report)
    title = f"{report['task']}: median of {len(runs)} seeds"
    plots.name(ax, title, "length of a sequence (steps)", metric.replace("_", " "))


def _frame(ax, lengths: Sequence[int], report: dict[str, Any]) -> None:
    """Makes the axis of lengths, with the trained ones marked."""
    plots.log_lengths(ax, lengths)
    shortest, longest = report["trained_lengths"]
    label = f"trained at {trained_at(shortest, longest)}"
    plots.mark(ax, min(max(shortest, lengths[0]), longest), longest, label)


def _scale(ax, report: dict[str, Any], values: Sequence) -> None:
    if report["higher_is_better"]:
        ax.set_ylim(-0.03, 1.05)
    else:
        plots.log_values(ax, values)


def _mark_worst(ax, lengths: Sequence[int], report: dict[str, Any]) -> None:
    """Marks the length up to which 99 % of the words u v^n are right, where it was asked for."""
    worst = report.get("l99", {}).get("worst")
    if worst is not None:
        at = max(worst, 1)
        ax.axvline(at, color=plots.COLORS[1], linewidth=1.2, linestyle=plots.DASHED)
        right = at * at < lengths[0] * lengths[-1]  # in the left half of the axis there is room on the right
        side, align = (4, "left") if right else (-4, "right")
        place = dict(
            xycoords=ax.get_xaxis_transform(), xytext=(side, 0), textcoords="offset points", ha=align
        )
        ax.annotate("99% of words u v$^n$", (at, 0.5), fontsize=9, color=plots.COLORS[1], **place)


def trained_at(shortest: int, longest: int) -> str:
    """Says the trained lengths in words."""
    return f"{shortest} to {longest}" if shortest < longest else f"{longest}"
