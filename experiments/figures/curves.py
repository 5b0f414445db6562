"""Draws many runs: training loss and held-out metric over updates, the best in colour."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from experiments.errors import BadInput
from experiments.program import plots
from experiments.program.files import reading

TITLE = "curves of r3nn's runs"  # in the file, by which it is known again
LINES = 2 * len(plots.COLORS)  # runs with a look of their own: full lines, then dashed ones
WIDE = 78  # letters of a label, for each panel above it


def check(path: Path) -> None:
    """Raises BadInput where a new figure would replace something other than such a one; NotRead."""
    if path.is_dir():
        raise BadInput(f"--figure={path}: is a folder; it must name a PNG file.")
    if path.exists():
        with reading(path), open(path, "rb") as file:
            if f"Title\0{TITLE}".encode() not in file.read(1000):
                raise BadInput(f"--figure={path}: is there, and no figure of this program; name another.")


def draw(runs: Sequence, labels: Sequence[str]) -> Figure | None:
    """Draws a panel of the losses, and one for each metric; returns None where no run has a curve.

    runs: `experiments.runs.Run`s, the best first. labels: of each.
    """
    metrics = dict.fromkeys(run.metric for run in runs if run.held_out)
    named = [(run, label) for run, label in zip(runs, labels, strict=True) if run.loss or run.held_out]
    if not named:
        return None
    best, others = named[:LINES], len(named) - LINES
    figure, panels = plots.axes(1 + len(metrics), width=5.6, height=3.9 + 0.19 * len(best))
    _panel(panels[0], "training loss", "loss", [run.loss for run, _ in named], logarithmic=True)
    for ax, metric in zip(panels[1:], metrics, strict=True):
        curves = [run.held_out if run.metric == metric else [] for run, _ in named]
        higher = any(run.higher_is_better for run, _ in named if run.metric == metric)
        _panel(ax, f"held-out {metric}", metric, curves, logarithmic=not higher)
    wide = WIDE * len(panels)
    words = [label if len(label) <= wide else f"{label[:wide]} ..." for _, label in best]
    words += [f"{others} others"] if others > 0 else []
    handles = [panels[0].plot([], [], **_look(place))[0] for place in range(len(words))]
    words = [word.replace("$", r"\$") for word in words]
    figure.legend(handles, words, loc="outside lower left", frameon=False, fontsize=9)
    return figure


def _panel(ax, title: str, y: str, curves: list[list[tuple[float, float]]], logarithmic: bool) -> None:
    """Draws a panel. curves: (update, value) pairs of each run, the best run on top."""
    for place, pairs in reversed([*enumerate(curves)]):
        if pairs:
            ax.plot(*zip(*pairs, strict=True), marker="" if len(pairs) > 1 else "o", **_look(place))
    if logarithmic:
        plots.log_values(ax, [value for pairs in curves for _, value in pairs])
    plots.name(ax, *(word.replace("$", r"\$") for word in (title, "updates", y)))


def _look(place: int) -> dict:
    """Returns the look of the lines of a run, by its place in the list."""
    if place >= LINES:
        return dict(color="#bbbbbb", linewidth=0.8, zorder=1)
    dashes = "-" if place < len(plots.COLORS) else (0, (4, 1.5))
    return dict(color=plots.COLORS[place % len(plots.COLORS)], linewidth=1.5, linestyle=dashes)
