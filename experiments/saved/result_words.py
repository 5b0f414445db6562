"""Says a result in words: a line, the last words on the screen, and what they are made of."""

import os
import shlex
from pathlib import Path
from typing import Any

from experiments.building.learners import OURS
from experiments.program.durations import duration
from experiments.program.numbers import about
from experiments.saved.workdir import Workdir


def line(result: dict[str, Any]) -> str:
    """Writes the result beside the trivial baseline."""
    early = _early(result)
    test = f"test {result['metric']} {result['value']:.4g} ({trivial(result)}{better(result)})"
    return f"{test} after {result['updates']} updates{early}"


def summary(result: dict[str, Any], place: Workdir, code: bool, profiled: bool = False) -> str:
    """Writes the result beside the trivial baseline, where the files are, and what to type next.

    code: whether the run's config names Python files. profiled: whether there is a trace of it.
    """
    lengths = ",".join(str(result["length"] * factor) for factor in (1, 2, 4, 8))
    following = ["experiments/evaluate.py", f"--workdir={place.path}", f"--lengths={lengths}"]
    if code:
        following.append("--allow_code")
    fresh = result["learner"] == OURS and not result.get("finite")  # sequences, of any length
    early, rows = _early(result), "fresh sequences" if fresh else "rows"
    files = [
        ("result.json", "every number of this result"),
        ("loss_curve.png", "the loss and the held-out metric over updates"),
        ("metrics.jsonl", "the same as lines of JSON; tensorboard/ has them as events"),
        ("checkpoints/", "the best state and the last ones: experiments.load reads them"),
        *([("profile/", f"JAX's trace of some updates: {_opening(place.profile)}")] if profiled else []),
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
            *(["Next:", f"  {shlex.join(['scripts/run', *following])}"] if fresh else []),
        ]
    )


def _opening(profile: Path) -> str:
    """Returns the command that installs and starts what shows a trace, in a browser."""
    return f".venv/bin/python -m pip install xprof && .venv/bin/xprof --logdir={shlex.quote(str(profile))}"


def of(result: dict[str, Any]) -> str:
    """Says in words what was trained."""
    ours = result["learner"] == OURS
    return f"{result['task']}, T={result['length']}" if ours else os.path.basename(result["learner"])


def trivial(result: dict[str, Any]) -> str:
    """Says what a guess without the inputs gets, where that is known."""
    return "" if result["baseline"] is None else f"trivial baseline {about(result['baseline'])}; "


def _early(result: dict[str, Any]) -> str:
    """Says why fewer updates were made than the config has."""
    if result["reached_target"]:
        return ", stopped early at the target"
    return ", stopped early for want of gain" if result["out_of_patience"] else ""


def better(result: dict[str, Any]) -> str:
    """Says in words which way the metric is better."""
    return "higher is better" if result["higher_is_better"] else "lower is better"
