"""One run in several real processes on loopback."""

import contextlib
import json
import multiprocessing
import os
import signal
import socket
import sys
import threading
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import train
from experiments.building.assembly import build
from experiments.config.command_line import parse
from experiments.config.fields import complete
from experiments.processes import agreement, endings, joining
from experiments.processes.cluster import LAUNCHERS, Cluster
from experiments.processes.stopping import signals
from experiments.program.files import to_json
from experiments.run.session import mean
from r3nn import training
from tests.runs import wait_for

ROOT = Path(__file__).resolve().parents[3]

# A call of the device every 10 updates, an evaluation and a checkpoint every 20; the state between the pieces
# of a sequence is split over the processes.
TINY = [
    "--config=configs/default.py",
    *("--config.train.length=6", "--config.train.batch=4", "--config.model.hidden_size=3"),
    *("--config.train.updates=60", "--config.train.log_every=10", "--config.train.eval_every=20"),
    *("--config.train.eval_batch=4", "--config.train.checkpoint_every=20", "--config.optimizer.lr=0.01"),
    *("--config.train.tbptt=4", "--config.model.cell=elman", "--config.model.mode=plain"),
]

STOPPING = "stopping after the updates under way; {} again drops them"

# A child of this server is a process of its own, but need not import JAX again.
children = multiprocessing.get_context("forkserver")
children.set_forkserver_preload(["experiments.run.training", "experiments.processes.joining"])


def say_in(said: Path):
    """All words of this process go to a file."""
    with open(said, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def program(argv: list[str], said: Path, stop_at: int, number: int):
    """experiments/train.py, which gets a signal, if any, behind an update; its words go to a file."""
    os.chdir(ROOT)
    say_in(said)
    if stop_at:
        from experiments.run.session import Session

        record = Session.record

        def recorded(session, kind, numbers):
            record(session, kind, numbers)
            if (kind, session.counters.step) == ("train", stop_at):
                os.kill(os.getpid(), number)

        Session.record = recorded
    sys.exit(train.main(argv))


def launch(
    folder: Path, count: int, *arguments: str, stop_at: int = 0, kill=(-1, signal.SIGTERM), last: str = ""
):
    """A run of `count` processes -> their exit statuses and words.

    stop_at: the update behind which one of them gets a signal; kill: which one, and which signal. last: an
    argument that the last one has alone.
    Each has a folder of its own: FOLDER/0 is the run's, and no other shall exist.
    """
    folder.mkdir(exist_ok=True)
    argv, said = ["train.py", *TINY, *arguments], [folder / f"said{i}" for i in range(count)]
    if count > 1:
        argv += [f"--coordinator=127.0.0.1:{free_port()}", f"--processes={count}"]
    started = []
    for i in range(count):
        mine = [*argv, f"--workdir={folder / str(i)}", *([f"--process={i}"] if count > 1 else [])]
        mine += [last] if last and i == count - 1 else []
        stop = stop_at if i == kill[0] % count else 0
        started.append(children.Process(target=program, args=(mine, said[i], stop, kill[1])))
        started[-1].start()
    for process in started:
        process.join(300)
    assert [path.name for path in folder.iterdir() if path.is_dir()] in (["0"], [])
    return [process.exitcode for process in started], [path.read_text() for path in said]


def free_port() -> int:
    with contextlib.closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def lines(folder: Path) -> list[dict]:
    """metrics.jsonl without its clock."""
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in found]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return f"--config.cache_dir={tmp_path_factory.mktemp('cache')}"


