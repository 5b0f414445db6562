"""Draws what figures of a sweep share: scales, and the lines at trivial predictions and at the target."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from experiments.program import plots
from experiments.sweeps.outcomes import Outcome


def bad_end(sign: int) -> float:
    """Returns where runs without a value stand, from 0 to 1 along an axis: past the worst of the others.

    sign: 1 where higher is better, -1 where lower is.
    """
    return 0.02 if sign > 0 else 0.98


def marks(ax: Axes, sign: int, at: Sequence, values: Sequence, marker: str, upright: bool = True, **style):
    """Draws values [N] at the places `at` [N] of the other axis; infinitely bad ones stand at the bad end.

    upright: values lie along y. Dots that stand at the bad end are crosses.
    """
    at, values = np.asarray(at, float), np.asarray(values, float)
    there, pair = np.isfinite(values), lambda x, y: (x, y) if upright else (y, x)
    ax.plot(*pair(at[there], values[there]), marker, **style)
    if not there.all():
        end = np.full(np.sum(~there), bad_end(sign))
        place = ax.get_xaxis_transform() if upright else ax.get_yaxis_transform()
        marker, color = ("x", plots.COLORS[1]) if marker == "o" else (marker, style["color"])
        ax.plot(*pair(at[~there], end), marker, **{**style, "color": color, "transform": place})


def logarithmic(values: list[float]) -> bool:
    """Says whether values are positive and far apart, more than a factor of three."""
    return bool(values) and min(values) > 0 and max(values) > 3 * min(values)


def scale(found: Outcome, ax: Axes, values: list[float]):
    """Makes a logarithmic axis for errors."""
    if found.sign < 0:
        plots.log_values(ax, values)


def goals(found: Outcome, ax: Axes, across: bool = True):
    """Draws lines at baseline and target, where all configurations have the same.

    across: over the x axis.
    """
    wanted = {group.goal for group in found.groups}
    if len(wanted) > 1:
        return
    (goal,) = wanted
    levels = {"trivial": (goal.baseline, plots.DASHED), "target": (goal.target, plots.DOTTED)}
    for word, (level, dashes) in levels.items():
        if level is not None:
            plots.level(ax, level, word, dashes, across)
