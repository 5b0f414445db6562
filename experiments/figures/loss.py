"""The loss curve of one run: training loss and held-out metric over updates."""

from typing import Any

from matplotlib.figure import Figure

from experiments.program.files import replacing
from experiments.saved.metrics_log import read_lines
from experiments.saved.result_words import better, of
from experiments.saved.workdir import Workdir


def curve(result: dict[str, Any], place: Workdir) -> None:
    """loss_curve.png: training loss, and the held-out metric beside baseline and target."""
    lines = read_lines(place.metrics)
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    _plot(left, [(line["update"], line.get("loss")) for line in lines if line["kind"] == "train"], "C0")
    left.set(title="training loss", xlabel="update")
    metric = result["metric"]
    held_out = [(line["update"], line.get(metric)) for line in lines if line["kind"] == "eval"]
    _plot(right, held_out, "C1", marker="o", markersize=3, label="held out")
    if result["baseline"] is not None:
        right.axhline(result["baseline"], color="0.5", linestyle="--", label="trivial baseline")
    if result["target"] is not None:
        right.axhline(result["target"], color="C2", linestyle=":", label="target")
    right.set(title=f"held-out {metric} ({better(result)})", xlabel="update")
    right.legend(frameon=False)
    if result["higher_is_better"]:
        right.set_yscale("linear")
    figure.suptitle(f"{of(result)}: test {metric} {result['value']:.3g}")
    with replacing(place.curve) as file:
        figure.savefig(file, format="png", dpi=120)


def _plot(axes, points, color, **style) -> None:
    points = [(x, y) for x, y in points if isinstance(y, (int, float))]
    axes.plot(*zip(*points, strict=True), color=color, **style)
    if all(y > 0 for _, y in points):
        axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
