"""Decides the look of all our figures: their colours, their sizes and how a baseline is drawn."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.program.files import replacing

DASHED, DOTTED = (0, (5, 3)), (0, (1, 2))  # what trivial predictions get; the target
# Okabe & Ito's colours, told apart by the colour-blind and in grey; the first is the one that matters.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, PALE = "#333333", "#767676"
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": PALE,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def grid(lines: int, columns: int, width: float, height: float, **options) -> tuple[Figure, np.ndarray]:
    """Makes a figure of `width` x `height` inches in our style, and its panels [lines, columns].

    No global state changes. options: of `Figure.subplots`, such as sharey. No figure is made in another way.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots(lines, columns, squeeze=False, **options)


def axes(columns: int = 1, width: float = 6.4, height: float = 3.8) -> tuple[Figure, list[Axes]]:
    """Makes a figure of `columns` panels side by side, `width` x `height` inches each."""
    figure, panels = grid(1, columns, columns * width, height)
    return figure, list(panels[0])


def heading(figure: Figure, text: str):
    """Writes above a whole figure what it shows."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=11, fontweight="bold")


def name(ax: Axes, title: str, x: str, y: str):
    """Writes above a panel what it shows, and names its axes: with the unit, where there is one."""
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=22)
    ax.set_xlabel(x)
    ax.set_ylabel(y)


def curve(ax: Axes, x: Sequence, y: Sequence, *, low=None, high=None, color=COLORS[0], **options):
    """Draws a line through (x, y), [N] each, and the band from low to high [N] around it, if given."""
    if low is not None:
        ax.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
    ax.plot(x, y, **{"color": color, "linewidth": 1.8} | options)


def baseline(ax: Axes, x: Sequence, y: Sequence, label: str):
    """Draws what trivial predictions get, (x, y) [N] each: dashed, and named beside the panel."""
    ax.plot(x, y, color=PALE, linewidth=1.2, linestyle=DASHED)
    place = dict(xycoords=ax.get_yaxis_transform(), xytext=(4, 0), textcoords="offset points", va="center")
    ax.annotate(label, (1, y[-1]), color=PALE, fontsize=9, annotation_clip=False, **place)


def level(ax: Axes, value: float, word: str, dashes: tuple, across: bool = True):
    """Draws a line at a value, across the panel and named beside it; or else upright and named above it."""
    (ax.axhline if across else ax.axvline)(value, color=PALE, linewidth=1.2, linestyle=dashes, zorder=0)
    if across:
        at, transform, place = (
            (1, value),
            ax.get_yaxis_transform(),
            dict(xytext=(4, 0), va="center", ha="left"),
        )
    else:
        at, transform = (value, 1), ax.get_xaxis_transform()
        place = dict(xytext=(0, 4), va="bottom", ha="center")
    style = dict(fontsize=9, color=PALE, annotation_clip=False)
    ax.annotate(word, at, xycoords=transform, textcoords="offset points", **style, **place)


def mark(ax: Axes, low: float, high: float, label: str):
    """Marks the part of the x axis from low to high, or a line where they are one, with a name above the
    panel."""
    if low == high:
        ax.axvline(high, color=INK, linewidth=1, linestyle=DOTTED)
    else:
        ax.axvspan(low, high, color=COLORS[4], alpha=0.15, linewidth=0)
    place = dict(xycoords=ax.get_xaxis_transform(), xytext=(0, 4), textcoords="offset points")
    align = "center" if low == high else "left"
    ax.annotate(label, (low, 1), fontsize=9, color=INK, ha=align, **place)


def log_lengths(ax: Axes, lengths: Sequence[int]):
    """Makes the x axis one of lengths, logarithmic, with the numbers written out (at most nine of them)."""
    ax.set_xscale("log", base=2)
    shown = list(lengths)[:: -(-len(lengths) // 9)]
    ax.set_xticks(shown, [f"{length:,}" for length in shown], minor=False)
    ax.set_xticks([], minor=True)


def log_values(ax: Axes, values: Sequence[float]):
    """Makes the y axis logarithmic, where values are positive and span more than a factor of three."""
    values = [value for value in np.ravel(values) if np.isfinite(value)]
    if values and min(values) > 0 and max(values) > 3 * min(values):
        ax.set_yscale("log")


def as_bytes(figure: Figure, kind: str) -> bytes:
    """Returns the file of a figure, "svg" or "png", which is the same for the same figure."""
    file = io.BytesIO()
    with matplotlib.rc_context(STYLE | {"svg.fonttype": "path", "svg.hashsalt": "r3nn"}):
        figure.savefig(file, format=kind, dpi=130, metadata={"Date": None} if kind == "svg" else None)
    return file.getvalue()


def save(figure: Figure, path: str | os.PathLike, **metadata: str):
    """Write a PNG, all at once: who looks meanwhile sees the old one or the new one. Raises: NotSaved.

    metadata: texts in the file, by keywords of the PNG standard, such as Title.
    """
    with replacing(Path(path)) as file, matplotlib.rc_context(STYLE):
        figure.savefig(file, format="png", dpi=160, metadata=metadata)
