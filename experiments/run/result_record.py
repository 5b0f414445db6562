"""Writes result.json: what a run came to, and by what it can be repeated."""

import importlib.metadata
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import jax

from experiments.building.experiment import Experiment
from experiments.figures.loss import curve
from experiments.program.files import to_json, write
from experiments.saved.checkpoints import Counters
from experiments.saved.leaves import sums
from experiments.saved.workdir import Workdir

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "ml_collections")


def collect(
    experiment: Experiment, counters: Counters, metrics: dict[str, float], tested: int, command: str
) -> dict[str, Any]:
    """Collects all that a table of results needs. metrics: on the test sequences; tested: after which
    update."""
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
        "finite": learner.size("test") is not None,
        "arrays_sha256": sums(experiment.arrays),
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
    """Names the versions of Python, of the packages that decide the numbers, and of this repository."""
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
