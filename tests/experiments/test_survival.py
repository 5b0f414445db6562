"""Runs that die, in each way that there is, and go on with the same bits."""

import contextlib
import datetime
import errno
import gc
import itertools
import json
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
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from experiments import train
from experiments.building.assembly import build
from experiments.errors import BadInput, NotRead, NotSaved
from experiments.program import plots
from experiments.program.files import to_json, write
from experiments.run import session
from experiments.run.events import Events
from experiments.saved.checkpoints import Checkpoints, Counters
from experiments.saved.metrics_log import Log, read_lines
from experiments.saved.workdir import Workdir
from r3nn.training import Carry, TrainState
from scripts import _killed, stress
from tests.runs import everything, tiny, wait_for

ROOT = Path(__file__).resolve().parents[2]
YEARS = 10 * 365.25 * 24 * 3600


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One cache of compiled programs for all runs, which are short: every save takes its time."""
    _killed.children.set_forkserver_preload(["experiments.train", "experiments.run.training"])
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

    from experiments.run import result_record
    from experiments.saved import metrics_log, workdir

    now, dice = time.time, random.Random(count)
    time.time = lambda: now() + dice.uniform(-YEARS, YEARS)
    match moment:
        case "begin":
            workdir.write = dying(workdir.write)
        case "log":
            metrics_log.Log.add = dying(metrics_log.Log.add)
        case "sync":
            metrics_log.Log.sync = dying(metrics_log.Log.sync)
        case "save":
            Checkpoints.save = dying(Checkpoints.save, after=0.02)
        case "saved":
            Checkpoints.save = dying(Checkpoints.save, behind=True)
        case "delete":
            shutil.rmtree = dying(shutil.rmtree)
        case "result":
            result_record.write = dying(result_record.write)
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


def run_and_wait(arguments, moment, there, said):
    """The program, which waits without end in a call of the device, or half-way in its second save."""
    from experiments.run.loop import Loop

    advance, rename = Loop._advance, os.rename

    def wait():
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))  # as if XLA had the thread
        sys.stdout = sys.stderr = open(said, "w")
        there.set()
        threading.Event().wait()

    def advancing(loop, going, count):
        if moment == "updating" and loop._sessions[0].counters.step + count == 20:
            wait()
        advance(loop, going, count)

    def renaming(source, *rest, **named):
        if moment == "saving" and Path(source).name.startswith("20."):
            wait()
        rename(source, *rest, **named)

    Loop._advance, os.rename = advancing, renaming
    run(arguments)


@pytest.mark.parametrize("moment, number", [("updating", signal.SIGINT), ("saving", signal.SIGTERM)])
def test_a_signal_is_answered_at_once_and_a_second_one_drops_the_updates(moment, number, cache, tmp_path):
    said, there = tmp_path / "said", _killed.children.Event()
    arguments = (_killed.command(tmp_path / "run", cache), moment, there, said)
    child = _killed.children.Process(target=run_and_wait, args=arguments)
    child.start()
    again = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}[number]
    stopping = f"stopping after the updates under way; {again} again drops them\n"
    try:
        assert there.wait(120)
        os.kill(child.pid, number)
        wait_for(lambda: said.read_text() == stopping)
        os.kill(child.pid, number)
        child.join(120)
    finally:
        child.kill()
    assert child.exitcode == 128 + number and said.read_text() == (
        f"{stopping}{number.name}: dropped the updates under way; "
        "the same command goes on from the last checkpoint.\n"
    )
    with contextlib.closing(Checkpoints(tmp_path / "run" / "checkpoints", read_only=True)) as checkpoints:
        assert checkpoints.steps() == [10]
    assert _killed.verify(tmp_path / "run") == 0


# A full disk.


@contextlib.contextmanager
def small_disk(folder: Path, options: str = "size=10m"):
    """A file system in memory, whose size `fill` decides."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
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


#: all that a run makes or writes in its folder, each by what it is called there
WRITERS = {
    "config.json": lambda folder: write(folder / "config.json", "all"),
    "loss_curve.png": lambda folder: plots.save(plots.axes()[0], folder / "loss_curve.png"),
    "checkpoints": lambda folder: Checkpoints(folder / "checkpoints").close(),
    "metrics.jsonl": lambda folder: Log(folder / "metrics.jsonl", 0).close(),
    "tensorboard": lambda folder: Events(folder / "tensorboard", 0).close(),
    ".lock": lambda folder: Workdir(folder).claimed(tiny()).__enter__(),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_system_without_inodes(name, tmp_path):
    with small_disk(tmp_path / "disk", "size=4m,nr_inodes=2") as disk:
        (disk / "last.part").touch()
        with pytest.raises(NotSaved, match=f"{disk}/{name}.* cannot be written .No space left on device"):
            WRITERS[name](disk)
        assert os.listdir(disk) == ["last.part"]


@pytest.mark.parametrize(
    "name, call, code",
    [
        *[(name, "rename", errno.EROFS) for name in ("config.json", "loss_curve.png")],
        *[(name, "fsync", errno.EIO) for name in ("config.json", "loss_curve.png")],
        *[(name, "mkdir", errno.EACCES) for name in ("checkpoints", "tensorboard")],
        *[(name, "open", errno.EACCES) for name in ("metrics.jsonl", "tensorboard", ".lock")],
        *[(name, "open", errno.EMFILE) for name in ("metrics.jsonl", "config.json")],
    ],
)
def test_what_the_system_refuses_to_write(name, call, code, tmp_path, monkeypatch):
    def refused(path, *_, **__):
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr(os, call, refused)
    if call == "rename":
        monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(NotSaved, match=f"{name}.* cannot be written .{os.strerror(code)}"):
        WRITERS[name](tmp_path)


def test_a_folder_is_synced_behind_a_file(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file).st_ino), fsync(file)))
    write(tmp_path / "config.json", "all")
    assert synced == [(tmp_path / "config.json").stat().st_ino, tmp_path.stat().st_ino]


