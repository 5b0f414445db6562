"""What a sweep leaves: tables, trials.csv, best.json, figures; from trials made up here, without training."""

import csv
import dataclasses
import datetime
import io
import itertools
import json
import re
import shlex
import types
from pathlib import Path

import numpy as np
import optuna
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from configs import compare_cells, quickstart_sweep
from configs._space import Range, grid, int_uniform, log_uniform, uniform
from experiments.building.learners import OURS, learner_of
from experiments.config import command_line
from experiments.config.fields import merge
from experiments.config.loading import load
from experiments.figures import loss
from experiments.program.numbers import about
from experiments.run import services
from experiments.sweeps import best, figures_all, figures_axes, figures_compare, progress, report
from experiments.sweeps.outcomes import Group, Outcome, outcome
from experiments.sweeps.plan import Sweep, workdir
from experiments.sweeps.slots import ENDING, RESULT, RETRIES
from r3nn.cells import CELLS
from r3nn.model import count_params
from r3nn.tasks import get_task
from tests.runs import ROOT

pytestmark = pytest.mark.usefixtures("at_the_root")


# Sweeps that nobody ran.


def tried(config: str, axes: dict, trials: int = 1, **changes) -> Sweep:
    base = merge(load(config))
    task = get_task(base.task.name, **base.task.options)
    usual = dict(config=config, overrides=(), base=base.to_dict(), axes=axes, trials=trials, sampler="tpe")
    about = dict(
        pruner="none", seed=0, metric=task.metric, higher_is_better=task.higher_is_better, trainer=services
    )
    return Sweep(**usual | about | changes)


def trial(sweep: Sweep, slot: int, values: dict, curve: dict, state=TrialState.COMPLETE, **attributes):
    """A trial that told `curve`: {update: held-out metric}; its test metric is 1 % above its best."""
    found = (max if sweep.higher_is_better else min)(curve.values(), default=None)
    attributes |= dict(slot=slot, workdir=workdir(slot), command=sweep.command(f"D/{workdir(slot)}", values))
    target = sweep.base["train"]["target"]
    if state == TrialState.COMPLETE:
        result = dict(value=1.01 * found, held_out=found, updates=max(curve), seconds=2.5, parameters=123)
        reached = bool(target) and (found >= target if sweep.higher_is_better else found <= target)
        attributes[RESULT] = result | dict(reached_target=reached)
    kind = lambda axis: (
        FloatDistribution(axis.low, axis.high, log=axis.log)
        if isinstance(axis, Range)
        else CategoricalDistribution(axis.values)
    )
    made = optuna.create_trial(
        state=state,
        value=found if state == TrialState.COMPLETE else None,
        params=values,
        distributions={name: kind(sweep.axes[name]) for name in values},
        intermediate_values=curve,
        user_attrs=attributes,
    )
    made.datetime_complete = datetime.datetime(2000, 1, 1) + datetime.timedelta(minutes=slot)
    return made


def study(sweep: Sweep, trials) -> optuna.Study:
    made = optuna.create_study(direction="maximize" if sweep.higher_is_better else "minimize")
    made.add_trials(trials)
    return made


