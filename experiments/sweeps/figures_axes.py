"""Draws the axes of a sweep: one by one (slices), and all together (parallel coordinates)."""

import math

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from configs._space import Axis, Range
from experiments.program import plots
from experiments.sweeps.figures_marks import marks
from experiments.sweeps.outcomes import Outcome, number

COLUMNS = 3  # of slices
TICKS = 5  # on an axis of numbers
MAP = "viridis_r"


def category(found: Outcome) -> str | None:
    """Names the axis of words that has the most values; None where there is none."""
    is_words = lambda axis: not isinstance(axis, Range) and any(isinstance(v, str) for v in axis.values)
    sizes = {name: len(axis.values) for name, axis in found.varied.items() if is_words(axis)}
    return max(sizes, key=sizes.get, default=None)


def slices(found: Outcome) -> Figure | None:
    """Draws a panel for each axis.

    It has a dot for each run and the median of each value, and the best configuration is marked.
    """
    names = list(found.varied)
    if names in ([], [category(found)]):  # the chart by category shows that
        return None
    columns = min(COLUMNS, len(names))
    lines = -(-len(names) // columns)
    wide = max(_values(axis) for axis in found.varied.values())
    width = max(6.4, columns * max(3.4, 1.2 + 0.24 * wide))
    figure, panels = plots.grid(lines, columns, width, 3.4 * lines + 0.3, sharey=True)
    for ax in panels.flat[len(names) :]:
        ax.set_visible(False)
    for ax, name in zip(panels.flat, names, strict=False):
        _slice(found, ax, name)
    if found.sign < 0:
        values = [run.held_out for run in found.finished if run.held_out is not None]
        plots.log_values(panels.flat[0], values)
    for ax in panels[:, 0]:
        ax.set_ylabel(f"held-out {found.sweep.metric}")
    failed = ", crosses are failed ones" if any(run.state == "failed" for run in found.runs) else ""
    plots.heading(
        figure, f"dots are runs{failed}, bars are medians, the star is the best configuration's median"
    )
    return figure


def _values(axis: Axis) -> int:
    return 0 if isinstance(axis, Range) else len(axis.values)


def _slice(found: Outcome, ax: Axes, name: str):
    axis = found.sweep.axes[name]
    runs = [(group.values[name], y) for group in found.groups for y in group.held_out]
    x, y = np.array([(position(axis, value), y) for value, y in runs]).T
    jitter = 0 if isinstance(axis, Range) else np.random.default_rng(0).uniform(-0.14, 0.14, len(x))
    marks(ax, found.sign, x + jitter, y, "o", color=plots.COLORS[0], alpha=0.45, markersize=5)
    if not isinstance(axis, Range):
        for i, value in enumerate(axis.values):
            if there := [y for tried, y in runs if tried == value]:
                across = [i - 0.28, i + 0.28]
                marks(ax, found.sign, across, [np.median(there)] * 2, "-", color=plots.INK, linewidth=2)
    if found.winner is not None:
        at = [position(axis, found.winner.values[name])]
        style = dict(color=plots.COLORS[1], markersize=12, zorder=3)
        marks(ax, found.sign, at, [found.winner.median], "*", **style)
    ax.set_xlabel(found.short[name])
    _ticks(ax, axis)


def _ticks(ax: Axes, axis: Axis):
    if isinstance(axis, Range):
        at = [position(axis, value) for value in ticks(axis)]
        ax.set_xticks(at, [number(value) for value in ticks(axis)])
        return
    long = len(axis.values) > 4 or max(len(number(value)) for value in axis.values) > 8
    turn = dict(rotation=90, fontsize=8) if long else {}
    ax.set_xticks(range(len(axis.values)), [number(value) for value in axis.values], **turn)
    ax.set_xlim(-0.6, len(axis.values) - 0.4)
    ax.grid(axis="x", visible=False)


def position(axis: Axis, value) -> float:
    """Returns where a value lies on its axis.

    On a logarithmic axis that is its logarithm, on a choice or grid its number among the values.
    """
    if isinstance(axis, Range):
        return math.log10(value) if axis.log else float(value)
    return float(axis.values.index(value))


def ticks(axis: Range) -> list[float]:
    """Lists round numbers in a range.

    They are powers of ten on a logarithmic axis, with 2 and 5 of them where it is short.
    """
    if axis.log:
        decades = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
        steps = (1,) if axis.high / axis.low >= 100 else (1, 2, 5)
        found = [step * 10.0**decade for decade in decades for step in steps]
    else:
        found = list(
            matplotlib.ticker.MaxNLocator(TICKS, integer=axis.whole).tick_values(axis.low, axis.high)
        )
    found = [value for value in found if axis.low <= value * (1 + 1e-9) and value <= axis.high * (1 + 1e-9)]
    return [round(value) if axis.whole else float(value) for value in found] or [axis.low, axis.high]


def parallel(found: Outcome) -> Figure | None:
    """Draws a line for each configuration through all its values, to its median on the right.

    The best lies on top.
    """
    groups = [group for group in found.groups if math.isfinite(group.median)]
    if len(found.varied) < 2 or len(groups) < 2:
        return None
    axes = {name: _unit(axis) for name, axis in found.varied.items()}
    metric = _Metric(found, [group.median for group in groups])
    wide = 1.9 * (len(axes) + 1)
    tall = max(4.2, 1 + 0.2 * max(_values(axis) for axis in found.varied.values()))
    figure, (ax,) = plots.axes(width=wide, height=tall)
    colors = matplotlib.colormaps[MAP](np.linspace(0, 0.9, len(groups)))[::-1]
    for group, color in reversed(list(zip(groups, colors, strict=True))):
        y = [*(unit(group.values[name]) for name, unit in axes.items()), metric(group.median)]
        style = dict(color=color, linewidth=1.1, alpha=0.75)
        if group is found.winner:
            style = dict(color=plots.COLORS[1], linewidth=2.6, zorder=3)
        ax.plot(range(len(y)), y, **style)
    for i, (name, unit) in enumerate(axes.items()):
        _rail(ax, i, _labels(found.sweep.axes[name], unit))
    _rail(ax, len(axes), [(metric(value), number(value)) for value in metric.ticks()])
    ends = [*(found.short[name] for name in axes), f"median {found.sweep.metric}"]
    _bare(ax, ends)
    failed = len(found.groups) - len(groups)
    without = f"; {failed} that failed are left out" if failed else ""
    plots.heading(
        figure, f"{len(groups)} configurations: the best in orange, dark is better than light{without}"
    )
    return figure


def _bare(ax: Axes, names: list[str]):
    """Removes frame and grid, and names the axes below: the rails are the axes."""
    ax.set_xticks(range(len(names)), names, fontweight="bold")
    ax.tick_params(length=0, pad=10)
    ax.yaxis.set_major_locator(NullLocator())
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set_xlim(-0.1, len(names) - 0.55)
    ax.set_ylim(-0.04, 1.04)


def _rail(ax: Axes, x: float, labels: list[tuple[float, str]]):
    """Draws an axis that stands upright at x, with its (place, word)s beside it; a place lies from 0 to 1."""
    ax.plot([x, x], [0, 1], color=plots.PALE, linewidth=1, zorder=4)
    box = dict(boxstyle="round,pad=0.1", facecolor="white", edgecolor="none", alpha=0.75)
    for y, word in labels:
        ax.plot([x, x + 0.03], [y, y], color=plots.PALE, linewidth=1, zorder=4)
        ax.annotate(
            word,
            (x, y),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            bbox=box,
            zorder=5,
        )


def _unit(axis: Axis):
    """Returns the function that maps a value of an axis to 0 .. 1 along it."""
    ends = (axis.low, axis.high) if isinstance(axis, Range) else (axis.values[0], axis.values[-1])
    low, high = (position(axis, value) for value in ends)
    return lambda value: (position(axis, value) - low) / (high - low)


def _labels(axis: Axis, unit) -> list[tuple[float, str]]:
    values = ticks(axis) if isinstance(axis, Range) else axis.values
    return [(unit(value), number(value)) for value in values]


class _Metric:
    """Maps a median to 0 .. 1, the best to 1; logarithmic for errors that are far apart."""

    def __init__(self, found: Outcome, values: list[float]):
        self._low, self._high, self._sign = min(values), max(values), found.sign
        self._log = found.sign < 0 and self._low > 0 and self._high > 3 * self._low

    def __call__(self, value: float) -> float:
        move = math.log if self._log else float
        low, high = move(self._low), move(self._high)
        at = (move(value) - low) / (high - low) if high > low else 0.5
        return at if self._sign > 0 else 1 - at

    def ticks(self) -> list[float]:
        """Lists values of the metric, the worst and the best among them."""
        if self._high == self._low:
            return [self._low]
        spread = np.geomspace if self._log else np.linspace
        return [float(value) for value in spread(self._low, self._high, TICKS)]
