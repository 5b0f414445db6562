"""Draws the chart that compares the words of one axis, such as cells.

It shows every run, the medians, and who met the goal.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.program import plots
from experiments.sweeps import figures_axes
from experiments.sweeps.figures_marks import goals, logarithmic, marks
from experiments.sweeps.outcomes import Group, Outcome, Run


def compare(found: Outcome) -> Figure | None:
    """Draws for each value of an axis its runs as a row of dots, and their median, the best on top.

    The axis is that of words with the most values. A run that failed is a cross, as is one without all its
    updates beside them; medians are over all runs.
    """
    name = figures_axes.category(found)
    if name is None:
        return None
    rows = categories(found, name)
    words = [row.values[name] for row in rows]
    several = any(group.goal.target is not None for group in found.groups)
    figure, panels = plots.axes(1 + several, width=5.6, height=1.7 + 0.27 * len(words))
    whole = lambda run: run.updates if run.state == "complete" else None
    measures: list[Callable[[Run], float | None]] = [lambda run: run.held_out, whole]
    for ax, measure, sign in zip(panels, measures, (found.sign, -1), strict=False):
        dots(ax, sign, [[(measure(run), run.reached or not several) for run in row.runs] for row in rows])
        ax.set_yticks(range(len(words)), words if ax is panels[0] else [""] * len(words))
        ax.set_ylim(len(words) - 0.4, -0.6)
    values = [run.held_out for run in found.finished if run.held_out is not None]
    if found.sign < 0 and logarithmic(values):
        panels[0].set_xscale("log")
    goals(found, panels[0], across=False)
    states = {run.state for run in found.finished}
    failed = " (cross: failed)" if "failed" in states else ""
    title = f"{found.short[name]}: dots are runs, bars are medians"
    plots.name(panels[0], title, f"held-out {found.sweep.metric}{failed}", found.short[name])
    if several:
        early = " (cross: pruned or failed)" if states - {"complete"} else ""
        plots.name(panels[1], "hollow: the target was not reached", f"updates{early}", "")
    shares(found, panels[-1], rows)
    return figure


def categories(found: Outcome, name: str) -> list[Group]:
    """Groups all runs by the value of an axis, the best value first.

    The goal of a group is that of its best configuration.
    """
    rows: dict[Any, list[Group]] = {}
    for group in found.groups:
        rows.setdefault(group.values[name], []).append(group)
    runs = lambda groups: tuple(run for group in groups for run in group.runs)
    made = [Group({name: word}, runs(some), some[0].goal, found.sign) for word, some in rows.items()]
    return sorted(made, key=lambda row: row.rank)


def dots(ax: Axes, sign: int, rows: list[list[tuple[float | None, bool]]]):
    """Draws a row of dots and their median for each list of (value, whether it is filled).

    No value is the worst. sign: 1 where higher is better, -1 where lower is.
    """
    for i, row in enumerate(rows):
        there = [(-sign * math.inf if value is None else value, full) for value, full in row]
        for filled in (True, False):
            x = [value for value, full in there if full is filled]
            style = dict(color=plots.COLORS[0], markerfacecolor=plots.COLORS[0] if filled else "white")
            marks(ax, sign, [i] * len(x), x, "o", upright=False, markersize=5, alpha=0.6, **style)
        middle = [np.median([value for value, _ in there])]
        marks(ax, sign, [i], middle, "|", upright=False, color=plots.INK, markersize=14, mew=2.5)


def shares(found: Outcome, ax: Axes, rows: list[Group]):
    """Writes beside each row how many of its runs met the goal, each that of its own configuration."""
    place = dict(xycoords=ax.get_yaxis_transform(), xytext=(6, 0), textcoords="offset points", va="center")
    for i, row in enumerate(rows):
        met = sum(group.met for group in found.groups if row.values.items() <= group.values.items())
        ax.annotate(f"{met}/{len(row.runs)}", (1, i), fontsize=9, annotation_clip=False, **place)
    word = "reached" if any(group.goal.target is not None for group in found.groups) else "beat trivial"
    ax.annotate(word, (1, 1), **{**place, "xycoords": "axes fraction", "xytext": (6, 6)}, fontsize=9)
