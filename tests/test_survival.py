"""Runs that die, in each way that there is, and go on with the same bits."""

import contextlib
import datetime
import gc
import itertools
import os
import random
import resource
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
from experiments._report import Events
from experiments._workdir import Log, write
from experiments.errors import BadInput, NotSaved
from r3nn.training import TrainState
from scripts import _killed, stress

ROOT = Path(__file__).resolve().parent.parent
YEARS = 10 * 365.25 * 24 * 3600


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One cache of compiled programs for all runs, which are short: every save takes its time."""
    _killed.children.set_forkserver_preload(["experiments.train", "experiments._run"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_killed.RUN, "train.updates", 40)
        yield tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def whole(cache, tmp_path_factory):
    """The outcome of the run that nothing interrupts, and how long its parts take."""
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    times = stress.uninterrupted(workdir, cache)
    return _killed.outcome(workdir), times


def in_child(function, *arguments) -> int:
    """function(*arguments) in a new process -> its exit status; -9 if it was killed."""
    child = _killed.children.Process(target=function, args=arguments)
    child.start()
    child.join(120)
    return child.exitcode


def run(arguments):
    """The program."""
    _killed.program(arguments, _killed.Moment())


def run_and_die(arguments, moment: str, count: int):
    """The program, killed at the count-th time that it comes to a moment; its clock is mad."""
    times = {"left": count}

    def dying(function, after=0.0, behind=False):
        def wrapped(*args, **kwargs):
            times["left"] -= 1
            kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
            if times["left"] == 0 and behind:
                function(*args, **kwargs)
            if times["left"] == 0:
                threading.Timer(after, kill).start() if after else kill()
            return function(*args, **kwargs)

        return wrapped

    from experiments import _result, _workdir

    now, dice = time.time, random.Random(count)
    time.time = lambda: now() + dice.uniform(-YEARS, YEARS)
    match moment:
        case "begin":
            _workdir.write = dying(_workdir.write)
        case "log":
            _workdir.Log.add = dying(_workdir.Log.add)
        case "sync":
            _workdir.Log.sync = dying(_workdir.Log.sync)
        case "save":
            Checkpoints.save = dying(Checkpoints.save, after=0.02)
        case "saved":
            Checkpoints.save = dying(Checkpoints.save, behind=True)
        case "delete":
            shutil.rmtree = dying(shutil.rmtree)
        case "result":
            _result.write = dying(_result.write)
    run(arguments)


@pytest.mark.parametrize(
    "moments",
    [
        # Before the first checkpoint: no config yet, a line, within the save; between the lines and a save.
        [("begin", 1), ("log", 2), ("save", 1), ("sync", 2)],
        # Between a save and the next line; a later save, a line, a deletion; after the last update.
        [("saved", 1), ("save", 2), ("log", 3), ("delete", 1), ("result", 1)],
    ],
    ids=lambda moments: "-".join(moment for moment, _ in moments),
)
def test_killed_run_ends_with_the_same_bits(moments, cache, whole, tmp_path):
    """Also where the clock jumps, and the folder and the cache have another path whenever it goes on."""
    places = (tmp_path / f"place{number}" for number in itertools.count())
    place, other = next(places), tmp_path / "cache"
    other.symlink_to(cache)
    for moment, count in moments:
        assert in_child(run_and_die, _killed.command(place, cache), moment, count) == -signal.SIGKILL
        moved = next(places)
        place = place.rename(moved) if place.exists() else moved
    assert in_child(run, _killed.command(place, other)) == 0
    assert _killed.outcome(place) == whole[0]


def test_killed_at_random_moments(cache, whole, tmp_path):
    tally = stress.Tally()
    stress.one(tmp_path / "run", cache, whole[1], random.Random(), tally, most=3)
    assert _killed.outcome(tmp_path / "run") == whole[0] and _killed.verify(tmp_path / "run") == 0
    assert tally.cycles <= 4 and str(tally).startswith(f"{tally.cycles} cycles: {tally.cycles - 1} kills")


def test_signals_and_the_lock(cache, whole, tmp_path, capsys, monkeypatch):
    """A real program: it keeps others out of its folder, and SIGTERM makes it save and end, within a call."""
    place = tmp_path / "run"
    arguments = [*_killed.command(place, cache), "--config.train.updates=100000"]
    program = subprocess.Popen(
        [sys.executable, "experiments/train.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **_killed.TWO, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: (place / "metrics.jsonl").exists() and (place / "metrics.jsonl").stat().st_size > 999)
    os.kill(program.pid, signal.SIGSTOP)  # so that it is still at work when the second one looks
    monkeypatch.chdir(ROOT)
    assert train.main(["train.py", *arguments, "--config.cache_dir="]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "another process" in error
    lines = len((place / "metrics.jsonl").read_text().splitlines())
    program.send_signal(signal.SIGTERM)
    os.kill(program.pid, signal.SIGCONT)
    _, error = program.communicate(timeout=120)
    assert program.returncode == 128 + signal.SIGTERM and error.startswith("SIGTERM: stopped and saved after")
    update = int(error.split("update ")[1].split(";")[0])
    assert (place / "checkpoints" / str(update)).is_dir()
    # What was under way is done: a call of the device, of 5 updates, and an evaluation behind it.
    assert len((place / "metrics.jsonl").read_text().splitlines()) <= lines + 2


def wait_for(condition):
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise TimeoutError


# A full disk.


@contextlib.contextmanager
def small_disk(folder: Path):
    """A file system in memory, whose size `fill` decides."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip("no file system can be mounted here: only root may")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def full(folder: Path):
    """Within it the file system of a folder is full but for a few bytes."""
    there = os.statvfs(folder)
    (folder / "filling").write_bytes(bytes(there.f_bavail * there.f_bsize - 2**13))
    yield
    (folder / "filling").unlink()