def rates() -> tuple[Sweep, list]:
    """12 configurations x 3 seeds: the nearer the rate to 0.01, the better; slot 4 diverged, 8 was pruned,
    10 was lost and tried again."""
    sweep = tried("configs/quickstart_sweep.py", quickstart_sweep.get_sweep(), 12)
    made = []
    for slot in range(sweep.total):
        i, seed = sweep.configuration(slot), slot % 3
        values = {
            "optimizer.lr": 10 ** (-3.4 + 0.2 * i),
            "optimizer.name": ("adam", "sgd", "rmsprop")[i % 3],
            "model.hidden_size": (8, 16, 32)[i // 4],
            "seed": seed,
        }
        last = 10 ** (-3 + abs(i - 7) / 5 + 0.05 * seed)
        curve = {update: float(last + 0.1 * np.exp(-update / 90)) for update in range(50, 601, 50)}
        if slot == 4:
            made.append(trial(sweep, slot, values, {50: 0.1}, TrialState.FAIL, **{ENDING: "not finite"}))
        elif slot == 8:
            made.append(trial(sweep, slot, values, {50: 0.09, 100: 0.2}, TrialState.PRUNED))
        elif slot == 10:
            made.append(trial(sweep, slot, values, {}, TrialState.FAIL))
        else:
            made.append(trial(sweep, slot, values, curve))
        if slot == 10:
            again = (slot, values, curve)
    return sweep, [*made, trial(sweep, *again, **{RETRIES: 10})]


def cells() -> tuple[Sweep, list]:
    """All cells, grids alone: the k-th reaches the target after 100 (k + 1) updates, the last seven never."""
    sweep = tried("configs/compare_cells.py", compare_cells.get_sweep())
    made = []
    for slot in range(sweep.total):
        values = sweep.grid_point(slot)
        k = list(CELLS).index(values["model.cell"])
        updates = range(100, 100 * (k + 1) + 1, 100) if k < 15 else range(100, 2001, 100)
        top = 1 - 0.0001 * (k % 3) if k < 15 else 0.1
        curve = {update: top * update / updates[-1] for update in updates}
        made.append(trial(sweep, slot, values, curve))
    return sweep, made


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(folder, what was printed, Outcome) of `rates`."""
    folder, (sweep, trials) = tmp_path_factory.mktemp("sweep"), rates()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        out = io.StringIO()
        patch.setattr("sys.stdout", out)
        made = study(sweep, trials)
        report.finish(made, sweep, folder)
    return folder, out.getvalue(), outcome(sweep, made.trials)


# Files.


def test_a_sweep_leaves_its_files(finished):
    folder, out, _ = finished
    drawn = {"history", "importance", "slices", "parallel", "curves", "compare"}
    assert {path.name for path in (folder / "figures").iterdir()} == {f"{name}.png" for name in drawn}
    for path in (folder / "figures").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG") and f"figures/{path.name}" in out
    assert {path.name for path in folder.iterdir()} == {"figures", "trials.csv", "best.json"}


def test_trials_csv_has_a_line_for_each_run(finished):
    folder, _, found = finished
    rows = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    assert [int(row["slot"]) for row in rows] == list(range(36))
    states = {slot: row["state"] for slot, row in enumerate(rows) if row["state"] != "complete"}
    assert states == {4: "failed", 8: "pruned"} and rows[4]["ending"] and not rows[8]["ending"]
    assert f"\nslot 4 failed: {rows[4]['ending']}\n" in finished[1]
    assert list(rows[0])[2:6] == list(found.sweep.axes)
    assert (rows[4]["held_out"], rows[4]["value"], rows[8]["held_out"]) == ("", "", "0.09")
    row = rows[21]
    assert float(row["held_out"]) == found.runs[21].trial.value and row["workdir"] == "trials/00021"
    assert float(row["value"]) == pytest.approx(1.01 * float(row["held_out"]))
    assert (row["updates"], row["seconds"], row["parameters"], row["reached_target"]) == (
        *("600", "2.5", "123", "False"),
    )
    assert row["command"] == found.runs[21].command


def test_best_json_says_how_to_train_it_again(finished):
    folder, out, found = finished
    said = json.loads((folder / "best.json").read_text())
    values = [found.runs[slot].trial.value for slot in (21, 22, 23)]  # of the seventh configuration
    assert said["configuration"]["optimizer.lr"] == pytest.approx(10**-2)
    assert (said["median"], said["worst"], said["met"]) == (np.median(values), max(values), 3)
    assert [(run["seed"], run["held_out"]) for run in said["runs"]] == list(enumerate(values))
    assert said["test"] == pytest.approx(1.01 * np.median(values)) and said["best_run"]["slot"] == 21
    assert said["best_run"]["command"] in out and said["full_length"] in out
    config = command_line.parse(shlex.split(said["full_length"])[1:], "").config
    assert "quickstart_sweep.py:full" in said["full_length"]
    assert (config.train.updates, config.train.length) == (1500, 200)
    assert config.optimizer.lr == said["configuration"]["optimizer.lr"]


@pytest.mark.parametrize(
    "config, full",
    [
        ("configs/s3.py", "configs/s3.py:full"),
        ("configs/s3.py:smoke", "configs/s3.py:full"),
        ("configs/quickstart.py", "configs/quickstart.py"),
        ("configs/article.py:lstm_gru", "configs/article.py:lstm_gru"),
    ],
)
def test_at_full_length_what_shortened_the_sweep_is_left_out(config, full):
    overrides = ("--config.train.updates=10", "-config.optimizer.clip=2.0", "--config.train.length=8")
    sweep = tried(config, {"seed": grid(1)}, overrides=overrides)
    run = outcome(sweep, [trial(sweep, 0, {"seed": 1}, {10: 0.5})]).best
    command = best.full_length(sweep, run, Path("D"))
    assert shlex.split(command)[2:] == [
        *(f"--config={full}", "--workdir=D/full", "-config.optimizer.clip=2.0", "--config.seed=1"),
    ]


# Tables.


def lines_of(found: Outcome) -> list[list[str]]:
    return [line.split() for line in report.table(found).splitlines()[4:]]


def test_the_table_is_sorted_by_the_median_over_seeds(finished):
    _, out, found = finished
    lines = lines_of(found)
    assert len(lines) == 12 and report.table(found) in out
    assert lines[0][:3] == ["0.01", "sgd", "16"] and lines[0][6:] == ["100%", "600", "3"]
    medians = [float(line[3]) for line in lines]
    assert medians == sorted(medians)
    head = report.table(found).splitlines()
    assert "12 configurations x 3 seeds: 36 of 36 runs done" in head[0]
    assert "lower is better; trivial baseline 0.1667" in head[1]


def test_a_failed_run_is_the_worst_of_its_configuration(finished):
    group = next(group for group in finished[2].groups if 4 in [run.slot for run in group.runs])
    (line,) = (line for line in lines_of(finished[2]) if "failed)" in line)
    assert group.worst == np.inf and group.median == max(group.runs[0].held_out, group.runs[2].held_out)
    assert line[4] == "-" and line[6:] == ["67%", "600", "3", "(1", "failed)"]


def test_two_failed_runs_of_three_are_no_success():
    sweep = tried("configs/quickstart.py", {"seed": grid(range(3)), "optimizer.lr": grid(0.1, 0.2)})
    failed = dict(state=TrialState.FAIL, **{ENDING: "not finite"})
    made = [trial(sweep, 0, sweep.grid_point(0), {10: 1e-6})]
    made += [trial(sweep, slot, sweep.grid_point(slot), {}, **failed) for slot in (1, 2)]
    made += [trial(sweep, slot, sweep.grid_point(slot), {10: 0.1}) for slot in (3, 4, 5)]
    first, last = outcome(sweep, made).groups
    assert first.values == {"optimizer.lr": 0.2} and last.median == np.inf
    assert outcome(sweep, made).best.slot == 3


def test_beyond_the_target_fewer_updates_count():
    found = outcome(*cells())
    assert [line[0] for line in lines_of(found)][:15] == list(CELLS)[:15]
    assert "target 0.99" in report.table(found) and len(lines_of(found)) == len(CELLS)
    assert lines_of(found)[0][1:] == ["1", "1", "1.01", "100%", "100", "5"]
    assert all(line[4] == "0%" for line in lines_of(found)[15:])


def test_a_long_table_is_cut(finished, monkeypatch):
    monkeypatch.setattr(report, "ROWS", 5)
    table = report.table(finished[2]).splitlines()
    assert len(table) == 3 + 1 + 5 + 1 and table[-1] == "... and 7 more: all runs are in trials.csv"


def test_without_a_finished_run_there_is_nothing_to_say(tmp_path, capsys):
    sweep = tried("configs/quickstart.py", {"seed": grid(range(3))})
    running = optuna.create_trial(state=TrialState.RUNNING)
    report.finish(study(sweep, [running]), sweep, tmp_path)
    assert "No run is done yet." in capsys.readouterr().out
    assert (tmp_path / "trials.csv").read_text().splitlines()[1].startswith("0,running,")
    assert not (tmp_path / "best.json").exists() and not list((tmp_path / "figures").iterdir())


def test_short_names_stay_apart():
    axes = {"task.name": grid("s3"), "optimizer.name": grid("adam"), "model.depth": grid(1), "seed": grid(0)}
    found = outcome(tried("configs/s3.py", axes), [])
    assert list(found.short.values()) == ["task", "optimizer", "depth", "seed"] and not found.varied
    axes = {"model.init.bias": grid(True, False), "task.options.bias": grid(1, 2)}
    found = outcome(dataclasses.replace(found.sweep, axes=axes), [])
    assert list(found.short.values()) == list(axes)


# Figures.


def test_a_curve_that_stopped_early_keeps_its_last_value():
    sweep = tried("configs/quickstart.py", {"seed": grid(range(4))})
    curves = [{10: 4.0, 20: 2.0}, {10: 5.0, 20: 4.0, 30: 1.0}, {10: 6.0, 20: 5.0, 30: 3.0}]
    made = [trial(sweep, slot, {"seed": slot}, curve) for slot, curve in enumerate(curves)]
    made.append(trial(sweep, 3, {"seed": 3}, {10: 9.0}, TrialState.PRUNED))
    (group,) = outcome(sweep, made).groups
    x, low, y, high = figures_all.spread(group)
    assert (list(x), list(low), list(high)) == ([10, 20, 30], [4, 2, 1], [9, 9, 9])
    assert list(y) == [5.5, 4.5, 2.5]


def test_a_curve_that_failed_is_infinitely_bad_from_there_on():
    sweep = tried("configs/quickstart.py", {"seed": grid(range(3))})
    failed = dict(state=TrialState.FAIL, **{ENDING: "not finite"})
    made = [
        trial(sweep, 0, {"seed": 0}, {10: 3.0, 20: 2.0}),
        trial(sweep, 1, {"seed": 1}, {10: 1.0}, **failed),
    ]
    (group,) = outcome(sweep, [*made, trial(sweep, 2, {"seed": 2}, {}, **failed)]).groups
    _, low, y, high = figures_all.spread(group)
    assert (list(low), list(y), list(high)) == ([1, 2], [3, np.inf], [np.inf, np.inf])


def by_optimizer(count: int) -> Outcome:
    """`count` configurations x 3 seeds: adam reaches twice the error of sgd, whatever rate; one seed of each
    is much better, so that runs tell another story than medians."""
    axes = {
        "optimizer.lr": log_uniform(1e-4, 1e-1),
        "optimizer.name": grid("adam", "sgd"),
        "seed": grid(range(3)),
    }
    sweep, made, chance = tried("configs/quickstart.py", axes), [], np.random.default_rng(0)
    for i in range(count):
        lucky = chance.uniform(0.001, 0.002)
        values = {
            "optimizer.lr": float(10 ** chance.uniform(-4, -1)),
            "optimizer.name": ("adam", "sgd")[i % 2],
        }
        for seed in range(3):
            last = lucky if seed == 0 else (0.2 if i % 2 == 0 else 0.1) + 0.001 * i
            made.append(trial(sweep, 3 * i + seed, {**values, "seed": seed}, {10: float(last)}))
    return outcome(dataclasses.replace(sweep, trials=len(made)), made)


def test_importance_is_of_configurations_and_not_of_few():
    assert figures_all.importance(by_optimizer(9)) is None  # 27 runs
    (ax,) = figures_all.importance(by_optimizer(12)).axes
    assert "n = 12" in ax.get_title(loc="left")
    shares = {
        label.get_text(): bar.get_width() for label, bar in zip(ax.get_yticklabels(), ax.patches, strict=True)
    }
    assert shares.keys() == {"lr", "optimizer"} and shares["optimizer"] > 0.6


def drawn(ax, marker: str) -> list[np.ndarray]:
    """(x, y) of what is drawn with a marker, [2, N] each, where they lie on the page in pixels."""
    lines = (line for line in ax.lines if line.get_marker() == marker and len(line.get_xdata()))
    return [line.get_transform().transform(line.get_xydata()).T for line in lines]


def test_the_star_is_the_best_configuration_by_its_median(finished):
    found = finished[2]
    assert found.winner.median != found.best.held_out
    for ax in figures_axes.slices(found).axes:
        (star,) = (line for line in ax.lines if line.get_marker() == "*")
        assert list(star.get_ydata()) == [found.winner.median]


def test_failed_runs_stand_at_the_bad_end_and_count_in_medians():
    """Two of three seeds of sgd fail: the third is no median."""
    sweep = tried("configs/quickstart.py", {"optimizer.name": grid("adam", "sgd"), "seed": grid(range(3))})
    failed = dict(state=TrialState.FAIL, **{ENDING: "not finite"})
    sweep = dataclasses.replace(sweep, axes={**sweep.axes, "model.depth": grid(1, 2)})
    values = [
        {"optimizer.name": name, "seed": s, "model.depth": 1} for name in ("adam", "sgd") for s in range(3)
    ]
    made = [trial(sweep, i, values[i], {10: 0.1 + 0.01 * i}) for i in range(4)]
    made += [trial(sweep, i, values[i], {}, **failed) for i in (4, 5)]
    found = outcome(sweep, made)
    adam, sgd = found.groups
    assert sgd.values["optimizer.name"] == "sgd" and (sgd.test, sgd.updates) == (np.inf, np.inf)
    assert lines_of(found)[-1][2:5] == ["-", "-", "-"]  # median, worst, test
    (history,), compare = figures_all.history(found).axes, figures_compare.compare(found).axes
    slices = figures_axes.slices(found).axes[0]
    for ax, along in ((history, 1), *((ax, 0) for ax in compare), (slices, 1)):
        ax.figure.draw_without_rendering()
        crosses, dots = drawn(ax, "x"), drawn(ax, "o")
        assert sum(cross.shape[1] for cross in crosses) == 2
        assert min(cross[along].min() for cross in crosses) > max(dot[along].max() for dot in dots)
    for ax in compare:  # the median of sgd
        assert max(bar[0].max() for bar in drawn(ax, "|")) > max(dot[0].max() for dot in drawn(ax, "o"))


def test_words_are_compared_over_all_that_they_were_tried_with(finished):
    rows = figures_compare.categories(finished[2], "optimizer.name")
    medians = {row.values["optimizer.name"]: row.median for row in rows}
    assert list(medians.values()) == sorted(medians.values()) and len(medians) == 3
    assert sum(len(row.runs) for row in rows) == 36 and all(isinstance(row, Group) for row in rows)


def overlaps(figure) -> list[tuple[str, str]]:
    """The words on the axes of a figure that lie over each other."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = []
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            ticks = [tick.label1 for tick in axis.get_major_ticks() if tick.label1.get_visible()]
            boxes = [
                (label.get_text(), label.get_window_extent(canvas.renderer))
                for label in ticks
                if label.get_text()
            ]
            boxes = boxes if ax.get_visible() else []
            pairs = itertools.combinations(boxes, 2)
            found += [(one, other) for (one, a), (other, b) in pairs if a.overlaps(b)]
    return found


def test_the_names_of_all_cells_can_be_read():
    found = outcome(*cells())
    figure = figures_compare.compare(found)
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()][:15] == list(CELLS)[:15]
    assert right.get_xlabel() == "updates" and not overlaps(figure)
    assert figures_axes.parallel(found) is None and figures_axes.slices(found) is None


