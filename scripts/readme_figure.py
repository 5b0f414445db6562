"""Draws experiments/results/readme.png from the runs of the commands that experiments/README.md names.

scripts/run scripts/readme_figure.py
"""

import json
import sys
from pathlib import Path

from experiments.evaluation.intervals import Estimate
from experiments.figures.lengths import draw
from experiments.program import plots

QUICKSTART, S3 = Path("runs/quickstart"), Path("runs/s3")
PICTURE = Path("experiments/results/readme.png")


def main() -> int:
    """Draws the figure of the README. Returns status 2, after one sentence, where a run is missing."""
    needed = [QUICKSTART / "metrics.jsonl", QUICKSTART / "result.json", S3 / "evaluation.json"]
    missing = next((path for path in needed if not path.exists()), None)
    if missing is not None:
        print(f"{missing} does not exist: experiments/README.md names what makes it.", file=sys.stderr)
        return 2
    figure, (left, right) = plots.axes(columns=2, width=5.2, height=3.4)
    learning(left)
    generalising(right)
    PICTURE.parent.mkdir(exist_ok=True)
    plots.save(figure, PICTURE)
    print(PICTURE)
    return 0


def learning(ax):
    """Draws the quickstart's held-out error over updates."""
    result = json.loads((QUICKSTART / "result.json").read_text())
    lines = [json.loads(line) for line in (QUICKSTART / "metrics.jsonl").read_text().splitlines()]
    trained = [(line["update"], line["loss"]) for line in lines if line["kind"] == "train"]
    held_out = [(line["update"], line["mse"]) for line in lines if line["kind"] == "eval"]
    plots.curve(ax, *zip(*trained, strict=True), color=plots.COLORS[5], linewidth=1.2, label="training loss")
    plots.curve(ax, *zip(*held_out, strict=True), marker="o", markersize=5, label="held-out mse")
    plots.baseline(ax, [0, held_out[-1][0]], [result["baseline"]] * 2, "trivial")
    ax.set_yscale("log")
    ax.legend(frameon=False, fontsize=9, loc="lower left")
    plots.name(ax, f"Learning to add two of {result['length']} numbers", "updates", "loss, mse")


def generalising(ax):
    """Draws how products of permutations are told, far beyond the lengths that were trained."""
    report = json.loads((S3 / "evaluation.json").read_text())
    table = {
        int(length): {name: Estimate(**numbers) for name, numbers in row.items()}
        for length, row in report["lengths"].items()
    }
    draw(ax, table, report)
    plots.name(
        ax,
        "Permutations multiplied without a mistake",
        "length of a sequence (steps)",
        "fraction of sequences",
    )


if __name__ == "__main__":
    sys.exit(main())
