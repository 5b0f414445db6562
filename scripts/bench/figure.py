"""Draws the picture beside the JSON: every ratio of every row, on one scale."""

import statistics

from matplotlib.figure import Figure

from experiments.program import plots
from scripts.bench.registry import CASES

COLORS = dict(zip(("flax", "torch", "equinox", "keras"), plots.COLORS, strict=False))
OTHERS = (plots.COLORS[5], plots.COLORS[4], "#555555", "#999999", "#8C6D31")
MARKERS = {"flax": "o", "torch": "s", "equinox": "^", "keras": "D"}
ROW, HEAD = 0.24, 0.62  # inches


def draw(report: dict) -> Figure:
    """Draws a panel for each case, a line for each row and a mark for each rival.

    r3nn is faster to the right of 1.
    """
    cases = {name: rows for name, rows in report["cases"].items() if any(row["ratios"] for row in rows)}
    heights = [HEAD + ROW * len(rows) for rows in cases.values()]
    shape = dict(sharex=True, height_ratios=heights)
    figure, panels = plots.grid(len(cases), 1, 9, sum(heights) + 0.9, **shape)
    axes = panels[:, 0]
    for axis, (name, rows) in zip(axes, cases.items(), strict=True):
        panel(axis, name, rows)
    low, high = axes[0].get_xlim()  # shared: its ends are known once all is drawn
    for axis in axes:
        axis.axvspan(low, 1, color="#F3EDE6", zorder=-1, linewidth=0)
    axes[0].set_xlim(low, high)
    axes[-1].set_xlabel("rival's time (or bytes) over r3nn's, log scale; shaded: r3nn is behind", fontsize=9)
    machine = report["machine"]
    words = f"{machine['cpu']}, {machine['cores']} cores, JAX {machine['jaxlib']}, {machine['date']}"
    figure.suptitle(f"r3nn against what it replaces; at the right, geometric means\n{words}", fontsize=10)
    return figure


def panel(axis, name: str, rows: list[dict]) -> None:
    """Draws the rows of one case into a panel."""
    rivals = list(dict.fromkeys(rival for row in rows for rival in row["ratios"]))
    spare = iter(OTHERS * len(rivals))
    for rival in rivals:
        points = [(row["ratios"][rival], -i) for i, row in enumerate(rows) if rival in row["ratios"]]
        mean = statistics.geometric_mean(ratio for ratio, _ in points)
        bar = CASES[name].bars.get(rival) if name in CASES else None
        aim = bar and (bar.mean or bar.least)
        color = COLORS.get(rival) or next(spare)
        label = f"{rival}  {mean:.2f}" + (f"  (bar {aim:.2f})" if aim else "")
        axis.plot(
            *zip(*points, strict=True),
            MARKERS.get(rival, "o"),
            color=color,
            markersize=6.5,
            markeredgecolor="white",
            label=label,
        )
        if aim:
            axis.axvline(aim, color=color, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.7, zorder=0)
    axis.axvline(1, color="black", linewidth=0.8, zorder=0)
    decorate(axis, name, rows)
    axis.legend(
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        frameon=False,
        fontsize=8,
        handletextpad=0.2,
        borderpad=0,
    )


def decorate(axis, name, rows) -> None:
    """Writes the names of rows, the scale and the legend."""
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axis.set_yticks([-i for i in range(len(rows))], [row["title"] for row in rows], fontsize=8)
    axis.set_ylim(-len(rows) + 0.4, 0.6)
    axis.tick_params(axis="x", labelsize=8)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.set_title(name, loc="left", fontsize=10, fontweight="bold")
