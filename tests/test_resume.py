"""Runs that die, and go on with the same bits."""

import contextlib
import gc
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import train
from experiments._checkpoint import Checkpoints, Counters
from experiments.errors import BadInput
from r3nn.training import TrainState

ROOT = Path(__file__).resolve().parent.parent

# Eight calls of the device, four evaluations, a checkpoint at every other call. The batch is on two devices,
# its sequences are trained in three pieces: the state between them stands in the checkpoints.
TINY = [
    "--config=configs/default.py",
    *("--config.train.length=6", "--config.train.batch=2", "--config.model.hidden_size=3"),
    *("--config.train.updates=40", "--config.train.log_every=5", "--config.train.eval_every=10"),
    *("--config.train.eval_batch=4", "--config.train.checkpoint_every=10", "--config.optimizer.lr=0.1"),
    *("--config.train.tbptt=2", "--config.devices=2"),
]


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """workdir -> argv of the tiny run; all share one cache of compiled programs."""
    cache = tmp_path_factory.mktemp("cache")
    return lambda workdir: ["train.py", *TINY, f"--config.cache_dir={cache}", f"--workdir={workdir}"]


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory):
    """The outcome of the run that nothing interrupts."""
    workdir = tmp_path_factory.mktemp("whole")
    assert in_child(run, command(workdir)) == 0
    return outcome(workdir)


def outcome(workdir: Path):
    """Sums of all arrays of each checkpoint, the log without its clock, the result."""
    sums = {}
    for about in workdir.glob("checkpoints/*/about/metadata"):
        sums[about.parts[-3]] = json.loads(about.read_text())["sha256"]
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("seconds")
    return sums, lines, json.loads((workdir / "result.json").read_text())["metrics"]


