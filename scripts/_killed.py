"""Runs the tiny training that scripts/stress.py kills, and shows where the process is and what it leaves."""

import contextlib
import dataclasses
import functools
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# On two devices, in pieces of sequences whose state is carried; a checkpoint at every other line.
RUN = {
    **{"train.length": 6, "train.batch": 2, "model.hidden_size": 3, "train.tbptt": 2, "devices": 2},
    **{"train.updates": 100, "train.log_every": 5, "train.eval_every": 10, "train.eval_batch": 4},
    **{"train.checkpoint_every": 10, "optimizer.lr": 0.1},
}
#: where a process may be when it is killed
MOMENTS = ("starting", "restoring", "compiling", "updating", "logging", "evaluating", "saving", "finishing")
SAME = ("metrics", "value", "held_out", "updates", "tested_update", "reached_target")  # of result.json

#: two devices also where there is one core
TWO = {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"}

children = multiprocessing.get_context("forkserver")  # its children need not import JAX again


@dataclasses.dataclass
class Moment:
    """Holds what a process does, as its place in MOMENTS."""

    value: int = 0


def command(workdir: Path, cache: Path) -> list[str]:
    """Makes the arguments of a run."""
    fields = {**RUN, "cache_dir": cache}
    overrides = [f"--config.{name}={value}" for name, value in fields.items()]
    return ["--config=configs/default.py", f"--workdir={workdir}", *overrides]


def program(arguments: list[str], moment) -> None:
    """Runs experiments/train.py; `moment` shows at any time what it is doing."""
    from experiments import train
    from experiments.run import loop, session
    from experiments.saved import metrics_log
    from experiments.saved.checkpoints import Checkpoints

    places = {
        "restoring": (Checkpoints, "restore"),
        "compiling": (loop.Loop, "_compile"),
        "updating": (loop.Loop, "_advance"),
        "logging": (metrics_log.Log, "add"),
        "evaluating": (loop.Loop, "_evaluate"),
        "saving": (session.Session, "save"),
        "finishing": (session.Session, "finish"),
    }
    for name, (owner, attribute) in places.items():
        setattr(owner, attribute, shown(getattr(owner, attribute), moment, MOMENTS.index(name)))
    os.chdir(ROOT)
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ.update(TWO)
    sys.stdout = open(os.devnull, "w")
    sys.exit(train.main(["train.py", *arguments]))


def shown(function: Callable, moment, number: int) -> Callable:
    """Wraps a function, so that it sets `moment` to `number` as long as it runs."""

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        before, moment.value = moment.value, number
        try:
            return function(*args, **kwargs)
        finally:
            moment.value = before

    return wrapped


@contextlib.contextmanager
def child(arguments: list[str]) -> Iterator[tuple[multiprocessing.Process, object]]:
    """Yields a process of the program, started, and its moment; kills the process at the end."""
    moment = children.Value("i", 0, lock=False)
    process = children.Process(target=program, args=(arguments, moment))
    process.start()
    try:
        yield process, moment
    finally:
        process.kill()
        process.join()


def outcome(workdir: Path) -> dict[str, object]:
    """Returns what must be equal between runs.

    It is the checksums of all arrays of each checkpoint, which are verified, the lines of the log without
    their seconds, and the result.
    """
    sums = {}
    for about in sorted(workdir.glob("checkpoints/*/about/metadata")):
        sums[about.parts[-3]] = json.loads(about.read_text())["sha256"]
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("seconds")
    result = json.loads((workdir / "result.json").read_text())
    return {"checkpoints": sums, "metrics.jsonl": lines, "result.json": {name: result[name] for name in SAME}}


def verify(workdir: Path) -> int:
    """Reads every checkpoint in a process of its own, which compares arrays and sums -> its exit status."""
    process = children.Process(target=read, args=(workdir,))
    process.start()
    process.join()
    return process.exitcode


def read(workdir: Path) -> None:
    """Fails where a checkpoint is damaged."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    from experiments.building.assembly import build
    from experiments.saved.checkpoints import Checkpoints
    from experiments.saved.workdir import Workdir

    place = Workdir(workdir)
    like = jax.eval_shape(build(place.read_config()).start)
    checkpoints = Checkpoints(place.checkpoints, read_only=True)
    for step in checkpoints.steps():
        checkpoints.read(step, like)