@pytest.mark.parametrize("counts", [(1, 2, 1), pytest.param((2, 1, 4), marks=pytest.mark.slow)], ids=str)
def test_processes_train_as_one_and_go_on_as_others(counts, cache, tmp_path):
    """20 updates in each of so many processes, of which one alone has two devices; and all in one that is not
    stopped.

    So several give the numbers of one, and checkpoints of either are restored by the other.
    """
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert launch(whole, 1, cache, "--config.devices=2")[0] == [0]

    for begun, count, stop in zip((0, 20, 40), counts, (20, 40, 0), strict=True):
        alone = ["--config.devices=2"] if count == 1 else []
        statuses, (first, *others) = launch(run, count, cache, *alone, stop_at=stop)
        assert statuses == [143 if stop else 0] * count
        assert not {*others} - {"", f"{STOPPING.format('SIGTERM')}\n" if stop else ""}
        assert (f"SIGTERM: stopped and saved after update {stop}" if stop else "Next:") in first
        assert count == 1 or f"on {count} cpu of {count} processes" in first
        assert (f"going on after update {begun}" in first) == (begun > 0)
        assert (f"going on after update {begun} (begun on 2 devices" in first) == (count == 4)

    ours, theirs = lines(run / "0"), lines(whole / "0")
    assert [(x["kind"], x["update"]) for x in ours] == [(x["kind"], x["update"]) for x in theirs]
    for one, other in zip(ours, theirs, strict=True):
        for name in one.keys() - {"kind", "update"}:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-5, atol=1e-5)
    result = json.loads((run / "0" / "result.json").read_text())
    assert result["updates"] == 60 and result["device"]["count"] == result["config"]["devices"] == max(
        2, counts[-1]
    )


def test_bad_input_of_process_0_ends_all(tmp_path):
    """Its folder is none of a run; the other one's, which is never made, would do."""
    (tmp_path / "run" / "0").mkdir(parents=True)
    (tmp_path / "run" / "0" / "notes.txt").write_text("mine")
    statuses, (first, second) = launch(tmp_path / "run", 2, "--config.cache_dir=")
    assert statuses == [2, 2] and not second
    assert "notes.txt" in first.splitlines()[-1] and "Traceback" not in first


def test_another_config_of_one_process_ends_all_and_leaves_nothing(tmp_path):
    statuses, said = launch(tmp_path / "run", 2, "--config.cache_dir=", last="--config.train.batch=8")
    assert statuses == [2, 2] and not list((tmp_path / "run").glob("0*"))
    assert "config.train.batch differs between process 0 and process 1" in said[0]


def alone(said: Path, number: int):
    """A process of two that waits a second for the other one."""
    from experiments.processes import joining

    joining.JOINING, joining.SILENCE = 1.0, 0.1
    argv = [f"--workdir={said.parent / 'run'}", f"--coordinator=127.0.0.1:{free_port()}"]
    program(["train.py", *TINY, *argv, "--processes=2", f"--process={number}"], said, 0, 0)