# Two devices also where there is one core.
TWO = {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"}

# A child of this server is a process of its own, but need not import JAX again.
children = multiprocessing.get_context("forkserver")
children.set_forkserver_preload(["experiments._run"])


def in_child(function, *arguments) -> int:
    """function(*arguments) in a new process -> its exit status; -9 if it was killed."""
    child = children.Process(target=function, args=arguments)
    child.start()
    child.join(120)
    return child.exitcode


def run(argv):
    """The program as it is."""
    os.chdir(ROOT)
    os.environ.update(TWO)
    sys.exit(train.main(argv))


def run_and_die(argv, moment: str, count: int):
    """The program, killed at the count-th time that it comes to a moment."""
    times = {"left": count}

    def dying(function, after=0.0):
        def wrapped(*args, **kwargs):
            times["left"] -= 1
            if times["left"] == 0:
                kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
                threading.Timer(after, kill).start() if after else kill()
            return function(*args, **kwargs)

        return wrapped

    from experiments import _result, _workdir

    if moment == "log":
        _workdir.Log.add = dying(_workdir.Log.add)
    elif moment == "sync":
        _workdir.Log.sync = dying(_workdir.Log.sync)
    elif moment == "save":
        Checkpoints.save = dying(Checkpoints.save, after=0.02)
    elif moment == "result":
        _result.write = dying(_result.write)
    run(argv)


@pytest.mark.parametrize(
    "moments",
    [
        # Before the first checkpoint; within a save; between the lines and a save.
        [("log", 2), ("save", 1), ("sync", 2)],
        # Within a save that has one before it; some lines later; after the last update.
        [("save", 2), ("log", 3), ("result", 1)],
    ],
    ids=lambda moments: "-".join(moment for moment, _ in moments),
)
def test_killed_run_ends_with_the_same_bits(moments, command, whole, tmp_path):
    argv = command(tmp_path / "run")
    for moment, count in moments:
        assert in_child(run_and_die, argv, moment, count) == -signal.SIGKILL
    assert in_child(run, argv) == 0
    assert outcome(tmp_path / "run") == whole


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_random_moments(seed, command, whole, tmp_path):
    argv, random = command(tmp_path), np.random.default_rng(seed)
    child = None
    while child is None or child.exitcode != 0:
        child = children.Process(target=run, args=(argv,))
        child.start()
        child.join(random.uniform(0.5, 4.0))
        child.kill()
        child.join()
    assert outcome(tmp_path) == whole


def test_signals_and_the_lock(command, whole, tmp_path, capsys, monkeypatch):
    """A real program: it keeps others out of its folder, and SIGTERM makes it save and end."""
    argv = command(tmp_path / "run")
    program = subprocess.Popen(
        [sys.executable, "experiments/train.py", *argv[1:]],
        cwd=ROOT,
        env={**os.environ, **TWO, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(tmp_path / "run" / "config.json")
    os.kill(program.pid, signal.SIGSTOP)  # so that it is still at work when the second one looks
    monkeypatch.chdir(ROOT)
    assert train.main([*argv, "--config.cache_dir="]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "another process" in error
    os.kill(program.pid, signal.SIGCONT)
    wait_for(tmp_path / "run" / "metrics.jsonl")
    program.send_signal(signal.SIGTERM)
    _, error = program.communicate(timeout=120)
    assert program.returncode == 128 + signal.SIGTERM and "SIGTERM" in error, error
    assert in_child(run, argv) == 0
    assert outcome(tmp_path / "run")[1:] == whole[1:]


def wait_for(path: Path):
    for _ in range(1200):
        if path.exists():
            return
        time.sleep(0.05)
    raise TimeoutError(path)


# Damage. A state of a few leaves stands in for a model.


@pytest.fixture
def saved(tmp_path):
    """(folder with checkpoints 10, 20 and 30, the state after an update)."""
    folder = tmp_path / "checkpoints"
    with contextlib.closing(Checkpoints(folder)) as checkpoints:
        for step in (10, 20, 30):
            checkpoints.save(state_at(step), counters_at(step), {"seed": 1})
        assert checkpoints.steps() == [10, 20, 30]
    return folder


def state_at(step: int) -> TrainState:
    params = {"w": jnp.arange(12.0).reshape(3, 4) + step, "none": None, "b": jnp.bfloat16(step)}
    return TrainState(params, (jnp.zeros(3),), jnp.int32(step), None, jnp.bool_(True))


def counters_at(step: int) -> Counters:
    return Counters(step, seconds=step / 3, best=0.1 + 0.2, best_step=10, log_bytes=step)


def restore(folder, log_size=1000):
    said = []
    like = jax.eval_shape(lambda: state_at(0))
    with contextlib.closing(Checkpoints(folder, said.append)) as checkpoints:
        found = checkpoints.restore(like, log_size)
        return found, said, checkpoints.steps()


def same(state, other):
    return jax.tree.structure(state) == jax.tree.structure(other) and all(
        a.dtype == b.dtype and np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True)
    )


def test_checkpoints_keep_the_last_two_and_the_best(saved):
    (state, counters), said, steps = restore(saved)
    assert same(state, state_at(30)) and counters == counters_at(30) and not said
    with contextlib.closing(Checkpoints(saved)) as checkpoints:
        checkpoints.save(state_at(40), counters_at(40), {})
        assert checkpoints.steps() == [10, 30, 40]


def test_no_byte_of_a_checkpoint_can_change_unseen(saved, tmp_path):
    """Wherever a byte of the newest checkpoint flips, the numbers are the same, or those before."""
    files = [path for path in (saved / "30").rglob("*") if path.is_file() and path.stat().st_size]
    noticed = 0
    for path in files:
        copy = tmp_path / "copy"
        shutil.copytree(saved, copy)
        flip(copy / path.relative_to(saved))
        (state, counters), said, steps = restore(copy)
        good = 20 if said else 30
        assert same(state, state_at(good)) and counters == counters_at(good), path
        assert steps == [step for step in (10, 20, 30) if step <= good]
        assert not said or "30 is damaged" in said[0]
        noticed += bool(said)
        shutil.rmtree(copy)
    assert noticed >= 3
    gc.collect()


def flip(path: Path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_lines_that_are_gone_and_checkpoints_that_are_all_bad(saved):
    (state, _), said, steps = restore(saved, log_size=25)
    assert same(state, state_at(20)) and "metrics.jsonl" in said[0] and steps == [10, 20]
    with pytest.raises(BadInput, match="no checkpoint"):
        restore(saved, log_size=5)


def test_another_format_is_refused(saved, monkeypatch):
    monkeypatch.setattr("experiments._checkpoint.FORMAT", 2)
    with pytest.raises(BadInput, match="format 1"):
        restore(saved)
