"""Draws the loss curve of one run: training loss and held-out metric over updates."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from experiments.program import plots
from experiments.saved.metrics_log import read_lines
from experiments.saved.result_words import better, of
from experiments.saved.workdir import Workdir

Lines = Sequence[dict[str, Any]]  # of metrics.jsonl


def curve(result: dict[str, Any], place: Workdir) -> None:
    """Saves the figure that `draw` makes as loss_curve.png in the run's folder. Raises: NotSaved."""
    plots.save(draw(result, read_lines(place.metrics)), place.curve)


def draw(result: dict[str, Any], lines: Lines) -> Figure:
    """Draws the training loss, and the held-out metric beside baseline and target."""
    figure, (left, right) = plots.axes(2, width=5.2, height=3.8)
    metric = result["metric"]
    losses, held_out = _points(lines, "train", "loss"), _points(lines, "eval", metric)
    _plot(left, losses, color=plots.COLORS[0])
    plots.log_values(left, [y for _, y in losses])
    plots.name(left, "training loss", "updates", "loss")
    _plot(right, held_out, color=plots.COLORS[1], marker="o", markersize=4)
    levels = {"trivial": (result["baseline"], plots.DASHED), "target": (result["target"], plots.DOTTED)}
    for word, (level, dashes) in levels.items():
        if level is not None:
            plots.level(right, level, word, dashes)
    if not result["higher_is_better"]:
        plots.log_values(right, [y for _, y in held_out])
    plots.name(right, f"held-out {metric} ({better(result)})", "updates", metric)
    plots.heading(figure, f"{of(result)}: test {metric} {result['value']:.3g}")
    return figure


def _points(lines: Lines, kind: str, name: str) -> list[tuple[int, float]]:
    """Lists (update, number) of the lines of a kind, "train" or "eval", that have a number of this name."""
    found = [(line["update"], line.get(name)) for line in lines if line["kind"] == kind]
    return [(x, y) for x, y in found if isinstance(y, (int, float))]


def _plot(ax, points: list[tuple[int, float]], **style) -> None:
    if points:
        plots.curve(ax, *zip(*points, strict=True), **style)