def test_processes_that_do_not_find_each_other_say_so(tmp_path):
    """Process 0 that nobody joins; process 1 with the place of no process 0."""
    said = [tmp_path / f"said{number}" for number in range(2)]
    started = [
        children.Process(target=alone, args=arguments) for arguments in zip(said, range(2), strict=True)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(300)
    assert [process.exitcode for process in started] == [2, 2]
    first, second = (path.read_text().splitlines() for path in said)
    assert first[0].startswith("waiting for 2 processes at 127.0.0.1:")
    for line in (first[1], *second):
        assert line.startswith("--coordinator=127.0.0.1:") and "within 1 seconds" in line
    assert len(first) == 2 and len(second) == 1 and not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_process_that_is_killed_ends_the_other(killed, cache, tmp_path):
    def ended(number):
        return launch(tmp_path, 2, cache, "--config.train.updates=100000", stop_at=20, kill=(killed, number))

    statuses, words = ended(signal.SIGKILL)
    assert statuses[killed] == -signal.SIGKILL and statuses[1 - killed] == 1
    assert words[1 - killed].splitlines()[-1] == endings.GONE and "stack" not in words[1 - killed]
    statuses, words = ended(signal.SIGTERM)
    assert statuses == [143, 143] and "".join(words).count(STOPPING.format("SIGTERM")) <= 1


def wait_in(said: Path, place: str, number: int, killed: bool):
    """One of two processes, which waits without end, as in a call of the device, once both are there."""
    say_in(said)
    with joining.joined(Cluster(place, 2, number)), signals():
        agreement.barrier()
        print("here", flush=True)
        if killed and number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        threading.Event().wait()


@contextlib.contextmanager
def waiting(folder: Path, killed=False):
    """Two such processes, and the files of their words."""
    said, place = [folder / f"said{number}" for number in range(2)], f"127.0.0.1:{free_port()}"
    started = [children.Process(target=wait_in, args=(said[i], place, i, killed)) for i in range(2)]
    for process in started:
        process.start()
    try:
        yield started, said
    finally:
        for process in started:
            process.kill()


def test_the_end_of_process_0_is_heard_of(tmp_path):
    """Though JAX would abort, also where no call of the device comes to grief over it."""
    with waiting(tmp_path, killed=True) as (started, said):
        for process in started:
            process.join(300)
        assert [process.exitcode for process in started] == [-signal.SIGKILL, 1]
        assert said[1].read_text().removeprefix("here\n") == f"{endings.GONE}\n"


@pytest.mark.parametrize("number", [0, 1])
def test_the_second_signal_to_any_ends_all(number, tmp_path):
    with waiting(tmp_path) as (started, said):
        words = lambda: "".join(path.read_text() for path in said if path.exists())
        wait_for(lambda: words().count("here") == 2)
        os.kill(started[number].pid, signal.SIGINT)
        wait_for(lambda: STOPPING.format("Ctrl-C") in said[number].read_text())
        os.kill(started[number].pid, signal.SIGINT)
        for process in started:
            process.join(300)
        assert [process.exitcode for process in started] == [130, 130]
        assert words().count("stopping") == 1 and "SIGINT: dropped" in words()


ROUNDS = {"sync_every": 5, "outer_lr": 0.7, "outer_momentum": 0.9}


def test_local_updates_of_processes_and_a_bad_one(cache, tmp_path):
    """Plain descent that is too fast: the numbers of two devices of one process, until they overflow."""
    fields = {f"train.{name}": value for name, value in ROUNDS.items()}
    fields |= {"optimizer.name": "sgd", "optimizer.lr": 1.0, "optimizer.clip": 0.0}
    overrides = [f"--config.{name}={value}" for name, value in fields.items()]
    statuses, (first, second) = launch(tmp_path, 2, cache, *overrides)
    assert statuses == [3, 3] and not second, first
    assert "update 54: the loss or a gradient is not finite" in first
    about = json.loads((tmp_path / "0" / "checkpoints" / "50" / "about" / "metadata").read_text())
    assert about["counters"]["step"] == 50

    one = build(parse(["train.py", *TINY, *overrides, "--workdir=x"], "").config, 2)
    updates = jax.jit(training.updates, static_argnums=(0, 3))
    _, metrics = updates(one.spec, one.hparams, one.start(), 50)
    tens = [{name: column[i : i + 10] for name, column in metrics.items()} for i in range(0, 50, 10)]
    means = [mean(ten)["loss"] for ten in tens]
    losses = [line["loss"] for line in lines(tmp_path / "0") if line["kind"] == "train"]
    np.testing.assert_allclose(losses, means, rtol=1e-3)  # each update makes an error larger


# What is refused.


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--coordinator=host"], ["--processes is missing", "--process=I"]),
        (["--processes=2"], ["--coordinator is missing"]),
        (["--coordinator=host:1", "--processes=2"], ["--process is missing"]),
        (["--coordinator=host", "--processes=2", "--process=0"], ["--coordinator=host", "HOST:PORT"]),
        (["--coordinator=:7000", "--processes=2", "--process=0"], ["--coordinator=:7000", "HOST:PORT"]),
        (["--coordinator=h:70000", "--processes=2", "--process=0"], ["--coordinator=h:70000", "HOST:PORT"]),
        (["--coordinator=h:1", "--processes=2", "--process=2"], ["--process", "1", "2"]),
        (["--coordinator=h:1", "--processes=0", "--process=0"], ["--processes", "at least 1", "0"]),
        (["--coordinator=h:1", "--processes=two", "--process=0"], ["processes", "two"]),
        (
            [f"--coordinator={64 * 'x'}:1", "--processes=2", "--process=1"],
            ["--coordinator=xxx", "cannot be joined", "too long"],
        ),
        (["--coordinator=auto", "--processes=2"], ["auto", "--processes must not be given"]),
        (["--coordinator=auto", "--dry_run"], ["--dry_run", "--coordinator"]),
        (["--coordinater=auto"], ["coordinater", "'coordinator'"]),
        (["--config.train.sync_every=0"], ["config.train.sync_every", "at least 1"]),
        (["--config.train.sync_every=3"], ["config.train.log_every=10", "multiple", "sync_every=3"]),
        (["--config.train.sync_every=20"], ["config.train.log_every=10", "sync_every=20"]),
        (["--config.train.sync_every=7"], ["updates=60", "multiple", "sync_every=7"]),
        (["--config.train.outer_lr=0.5"], ["config.train.outer_lr=0.5", "sync_every", "1.0"]),
        (["--config.train.outer_momentum=0.5"], ["config.train.outer_momentum=0.5", "sync_every"]),
        (["--config.train.outer_momentum=1.0"], ["config.train.outer_momentum", "0.999999"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_bad_input(flags, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    argv = ["train.py", *TINY, "--config.cache_dir=", f"--workdir={tmp_path / 'run'}", *flags]
    assert train.main(argv) == 2
    out, error = capsys.readouterr()
    assert not out and error.count("\n") == 1 and all(word in error for word in words), error
    assert not any(tmp_path.iterdir())


def test_a_port_that_is_taken(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"--coordinator=127.0.0.1:{server.getsockname()[1]}"
        argv = ["train.py", *TINY, f"--workdir={tmp_path / 'run'}", place, "--processes=2", "--process=0"]
        assert train.main(argv) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and place in error and "in use" in error and not any(tmp_path.iterdir())


def test_replicas_of_another_number_are_refused(tmp_path, capsys, monkeypatch):
    """The folder of a run whose config has two, by its config.json and a log that has begun."""
    monkeypatch.chdir(ROOT)
    argv = ["train.py", *TINY, "--config.cache_dir=", "--config.train.sync_every=5"]
    config = complete(parse([*argv, "--workdir=x", "--config.devices=2"], "").config)
    (tmp_path / "config.json").write_text(to_json(config.to_dict()))
    (tmp_path / "metrics.jsonl").write_text("a line\n")
    assert train.main([*argv, f"--workdir={tmp_path}", "--config.devices=4"]) == 2
    assert "config.devices" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "metrics.jsonl"]


@pytest.mark.parametrize(
    "environment, words, wanted",
    [
        ({}, [], None),
        ({"SLURM_STEP_NUM_TASKS": "1"}, [], None),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, [], None),  # sbatch without srun: one process
        ({"SLURM_STEP_NUM_TASKS": "4"}, [], Cluster()),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, [], Cluster()),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, [], Cluster()),
        ({"TPU_WORKER_HOSTNAMES": "a"}, [], None),
        ({"SLURM_STEP_NUM_TASKS": "4"}, ["--dry_run"], None),
        ({}, ["--coordinator=auto"], Cluster()),
        ({}, ["--coordinator=h:7", "--processes=2", "--process=1"], Cluster("h:7", 2, 1)),
        ({"SLURM_STEP_NUM_TASKS": "4"}, ["--coordinator=h:7", "--processes=1", "--process=0"], None),
    ],
)
def test_processes_are_those_of_the_flags_or_of_a_launcher(environment, words, wanted, monkeypatch):
    monkeypatch.chdir(ROOT)
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert parse(["train.py", "--config=configs/default.py", "--workdir=x", *words], "").cluster == wanted
