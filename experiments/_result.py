"""What a run leaves: result.json, the loss curve, and the last words on the screen."""

import importlib.metadata
import os
import platform
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

import jax
from matplotlib.figure import Figure

from experiments._build import Experiment
from experiments._checkpoint import Counters
from experiments._disk import replacing
from experiments._learner import OURS
from experiments._report import duration
from experiments._workdir import Workdir, read_lines, to_json, write

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "ml_collections")


def collect(
    experiment: Experiment, counters: Counters, metrics: dict[str, float], tested: int, command: str
) -> dict[str, Any]:
    """All that a table of results needs. metrics: on the test sequences; tested: after which update."""
    config, learner = experiment.config, experiment.learner
    baselines = learner.baseline()
    device = jax.devices()[0]
    return {
        "learner": config.learner.name,
        "task": config.task.name,
        "length": config.train.length,
        "metric": learner.metric,
        "higher_is_better": learner.higher_is_better,
        "value": metrics[learner.metric],
        "baseline": baselines.get(learner.metric),
        "metrics": metrics,
        "baselines": baselines,
        "test_sequences": learner.size("test") or config.train.eval_batch,
        "held_out": counters.best,
        "target": config.train.target or None,
        "reached_target": counters.reached,
        "out_of_patience": 0 < config.train.patience <= counters.stale,
        "updates": counters.step,
        "tested_update": tested,
        "seconds": round(counters.seconds, 3),
        "parameters": experiment.parameters,
        "hidden_size": learner.width,
        "seed": config.seed,
        "command": command,
        "device": {"platform": device.platform, "kind": device.device_kind, "count": experiment.spec.devices},
        "versions": versions(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "config": config.to_dict(),
    }


def versions() -> dict[str, str]:
    """Of Python, of the packages that decide the numbers, and of this repository."""
    here = Path(__file__).parent
    git = ["git", "-C", here, "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"r3nn": commit, "python": platform.python_version(), **found}


def save(result: dict[str, Any], place: Workdir) -> None:
    """Draws the curve, then writes result.json: where that stands, all stands. Raises: NotSaved."""
    curve(result, place)
    write(place.result, to_json(result))


def line(result: dict[str, Any]) -> str:
    """The result beside the trivial baseline."""
    early = _early(result)
    test = f"test {result['metric']} {result['value']:.4g} ({trivial(result)}{better(result)})"
    return f"{test} after {result['updates']} updates{early}"


def summary(result: dict[str, Any], place: Workdir, code: bool) -> str:
    """The result beside the trivial baseline, where the files are, and what to type next.

    code: whether the run's config names Python files.
    """
    lengths = ",".join(str(result["length"] * factor) for factor in (1, 2, 4, 8))
    following = ["experiments/evaluate.py", f"--workdir={place.path}", f"--lengths={lengths}"]
    if code:
        following.append("--allow_code")
    early, rows = _early(result), "fresh sequences" if result["learner"] == OURS else "rows"
    files = [
        ("result.json", "every number of this result"),
        ("loss_curve.png", "the loss and the held-out metric over updates"),
        ("metrics.jsonl", "the same as lines of JSON; tensorboard/ has them as events"),
        ("checkpoints/", "the best state and the last ones: experiments.load reads them"),
    ]
    return "\n".join(
        [
            "",
            f"{of(result)}: test {result['metric']} {result['value']:.4g}  "
            f"({trivial(result)}{better(result)})",
            f"{result['updates']} updates in {duration(result['seconds'])}{early}; "
            f"{result['parameters']:,} parameters; tested on {result['test_sequences']} {rows}",
            "",
            f"In {place.path}:",
            *(f"  {name:15} {what}" for name, what in files),
            *(["Next:", f"  {shlex.join(['scripts/run', *following])}"] if result["learner"] == OURS else []),
        ]
    )


def of(result: dict[str, Any]) -> str:
    """What was trained, in words."""
    ours = result["learner"] == OURS
    return f"{result['task']}, T={result['length']}" if ours else os.path.basename(result["learner"])


def trivial(result: dict[str, Any]) -> str:
    """What a guess without the inputs gets, where that is known."""
    return "" if result["baseline"] is None else f"trivial baseline {result['baseline']:.4g}; "


def _early(result: dict[str, Any]) -> str:
    """Why fewer updates were made than the config has."""
    if result["reached_target"]:
        return ", stopped early at the target"
    return ", stopped early for want of gain" if result["out_of_patience"] else ""


def better(result: dict[str, Any]) -> str:
    """Says in words which way the metric is better."""
    return "higher is better" if result["higher_is_better"] else "lower is better"


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