def test_no_link_is_followed(tmp_path):
    """A file that is written whole takes the place of one; one that is added to is refused."""
    victim, folder = tmp_path / "victim", tmp_path / "run"
    victim.write_text("mine")
    (folder / "tensorboard").mkdir(parents=True)
    names = ("config.json", "config.json.part", "loss_curve.png", "loss_curve.png.part", "metrics.jsonl")
    for name in (*names, "tensorboard/events.out.tfevents.0000000001", "other/.lock"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(victim)
    WRITERS["config.json"](folder), WRITERS["loss_curve.png"](folder), WRITERS["tensorboard"](folder)
    for name, place in (("metrics.jsonl", folder), (".lock", folder / "other")):
        with pytest.raises(NotSaved, match=f"{name} cannot be written"):
            WRITERS[name](place)
    assert victim.read_text() == "mine" and (folder / "config.json").read_text() == "all"
    assert not (folder / "config.json").is_symlink()


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
    return TrainState(params, (jnp.zeros(3),), jnp.int32(step), Carry(), jnp.bool_(True))


def counters_at(step: int) -> Counters:
    return Counters(step, seconds=step / 3, best=0.1 + 0.2, best_step=10)


def restore(folder):
    said = []
    like = jax.eval_shape(lambda: state_at(0))
    with contextlib.closing(Checkpoints(folder, said.append)) as checkpoints:
        found = checkpoints.restore(like)
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


def test_a_damaged_checkpoint_is_set_aside(saved):
    """Only the retention rule removes any, so that the bytes are there for who wants to look into them."""
    for _ in range(2):
        (saved / "30" / "about" / "metadata").write_text("{}")
        (state, _), said, steps = restore(saved)
        assert same(state, state_at(20)) and steps == [10, 20]
        aside = Path(said[-1].removeprefix("checkpoint 30 is set aside as ").rstrip("."))
        assert (aside / "about" / "metadata").read_text() == "{}"
        with contextlib.closing(Checkpoints(saved)) as checkpoints:
            checkpoints.save(state_at(30), counters_at(30), {})
            assert checkpoints.steps() == [10, 20, 30]


TOO_MANY = 'Error opening "zarr" driver: Failed to open: "d/245": [OS error 24: EMFILE Too many open files]'


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, os.strerror(errno.EIO)),
        ValueError(TOO_MANY),
        ExceptionGroup("threads", [RuntimeError("[Errno 13] Permission denied: 'd/245'")]),
    ],
    ids=["EIO", "EMFILE", "EACCES"],
)
@pytest.mark.parametrize("item", ["about", "state"])
def test_what_cannot_be_read_is_not_damaged(error, item, saved, monkeypatch):
    """Nothing is deleted or renamed, and once the error is over the newest checkpoint is there."""
    before, restoring = everything(saved), ocp.CheckpointManager.restore

    def failing(self, step, args):
        if item in args:
            raise error
        return restoring(self, step, args=args)

    with monkeypatch.context() as patch:
        patch.setattr(ocp.CheckpointManager, "restore", failing)
        with pytest.raises(NotRead, match="checkpoints/30 cannot be read .*nothing was changed"):
            restore(saved)
    assert everything(saved) == before and NotRead.status == 4
    (state, _), said, _ = restore(saved)
    assert same(state, state_at(30)) and not said


