"""Draws the figures of a sweep: how it went, what mattered, how its best configurations learn."""

import warnings
from pathlib import Path

import numpy as np
import optuna
from matplotlib.figure import Figure
from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator

from experiments.program import plots
from experiments.program.files import writing
from experiments.sweeps import figures_axes, figures_compare
from experiments.sweeps.figures_marks import bad_end, goals, scale
from experiments.sweeps.outcomes import Group, Outcome, Run

LINES = 5  # configurations with a colour of their own
ENOUGH = 10  # configurations, from which importance is worth a look
TOP = 1 / 3  # of them: in a smaller share of few configurations, any axis of numbers seems to decide all


def draw(found: Outcome, folder: Path) -> list[str]:
    """Saves each figure that has something to show in the folder, and returns the names of the files."""
    with writing(folder):
        folder.mkdir(exist_ok=True)
    made = {name: make(found) for name, make in FIGURES.items()} if found.groups else {}
    drawn = {f"{name}.png": figure for name, figure in made.items() if figure is not None}
    for name, figure in drawn.items():
        plots.save(figure, folder / name)
    return list(drawn)


def history(found: Outcome) -> Figure | None:
    """Draws each run's best held-out value in the order in which runs ended, and the best so far."""
    runs = sorted((run for run in found.finished if run.ended), key=lambda run: run.ended)
    if len(runs) < 2:
        return None
    figure, (ax,) = plots.axes()
    numbered = list(enumerate(runs, 1))
    points = lambda state: [
        (i, run.held_out) for i, run in numbered if run.state == state and run.held_out is not None
    ]
    if complete := points("complete"):
        ax.plot(*zip(*complete, strict=True), "o", color=plots.COLORS[5], markersize=5, label="runs")
        pick = np.maximum.accumulate if found.sign > 0 else np.minimum.accumulate
        x, y = np.array(complete).T
        ax.step(
            [*x, len(runs)],
            [*pick(y), pick(y)[-1]],
            where="post",
            color=plots.COLORS[0],
            label="best run so far",
        )
    if pruned := points("pruned"):
        ax.plot(
            *zip(*pruned, strict=True), "o", color=plots.PALE, markersize=5, fillstyle="none", label="pruned"
        )
    if failed := [i for i, run in numbered if run.state == "failed"]:
        place, y = ax.get_xaxis_transform(), [bad_end(found.sign)] * len(failed)
        ax.plot(failed, y, "x", color=plots.COLORS[1], transform=place, label="failed")
    ax.xaxis.get_major_locator().set_params(integer=True)
    scale(found, ax, [run.held_out for run in runs if run.held_out is not None])
    goals(found, ax)
    plots.name(ax, f"held-out {found.sweep.metric} of each run", "runs ended", found.sweep.metric)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def importance(found: Outcome) -> Figure | None:
    """Draws the share of each axis in whether a configuration is among the best (PED-ANOVA).

    The samples are configurations, placed as in the table, by their medians: seeds are no samples of an axis.
    """
    names, ranks = list(found.varied), [group.rank for group in found.groups]
    if len(names) < 2 or len(ranks) < ENOUGH or ranks[0] == ranks[-1]:
        return None
    study = optuna.create_study()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ExperimentalWarning)
        for group in found.groups:
            kinds = group.runs[0].trial.distributions
            study.add_trial(
                optuna.create_trial(
                    value=ranks.index(group.rank),  # how many are better
                    params={name: group.values[name] for name in names},
                    distributions={name: kinds[name] for name in names},
                )
            )
        shares = optuna.importance.get_param_importances(
            study, evaluator=PedAnovaImportanceEvaluator(target_quantile=TOP), params=names
        )
    figure, (ax,) = plots.axes(height=1.6 + 0.35 * len(names))
    words = [found.short[name] for name in shares][::-1]
    values = list(shares.values())[::-1]
    ax.barh(words, values, color=plots.COLORS[0], height=0.6)
    for i, value in enumerate(values):
        ax.annotate(f"{value:.0%}", (value, i), xytext=(4, 0), textcoords="offset points", va="center")
    ax.grid(axis="y", visible=False)
    ax.set_xlim(0, max(values) * 1.12)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    title = f"what decides which configurations are the best third (n = {len(ranks)})"
    plots.name(ax, title, "share (%, PED-ANOVA)", "field of the config")
    return figure


def curves(found: Outcome) -> Figure | None:
    """Draws the held-out metric over updates: median and spread over seeds, the best in colour."""
    groups = [group for group in found.groups if any(len(run.curve) > 1 for run in group.runs)]
    if not groups:
        return None
    best, others = groups[:LINES], groups[LINES:]
    figure, (ax,) = plots.axes(width=7.2, height=4.2 + 0.22 * len(best))
    for group in others:
        x, _, y, _ = spread(group)
        plots.curve(ax, x, y, color="#bbbbbb", linewidth=0.8, zorder=1)
    for group, color in reversed(list(zip(best, plots.COLORS, strict=False))):
        x, low, y, high = spread(group)
        plots.curve(ax, x, y, low=low, high=high, color=color, label=found.label(group.values) or "median")
    scale(found, ax, [value for group in groups for _, value in points_of(group.runs)])
    goals(found, ax)
    many = " (band: all seeds)" if max(len(group.runs) for group in groups) > 1 else ""
    plots.name(
        ax, f"held-out {found.sweep.metric} of the best configurations{many}", "updates", found.sweep.metric
    )
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower left", frameon=False, fontsize=9)
    return figure


def points_of(runs: tuple[Run, ...]) -> list[tuple[int, float]]:
    """Returns the points of all their curves."""
    return [point for run in runs for point in run.curve]


def spread(group: Group) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns (updates, least, median, most) [N] each, of the same runs at all updates.

    A run that stopped early keeps its last value; one that failed is infinitely bad from there on.
    """
    x = np.array(sorted({update for update, _ in points_of(group.runs)}))
    rows = []
    for run in group.runs:
        updates, values = np.array(run.curve or [(0, np.nan)]).T
        after = -group.sign * np.inf if run.state == "failed" else values[-1]
        rows.append(np.interp(x, updates, values, left=np.nan, right=after))
    table = np.array(rows)
    return x, np.nanmin(table, 0), np.nanmedian(table, 0), np.nanmax(table, 0)


FIGURES = {
    "history": history,
    "importance": importance,
    "slices": figures_axes.slices,
    "parallel": figures_axes.parallel,
    "curves": curves,
    "compare": figures_compare.compare,
}