@contextlib.contextmanager
def quota(_folder: Path):
    """Within it no file grows beyond a few bytes."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


@pytest.mark.parametrize("lack", [full, quota])
def test_what_a_full_disk_leaves(lack, tmp_path, caplog):
    """A sentence, an `Ending` of its own, and all that there was before."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(small_disk(tmp_path / "disk")) if lack is full else tmp_path
        checkpoints = stack.enter_context(contextlib.closing(Checkpoints(folder / "checkpoints")))
        log = stack.enter_context(contextlib.closing(Log(folder / "metrics.jsonl", 0)))
        events = stack.enter_context(contextlib.closing(Events(folder / "tensorboard", 0)))
        write(folder / "config.json", "small")
        for step in (10, 20):
            checkpoints.save(state_at(step), counters_at(step), {})
        with lack(folder):
            for writing in (
                lambda: checkpoints.save(state_at(30), counters_at(30), {}),
                lambda: write(folder / "config.json", "large" * 3000),
                lambda: [log.add({"line": "x" * 70}) for _ in range(200)],
                lambda: (events.add("train", 1, {str(i): 0.5 for i in range(500)}), events.sync()),
            ):
                with pytest.raises(NotSaved, match="(No space left on device|File too large).*goes on"):
                    writing()
        assert NotSaved.status == 4 and not caplog.records
        assert (folder / "config.json").read_text() == "small"
        assert os.listdir(folder / "checkpoints") == ["10", "20"] or checkpoints.steps() == [10, 20]
        assert not list((folder / "checkpoints").glob("*.*"))
        checkpoints.save(state_at(30), counters_at(30), {})
        (state, _), said, steps = restore(folder / "checkpoints")
        assert same(state, state_at(30)) and not said and steps == [10, 20, 30]


def run_until_full(arguments, folder, stderr):
    """The program, whose disk is full from its second save on."""
    sys.stderr = open(stderr, "w")
    save = Checkpoints.save

    def saving(self, state, counters, config):
        if counters.step == 20:
            full(folder).__enter__()
        save(self, state, counters, config)

    Checkpoints.save = saving
    run(arguments)