def test_a_folder_that_cannot_be_listed_is_not_empty(saved, monkeypatch):
    def refused(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with contextlib.closing(Checkpoints(saved)) as checkpoints:
        monkeypatch.setattr(os, "listdir", refused)
        with pytest.raises(NotRead):
            checkpoints.restore(jax.eval_shape(lambda: state_at(0)))


def test_a_sound_checkpoint_of_another_model_is_not_damaged(saved):
    """As when the file of a cell was changed since."""
    before = everything(saved)
    other = jax.eval_shape(
        lambda: state_at(0)._replace(params={"w": jnp.zeros((3, 5)), "b": jnp.bfloat16(0)})
    )
    with contextlib.closing(Checkpoints(saved)) as checkpoints:
        with pytest.raises(BadInput, match=r"30 in .* is sound, but of another model: params/w is \[3, 4\]"):
            checkpoints.restore(other)
    assert everything(saved) == before


def test_checkpoints_restore_under_either_setting_of_x64(tmp_path):
    """Of a stateful run, with a schedule: counters, moments, carry and parameters."""
    config, draw, like = tiny(**{"train.tbptt": 2, "optimizer.warmup": 3}), np.random.default_rng(0), {}
    for x64 in (False, True):
        with jax.enable_x64(x64):
            like[x64] = jax.eval_shape(build(config).start)
    for x64 in (False, True):
        folder = tmp_path / str(x64)
        with jax.enable_x64(x64), contextlib.closing(Checkpoints(folder)) as checkpoints:
            fill = lambda leaf: jnp.asarray(draw.normal(0, 9, leaf.shape).astype(leaf.dtype))
            state = jax.tree.map(fill, like[x64])
            checkpoints.save(state, counters_at(10), {})
        with jax.enable_x64(not x64), contextlib.closing(Checkpoints(folder)) as checkpoints:
            restored, _ = checkpoints.restore(like[not x64])
            assert checkpoints.steps() == [10]
            expected = jax.tree.map(lambda x, like: np.asarray(x).astype(like.dtype), state, like[not x64])
            assert same(restored, expected)


# The log, and folders in which nothing was trained yet.

LINES = [
    {"kind": kind, "update": update, name: 0.5}
    for kind, update, name in [
        *(("train", 4, "loss"), ("train", 8, "loss"), ("eval", 8, "mse")),
        *(("train", 12, "loss"), ("train", 14, "loss"), ("eval", 14, "mse")),
    ]
]
TEXT = b"".join(json.dumps(line).encode() + b"\n" for line in LINES)


@pytest.mark.parametrize(
    "found, kept, gaps",
    [
        (TEXT, TEXT, None),
        (TEXT + b'{"kind": "train", "update": 16}\n{"ki', TEXT, None),
        (b"", b"", "4 to 14"),
        (TEXT[:-1], TEXT, None),
        (TEXT[:100], TEXT[: TEXT.find(b"\n", 50) + 1], "8 to 14"),
        (b"\xff" + TEXT[1:], b"\xff" + TEXT[1:], "4"),
        (TEXT.replace(b'"update": 12', b'"upd'), TEXT.replace(b'"update": 12', b'"upd'), "12"),
        (TEXT.replace(b"0.5", b"\x00{", 1).replace(b"eval", b"\n"), None, "4 to 8, 14"),
    ],
    ids=["whole", "killed", "deleted", "no newline", "cut", "first byte", "middle", "several"],
)
def test_a_log_is_cut_to_the_checkpoint_and_its_gaps_are_named(found, kept, gaps, tmp_path):
    place, config, said = Workdir(tmp_path), tiny(), []
    place.metrics.write_bytes(found)
    with contextlib.closing(Log(place.metrics, 14)) as log:
        session._tell_gaps(place, config.train, 14, SimpleNamespace(say=said.append))
        if kept is not None:
            assert place.metrics.read_bytes() == kept
        log.add({"kind": "train", "update": 16})
    assert read_lines(place.metrics)[-1]["update"] == 16
    assert [sentence.split("update ")[1].split(", or")[0] for sentence in said] == ([gaps] if gaps else [])


def test_a_folder_is_free_until_something_is_trained(tmp_path):
    """A run that dies of memory before its first update leaves it to a smaller one; then it is taken."""
    place, large, small = Workdir(tmp_path / "run"), tiny(**{"model.hidden_size": 4}), tiny()
    with pytest.raises(MemoryError), place.claimed(large):
        for name in ("checkpoints", "metrics.jsonl", "tensorboard"):
            WRITERS[name](place.path)
        raise MemoryError
    with place.claimed(small), contextlib.closing(Log(place.metrics, 0)) as log:
        assert place.read_config().model == small.model
        with pytest.raises(BadInput, match="another process is training there"), place.claimed(large):
            pass
        log.add(LINES[0])
    before = everything(place.path)
    with (
        pytest.raises(BadInput, match="another config, .* in config.model.hidden_size"),
        place.claimed(large),
    ):
        pass
    assert everything(place.path) == before


@pytest.mark.parametrize("left", ["metrics.jsonl", "result.json", "checkpoints/10"])
def test_what_is_left_of_a_run_keeps_its_folder(left, tmp_path):
    write(tmp_path / "config.json", to_json(tiny().to_dict()))
    (tmp_path / left).parent.mkdir(exist_ok=True)
    (tmp_path / left).write_text("something")
    before = everything(tmp_path)
    with pytest.raises(BadInput, match="another config"), Workdir(tmp_path).claimed(tiny(seed=1)):
        pass
    assert everything(tmp_path) == before


def test_another_format_is_refused(saved, monkeypatch):
    monkeypatch.setattr("experiments.saved.checkpoints.FORMAT", 3)
    with pytest.raises(BadInput, match="30 in .* has format 2, and this version of r3nn reads format 3"):
        restore(saved)
    assert sorted(os.listdir(saved)) == ["10", "20", "30"]