def test_many_words_beside_numbers_can_be_read():
    sweep, trials = cells()
    sweep = dataclasses.replace(sweep, axes={**sweep.axes, "model.depth": grid(1, 2)})
    for one in trials:
        one.distributions = {**one.distributions, "model.depth": CategoricalDistribution((1, 2))}
        one.params = {**one.params, "model.depth": 1 + one.params["seed"] % 2}
    assert not overlaps(figures_axes.slices(outcome(sweep, trials)))
    assert not overlaps(figures_axes.parallel(outcome(sweep, trials)))


@pytest.mark.parametrize(
    "axis, wanted",
    [
        (log_uniform(3e-4, 0.1), [1e-3, 1e-2, 1e-1]),
        (log_uniform(1e-3, 1e-2), [1e-3, 2e-3, 5e-3, 1e-2]),
        (log_uniform(3.1, 4.9), [3.1, 4.9]),
        (uniform(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (int_uniform(1, 5), [1, 2, 3, 4, 5]),
    ],
)
def test_round_numbers_stand_at_an_axis(axis, wanted):
    assert figures_axes.ticks(axis) == pytest.approx(wanted)


# While it runs.


def test_time_left_is_told_from_what_came_since_the_first_look():
    sweep = tried("configs/quickstart.py", {"seed": grid(range(4))})  # 1,500 updates each
    pace, run = progress.Pace(sweep), lambda done: trial(sweep, 0, {"seed": 0}, done, TrialState.RUNNING)
    complete = trial(sweep, 1, {"seed": 1}, {100: 0.1})
    assert pace.left([complete], 100.0) == ""
    assert pace.left([complete, run({})], 110.0) == ""
    assert pace.left([complete, run({750: 0.1})], 120.0) == ", about 1 min 40 s left"
    assert pace.left([complete] * 4, 130.0) == ""
    out = io.StringIO()
    with progress.screen(sweep, out) as screen:
        screen.show([complete, run({750: 0.1})])
        screen.show([complete] * 3 + [run({750: 0.1})])  # too soon
        screen.show([complete] * 4)
    first, last = out.getvalue().splitlines()
    assert first == "1/4 runs done: 1 running, best held-out mse 0.1 (seed=1)"
    assert last == "4/4 runs done: 0 running, best held-out mse 0.1 (seed=1)"


class Terminal(io.StringIO):
    """A terminal of 100 columns."""

    def isatty(self):
        return True


def test_at_100_columns_the_bar_keeps_count_and_time_left_whatever_there_is_to_say(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    sweep, out = tried("configs/quickstart.py", {"seed": grid(range(4)), "x" * 150: grid([1])}), Terminal()
    values = {"seed": 0, "x" * 150: 1}
    run = lambda done: trial(sweep, 0, values, done, TrialState.RUNNING)
    complete = trial(sweep, 1, values, {100: 0.1})
    with progress.screen(sweep, out) as screen:
        for minute, curve in enumerate(({}, {750: 0.1})):
            clock = types.SimpleNamespace(monotonic=lambda now=60.0 * minute: now)
            monkeypatch.setattr(progress, "time", clock)
            screen.show([complete, run(curve)])
    bar, words = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", out.getvalue()).split("\n")[-3:-1]
    assert re.search(r"━{5,}.* 1/4 runs done, about 5 min 00 s left", bar)
    assert "1 running, best held-out mse 0.1" in words and words.rstrip().endswith("…")


def test_a_baseline_that_is_as_good_as_0_is_said_to_be(capsys):
    assert [about(x) for x in (1.579e-50, 0.0, 0.25, -1e-20)] == ["about 0", "0", "0.25", "about 0"]
    found = outcome(*cells())
    assert "trivial baseline about 0; target 0.99" in report.table(found)


# The look of figures.


def test_figures_are_made_in_one_place_and_name_their_axes(finished, monkeypatch):
    for path in [*(ROOT / "experiments").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]:
        text = path.read_text("utf-8")
        if path.name != "plots.py":
            assert not re.search(r"rc_context|rcParams|[^:\w]Figure\(|pyplot|\.savefig\(", text), path
    made = [
        make(found) for found in (finished[2], outcome(*cells())) for make in figures_all.FIGURES.values()
    ]
    lines = [{"kind": "train", "update": 1, "loss": 0.5}, {"kind": "eval", "update": 1, "mse": 0.5}]
    names = ("learner", "task", "length", "metric", "higher_is_better", "value", "baseline", "target")
    result = dict(zip(names, (OURS, "adding", 5, "mse", False, 0.1, 0.2, 0.3), strict=True))
    panels = [ax for figure in made if figure for ax in figure.axes if ax.get_visible()]
    panels += loss.draw(result, lines).axes
    named = [ax for ax in panels if ax.spines["left"].get_visible()]  # parallel coordinates have rails
    assert len(named) > 8 and all(ax.get_xlabel() for ax in named)
    assert all(ax.get_ylabel() or not ax.get_subplotspec().is_first_col() for ax in named)
    assert not any(ax.spines["top"].get_visible() for ax in panels)


# The comparison of all cells.


COARSE = ("lstm", "mlstm", "mugrnn", "ugrnn")  # one unit more is hundreds of parameters more


@pytest.mark.parametrize(
    "names", [COARSE, pytest.param(tuple(CELLS), marks=pytest.mark.slow)], ids=["coarse", "all"]
)
def test_all_cells_have_equally_many_parameters(names):
    assert compare_cells.get_sweep()["model.cell"].values == tuple(CELLS)
    for name in names:
        config = merge(compare_cells.get_config())
        config.model.cell = name
        model = learner_of(config, allow_code=False).model
        assert count_params(model) == pytest.approx(8000, rel=0.02), name