def test_a_run_goes_on_once_there_is_room(cache, whole, tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        arguments = _killed.command(disk / "run", cache)
        assert in_child(run_until_full, arguments, disk, tmp_path / "stderr") == 4
        error = (tmp_path / "stderr").read_text()
        assert error.count("\n") == 1 and f"{disk}/run/checkpoints/20 cannot be written" in error, error
        (disk / "filling").unlink()
        assert in_child(run, arguments) == 0
        assert _killed.outcome(disk / "run") == whole[0]


# Damage. A state of a few leaves stands in for a model.


@pytest.fixture
def saved(tmp_path):
    """A folder with checkpoints 10, 20 and 30."""
    return save_three(tmp_path / "checkpoints")


def save_three(folder: Path) -> Path:
    with contextlib.closing(Checkpoints(folder)) as checkpoints:
        for step in (10, 20, 30):
            checkpoints.save(state_at(step), counters_at(step), {"seed": 1})
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


def test_what_a_killed_save_had_to_delete_is_deleted(saved):
    shutil.copytree(saved / "20", saved / "15")
    (saved / "15" / "commit_success.txt").unlink(missing_ok=True)
    shutil.copytree(saved / "30", saved / "40.orbax-checkpoint-tmp")
    assert restore(saved)[2] == [10, 20, 30] and sorted(os.listdir(saved)) == ["10", "20", "30"]


def test_the_newest_is_that_of_the_last_update_whatever_the_clock_says(tmp_path, monkeypatch):
    """Each save falls years before the last one, and the files' times say nothing."""
    times = itertools.count(0, -YEARS)

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(YEARS * 9 + next(times) / 1e3, tz)

    monkeypatch.setattr(datetime, "datetime", Clock)
    monkeypatch.setattr(time, "time", lambda: YEARS * 9 + next(times) / 1e3)
    folder = save_three(tmp_path / "checkpoints")
    for path in folder.rglob("*"):
        os.utime(path, (random.random() * YEARS,) * 2)
    (state, counters), said, _ = restore(folder)
    assert same(state, state_at(30)) and counters == counters_at(30) and not said
    with contextlib.closing(Checkpoints(folder)) as checkpoints:
        checkpoints.save(state_at(40), counters_at(40), {})
        assert checkpoints.steps() == [10, 30, 40]
    for step in (0, 30):
        with contextlib.closing(Events(tmp_path / "events", step)) as events:
            for update in range(40):  # more than a queue would take
                events.add("train", update, {"loss": 0.5})
    names = sorted(path.name for path in (tmp_path / "events").iterdir())
    assert [name[-3:] for name in names] == ["000", "001"]


@pytest.mark.parametrize("harm", ["flip", "truncate"])
def test_no_byte_of_a_checkpoint_can_change_unseen(harm, saved, tmp_path):
    """Wherever the newest checkpoint is harmed, the numbers are the same, or those before, which is said."""
    noticed = 0
    for path in files(saved / "30"):
        size = path.stat().st_size
        noticed += harmed(saved, path, HARMS[harm], random.randrange(size))
    assert noticed >= 3
    gc.collect()


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["flip", "truncate"])
def test_no_byte_at_all_can_change_unseen(harm, saved):
    for path in files(saved / "30"):
        for place in range(path.stat().st_size):
            harmed(saved, path, HARMS[harm], place)
    gc.collect()


def files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]


def harmed(folder: Path, path: Path, harm, place: int) -> bool:
    """Whether damage at a byte of a file was noticed; what is restored is right in any case."""
    copy = shutil.copytree(folder, folder.with_name("copy"))
    target = copy / path.relative_to(folder)
    target.write_bytes(harm(target.read_bytes(), place))
    (state, counters), said, steps = restore(copy)
    shutil.rmtree(copy)
    good = 20 if said else 30
    assert same(state, state_at(good)) and counters == counters_at(good), (path, place)
    assert steps == [step for step in (10, 20, 30) if step <= good]
    assert not said or "checkpoint 30 is damaged" in said[0]
    return bool(said)


HARMS = {
    "flip": lambda data, at: data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :],
    "truncate": lambda data, at: data[:at],
}


def test_lines_that_are_gone_and_checkpoints_that_are_all_bad(saved):
    (state, _), said, steps = restore(saved, log_size=25)
    assert same(state, state_at(20)) and "metrics.jsonl" in said[0] and steps == [10, 20]
    with pytest.raises(BadInput, match="no checkpoint"):
        restore(saved, log_size=5)


def test_another_format_is_refused(saved, monkeypatch):
    monkeypatch.setattr("experiments._checkpoint.FORMAT", 2)
    with pytest.raises(BadInput, match="30 in .* has format 1, and this version of r3nn reads format 2"):
        restore(saved)
    assert sorted(os.listdir(saved)) == ["10", "20", "30"]
