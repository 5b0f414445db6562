"""experiments/sweep.py: what it plans, who runs what, and that nothing is lost when processes die."""

import contextlib
import io
import json
import os
import pwd
import random
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from urllib.parse import quote

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from configs import default
from configs._space import Choice, Grid, Range, choice, grid, int_uniform, log_uniform, uniform
from experiments import errors, sweep
from experiments.config import command_line
from experiments.errors import BadInput, Interrupted, NotFinite, NotSaved, Pruned
from experiments.program.locks import free, locked
from experiments.program.signals import Signals
from experiments.run import services
from experiments.sweeps import launch, outcomes, places, report, slots, study, supervise
from experiments.sweeps import worker as working
from experiments.sweeps.folder import Folder, file_system
from experiments.sweeps.goals import Goals
from experiments.sweeps.plan import Sweep
from experiments.sweeps.slots import Worker, all_finished, claim, current, finished, give_back, trials_of
from experiments.sweeps.trial import Heart, Taken, settle, watch
from experiments.sweeps.worker import Post, run
from tests.runs import ROOT, wait_for

# Optuna calls its heartbeats and its samplers with some values given experimental; its version is pinned.
EXPERIMENTAL = "ignore::optuna.exceptions.ExperimentalWarning"
pytestmark = [pytest.mark.filterwarnings(EXPERIMENTAL), pytest.mark.usefixtures("at_the_root")]


@pytest.fixture(autouse=True)
def no_storage(monkeypatch):
    """Whoever runs the tests may have a database of their own in the environment."""
    monkeypatch.delenv("R3NN_STORAGE", raising=False)


TINY = {
    **{"model.hidden_size": 3, "train.length": 6, "train.batch": 2, "train.updates": 40},
    **{"train.log_every": 5, "train.eval_every": 10, "train.eval_batch": 4, "train.checkpoint_every": 10},
    "optimizer.lr": 0.01,
}


def config_file(folder: Path, axes: str, **fields) -> Path:
    """A config of the tiny run with a search space."""
    path = folder / "tried.py"
    path.write_text(
        "from configs import default\n"
        "from configs._space import *\n"
        "def get_config():\n"
        "    config = default.get_config()\n"
        f"    config.update_from_flattened_dict({TINY | fields!r})\n"
        "    return config\n"
        f"def get_sweep():\n    return {axes}\n"
    )
    return path


AXES = {
    "optimizer.lr": log_uniform(1e-4, 1e-1),
    "seed": grid(range(2)),
    "model.cell": grid("gru", "elman"),
    "model.depth": choice(1, 2),
}


def tried(**changes) -> Sweep:
    base = default.get_config()
    base.update_from_flattened_dict(TINY)
    usual = dict(
        config="configs/default.py",
        overrides=("--config.train.updates=40",),
        base=base.to_dict(),
        axes=AXES,
        trials=3,
        sampler="random",
        pruner="none",
        seed=0,
        metric="mse",
        higher_is_better=False,
        trainer=services,
    )
    return Sweep(**usual | changes)


def in_memory(of: Sweep) -> optuna.Study:
    return study.opened(optuna.storages.InMemoryStorage(), "a sweep", of)


def worker(name: str) -> Worker:
    return Worker(socket.gethostname(), name, "runs/x")


# What is tried.


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: uniform(2, 1), "must rise, got 2 to 1"),
        (lambda: uniform(0, float("inf")), "must be numbers, got inf"),
        (lambda: log_uniform(0, 1), "must start above 0, got 0"),
        (lambda: int_uniform(1, 2.5), "whole numbers, got 2.5"),
        (lambda: choice(), "a value at least"),
        (lambda: grid([]), "a value at least"),
        (lambda: grid(1, 2, 1), "1 stands there twice"),
        (lambda: choice("gru", None), "got None"),
        (lambda: grid([[1], [2]]), r"got \[1\]"),
        (lambda: grid(range(10**12)), "at most 10,000 values"),
    ],
)
def test_axes_refuse(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_axes():
    assert grid(range(3)) == grid(0, 1, 2) == Grid((0, 1, 2)) and choice("gru") == Choice(("gru",))
    assert int_uniform(1, 8, log=True) == Range(1, 8, log=True, whole=True)


def test_slots_are_configurations_by_grid_points_with_the_seed_fastest():
    one = tried()
    assert one.total == 12 and [one.configuration(slot) for slot in (0, 3, 4, 11)] == [0, 0, 1, 2]
    assert [tuple(point.values()) for point in one.grid_points] == [
        ("gru", 0),
        ("gru", 1),
        ("elman", 0),
        ("elman", 1),
    ]
    assert launch.runs(one) == "12: 3 configurations x 2 values of seed x 2 values of model.cell"
    assert one.grid_point(6) == {"model.cell": "elman", "seed": 0}
    assert one.architecture({"model.cell": "gru", "seed": 1, "optimizer.lr": 0.1}) == {"model.cell": "gru"}


def test_a_sweep_survives_json_and_tells_what_differs():
    from experiments.sweeps.folder import difference

    one = tried()
    assert (
        Sweep.from_dict(json.loads(json.dumps(one.to_dict())), services) == one
        and difference(one, one) is None
    )
    assert difference(one, tried(seed=1)) == "--seed"
    assert difference(one, tried(axes=AXES | {"seed": grid(range(3))})) == "get_sweep()['seed']"
    other = {**one.base, "train": {**one.base["train"], "batch": 3}}
    assert difference(one, tried(base=other)) == "config.train.batch"
    assert difference(one, tried(base=one.base | {"cache_dir": "elsewhere"})) is None


def test_neither_the_folder_nor_the_database_of_a_sweep_names_code_to_run(tmp_path, monkeypatch):
    """Workers run the sweep that their parent was given, and its tasks are measured, not those recorded."""
    (tmp_path / "evil.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    one, seen = tried(axes=AXES | {"task.name": choice("adding", "parity")}), []
    evil = tried(base=one.base | {"task": {"name": f"{tmp_path}/evil.py:x", "options": {}}})
    folder = Folder(str(tmp_path / "sweep"))
    folder.create(evil, "sweep.db")
    monkeypatch.setattr(working, "work", lambda post: seen.append(post.sweep))
    monkeypatch.setattr(study, "connected", contextlib.nullcontext)
    monkeypatch.setattr(study, "opened", lambda *_: None)
    job = working.Job(str(folder.path), one.to_dict(), "x", together=0, cores=[], workers=1, parent=0)
    working._main(job, services, threading.Event(), Signals())
    assert seen == [one]
    goals = Goals(one)
    assert goals.of({"task.name": "adding"}).baseline == pytest.approx(1 / 6)
    with pytest.raises(BadInput, match=r"config.task.name=.*evil.py:x: .* would run the code"):
        goals.of({"task.name": f"{tmp_path}/evil.py:x"})
    assert not (tmp_path / "ran").exists()


def test_trials_can_be_raised_but_not_lowered(tmp_path):
    few, more = tried(trials=2), tried(trials=3)
    folder = Folder(tmp_path)
    for each in (few, more):
        folder.check(each, "here")
        folder.create(each, "here")
    assert folder.read(services) == (more, "here")
    with pytest.raises(BadInput, match="holds another sweep, which differs in --trials"):
        folder.check(few, "here")
    database = study.database("", tmp_path / "sweep.db")
    asked = sweep.parse(["sweep.py", "--config=x", f"--workdir={tmp_path}"])
    with study.connected(database) as storage:
        for each in (few, more):
            assert study.recorded(launch.joined(asked, each, storage, database), services) == each
        with pytest.raises(BadInput, match="differs in --trials"):
            launch.joined(asked, few, storage, database)


def test_the_command_of_a_run_gives_its_config():
    one = tried(
        axes={
            "optimizer.lr": uniform(0, 1),
            "model.residual": choice(True, False),
            "model.cell": choice("heads(gru, 1)"),
        }
    )
    values = {"optimizer.lr": 0.1 + 0.2, "model.residual": True, "model.cell": "heads(gru, 1)"}
    words = shlex.split(one.command("runs/x/trials/00000", values))
    assert words[:2] == ["scripts/run", "experiments/train.py"]
    read = command_line.parse(words[1:], "")
    overridden = one.config_of(values)
    assert read.workdir == "runs/x/trials/00000" and read.config.optimizer.lr == 0.1 + 0.2
    assert read.config.model.residual is True and read.config.model.cell == overridden.model.cell
    assert overridden.train.batch == 2 and overridden.optimizer.lr == 0.1 + 0.2


# Who runs what.


def test_trials_of_one_configuration_share_what_is_sampled():
    one = tried()
    there = in_memory(one)
    claims = [claim(there, one, worker("a")) for _ in range(one.total)]
    assert [c.slot for c in claims] == list(range(12)) and claim(there, one, worker("a")) is None
    sampled = [(c.values["optimizer.lr"], c.values["model.depth"]) for c in claims]
    assert len(set(sampled)) == 3 and all(sampled[i] == sampled[i - i % 4] for i in range(12))
    assert all(
        {name: c.values[name] for name in one.grid_point(c.slot)} == one.grid_point(c.slot) for c in claims
    )
    about = there.trials[5].user_attrs
    assert about["slot"] == 5 and about["configuration"] == 1 and about["workdir"] == "trials/00005"
    assert f"--config.optimizer.lr={claims[5].values['optimizer.lr']!r}" in about["command"]


def test_side_by_side_go_those_of_one_architecture():
    one = tried()
    there = in_memory(one)
    first = claim(there, one, worker("a"))
    assert claim(there, one, worker("a"), like=first.values).slot == 1
    assert claim(there, one, worker("a"), like=first.values) is None  # elman
    assert len(there.trials) == 2
    traced = tried(axes={"optimizer.lr": log_uniform(1e-4, 1e-1), "seed": grid(0, 1)})
    there = in_memory(traced)
    first = claim(there, traced, worker("a"))
    for _ in range(5):
        assert claim(there, traced, worker("a"), like=first.values)


@pytest.mark.parametrize(
    "count, most, size", [(5, 4, 5), (6, 4, 3), (7, 4, 4), (3, 4, 4), (100, 4, 4), (5, 1, 1), (5, 8, 8)]
)
def test_those_alike_are_parted_evenly(count, most, size):
    assert working.even(count, most) == size


@pytest.mark.parametrize("name", sorted(set(study.SAMPLERS) - set(study.NEEDS)))
def test_samplers(name):
    """Two workers that take turns, and one alone, sample the same from an empty history."""
    one = tried(sampler=name)
    drawn = []
    for names in ("ab", "a"):
        there = in_memory(one)
        claims = [claim(there, one, worker(names[i % len(names)])) for i in range(one.total)]
        drawn.append([c.values for c in claims])
    assert drawn[0] == drawn[1] and len({values["optimizer.lr"] for values in drawn[0]}) == 3
    assert all(1e-4 <= values["optimizer.lr"] <= 1e-1 for values in drawn[0])


def test_samplers_learn():
    """TPE goes where it was good: later samples are nearer to the optimum than chance, 0.29 on average."""
    one = tried(sampler="tpe", trials=60, axes={"optimizer.lr": uniform(0, 1)})
    there = in_memory(one)
    far = []
    for _ in range(60):
        held = claim(there, one, worker("a"))
        far.append(abs(held.values["optimizer.lr"] - 0.3))
        settle(there, held, outcome(far[-1]))
    assert sum(far[30:]) / 30 < 0.2


def outcome(value) -> dict:
    return {
        name: value for name in ("value", "held_out", "updates", "seconds", "parameters", "reached_target")
    }


@pytest.mark.parametrize("seed", range(5))
def test_whatever_dies_each_slot_is_finished_once(seed):
    """Workers claim, finish and die in any order; those that die may do so at any moment of a claim."""
    chance, one = random.Random(seed), tried(trials=4)
    there = in_memory(one)
    held, ended = [], []
    while not all_finished(trials_of(there), one.total):
        roll = chance.random()
        if roll < 0.4:
            taken = claim(there, one, worker("a"))
            held += [taken] if taken else []
        elif roll < 0.5:  # dies after the trial exists, before anything else is known of it
            again = [t for t in current(trials_of(there), one.total) if slots.lost(t)]
            before = (again[0], trials_of(there)) if again else None
            made = slots.create(there, slots._template(one, worker("b"), 0, before))
            give_back(there, made, "died")
        elif held and roll < 0.6:
            give_back(there, held.pop(chance.randrange(len(held))).trial._trial_id, None)
        elif held:
            done = held.pop(chance.randrange(len(held)))
            settle(there, done, outcome(0.5))
            ended.append(done.slot)
    assert sorted(ended) == list(range(one.total))
    assert all(t.state == TrialState.COMPLETE for t in current(trials_of(there), one.total))


def test_of_two_retries_the_first_counts_and_of_too_many_slots_none():
    one = tried(trials=1, axes={"seed": grid(0, 1)})
    there = in_memory(one)
    lost_one = claim(there, one, worker("a"))
    assert give_back(there, lost_one.trial._trial_id, "died") and not give_back(there, 0, "died")
    trials = trials_of(there)
    first, second = (
        slots.create(there, slots._template(one, worker(name), 0, (trials[0], trials))) for name in "bc"
    )
    assert slots._settle(there, one, worker("c"), second) is None
    assert slots._settle(there, one, worker("b"), first).slot == 0
    assert claim(there, one, worker("a")).slot == 1
    surplus = slots.create(there, slots._template(one, worker("a"), 2, None))
    assert slots._settle(there, one, worker("a"), surplus) is None
    assert [t.number for t in current(trials_of(there), one.total)] == [1, 3]


def test_a_slot_that_kills_its_workers_is_given_up():
    one = tried(trials=1, axes={"seed": grid(0)})
    there = in_memory(one)
    for _ in range(slots.ATTEMPTS):
        give_back(there, claim(there, one, worker("a")).trial._trial_id, None)  # asked to stop: no fault
        give_back(there, claim(there, one, worker("a")).trial._trial_id, "its worker died")
    assert claim(there, one, worker("a")) is None
    (last,) = current(trials_of(there), one.total)
    assert finished(last) and last.user_attrs["ending"] == "lost 5 times, the last time so: its worker died"
    slots.reopen(there, one)
    slots.reopen(there, one)
    give_back(there, claim(there, one, worker("a")).trial._trial_id, "its worker died")
    assert claim(there, one, worker("a")).slot == 0


def test_how_trials_end():
    one = tried(trials=1, axes={"seed": grid(range(7))}, pruner="median")
    there = in_memory(one)
    ends = [outcome(0.5), Pruned("pruned."), NotFinite("update 2: bad."), outcome(None)]
    ends += [Interrupted("stop", signal.SIGTERM), Taken("gone."), RuntimeError("a bug"), NotSaved("full.")]
    for end in ends:
        held = claim(there, one, worker("a"))
        watch(held)(10, 0.7)
        settle(there, held, end)
    states = [trial.state.name for trial in there.trials]
    assert states == ["COMPLETE", "PRUNED", "FAIL", "FAIL", "FAIL", "RUNNING", "FAIL", "FAIL"]
    endings = [t.user_attrs.get("ending") for t in there.trials[2:]]
    assert endings == ["update 2: bad.", "no evaluation was finite.", None, None, None, None]
    assert there.trials[0].user_attrs["result"]["held_out"] == 0.5 and there.trials[1].value == 0.7
    losses = [t.user_attrs.get("lost") for t in there.trials[4:]]
    assert losses == [None, None, "unforeseen: RuntimeError: a bug", "full."]
    again = claim(there, one, worker("b"))
    assert again.slot == 5 and there.trials[8].intermediate_values == {10: 0.7}
    watch(again)(10, 0.7)  # a resumed run evaluates again


def post_of(there: optuna.Study, one: Sweep, signals: Signals | None = None) -> Post:
    return Post(
        there, one, Folder("nowhere"), worker("a"), None, None, threading.Event(), signals or Signals()
    )


def broken(*_):
    raise StorageInternalError("An exception is raised during the commit.") from OSError(
        "the server has gone"
    )


def test_a_worker_whose_database_is_away_saves_and_ends(monkeypatch):
    """One run of two ends, and the database does not hear of it: the worker stops, which saves the other, and
    says why. Both slots are taken up again, as those of any worker that is no more."""
    one = tried(trials=1, axes={"seed": grid(0, 1)})
    there = in_memory(one)
    monkeypatch.setattr(study.random, "uniform", lambda *_: 0)  # no pauses
    group = [claim(there, one, worker("a")) for _ in range(2)]
    asked = []

    class Recorded(Signals):
        def send(self):
            asked.append("to save")

    monkeypatch.setattr(services, "run_members", lambda members, done: done(0, outcome(0.5)))
    with monkeypatch.context() as patch:
        patch.setattr(there._storage, "set_trial_state_values", broken)
        with pytest.raises(NotSaved, match="the server has gone"):
            run(post_of(there, one, Recorded()), group)
    assert asked == ["to save"] and [t.state for t in there.trials] == [TrialState.RUNNING] * 2
    for held in group:
        assert give_back(there, held.trial._trial_id, "its worker died")
    assert [claim(there, one, worker("b")).slot for _ in range(2)] == [0, 1]


def test_a_run_whose_database_is_away_ends_with_a_sentence(monkeypatch):
    """Such an end has a run save before it ends; it is not the trial's, whose slot stays to be done."""
    one = tried(trials=1, axes={"seed": grid(0)})
    there = in_memory(one)
    monkeypatch.setattr(study.random, "uniform", lambda *_: 0)  # no pauses
    held = claim(there, one, worker("a"))

    def train(watch, **member):
        monkeypatch.setattr(there._storage, "set_trial_intermediate_value", broken)
        watch(10, 0.5)

    monkeypatch.setattr(services, "run", train)
    with pytest.raises(NotSaved, match="the server has gone"):
        run(post_of(there, one), [held])
    assert there.trials[0].state == TrialState.RUNNING


def test_what_can_be_mended_is_taken_up_again_by_the_same_command(monkeypatch):
    """A folder that is in the way, and memory that runs out; numbers that are not finite stay so."""
    one = tried(trials=1, axes={"seed": grid(0, 1, 2)})
    there = in_memory(one)
    ends = [
        BadInput("--workdir=trials/00000: holds 'x' but no config.json."),
        NotFinite("update 2: bad."),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."),
    ]

    def fail(**member):
        raise ends[len(there.trials) - 1]

    monkeypatch.setattr(services, "run", fail)
    for _ in ends:
        run(post_of(there, one), [claim(there, one, worker("a"))])
    trials = trials_of(there)
    assert all_finished(trials, one.total) and claim(there, one, worker("a")) is None
    told = report.failures(outcomes.outcome(one, trials))
    assert "holds 'x'" in told and "the same command tries 2 of them again" in told
    words = "memory ran out (Out of memory allocating 9 bytes): what was saved before is intact"
    assert trials[2].user_attrs[slots.ENDING].startswith(words)
    slots.reopen(there, one)  # the command is repeated
    held = claim(there, one, worker("a"))
    assert held.slot == 0 and claim(there, one, worker("a")).slot == 2
    assert claim(there, one, worker("a")) is None
    monkeypatch.setattr(services, "run", lambda **member: outcome(0.5))
    run(post_of(there, one), [held])
    states = [trial.state for trial in current(trials_of(there), one.total)]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING]


def test_watching():
    """The pruner ends what does badly; a trial that another worker has by now ends too."""
    one = tried(trials=8, axes={"optimizer.lr": uniform(0, 1)}, pruner="median")
    there = in_memory(one)
    for value in range(6, 0, -1):
        held = claim(there, one, worker("a"))
        watch(held)(10, float(value))
        settle(there, held, outcome(value))
    bad, taken = claim(there, one, worker("a")), claim(there, one, worker("a"))
    with pytest.raises(Pruned, match="pruned after update 10, at 9"):
        watch(bad)(10, 9.0)
    give_back(there, taken.trial._trial_id, "taken for dead")
    with pytest.raises(Taken):
        watch(taken)(10, 0.0)
    settle(there, taken, outcome(0.0))
    assert trials_of(there)[-1].state == TrialState.FAIL


# Signs of life.


def test_what_dies_here_and_elsewhere_is_taken_up_again(tmp_path):
    """Here: at once, by the lock that a process lets go of. Elsewhere: by the clock of the database."""
    one, folder = tried(), Folder(str(tmp_path / "sweep"))
    folder.create(one, "sweep.db")
    stack = contextlib.ExitStack()
    storage = stack.enter_context(study.connected(study.database("", folder.database)))
    there = study.opened(storage, "x", one)
    far = Worker("elsewhere", "1", "runs/x")
    held = [claim(there, one, w) for w in (worker("alive"), worker("dead"), far, far, far)]
    folder.lock_of("dead").touch()
    with stack, locked(folder.lock_of("alive")), Heart(storage) as heart, heart.holding(held[:1] + held[3:]):
        look = supervise.Elsewhere(there, folder)
        look.look()  # a sign of life for slot 2, whose worker died before it gave one
        old = "update trial_heartbeats set heartbeat = datetime('now', '-200 seconds') where trial_id in"
        with contextlib.closing(sqlite3.connect(folder.database)) as database, database:
            database.execute(f"{old} (?, ?, ?)", [held[i].trial._trial_id for i in (0, 2, 3)])
        look._looked -= study.HEARTBEAT
        look.look()
        supervise.recover(there, folder)
        assert [t.number for t in there.trials if t.state == TrialState.FAIL] == [1, 2, 3]
        reasons = [there.trials[i].user_attrs["lost"] for i in (1, 2)]
        assert "died" in reasons[0] and reasons[1] == "no sign of life for 120 seconds."
        assert not folder.lock_of("dead").exists() and claim(there, one, worker("b")).slot == 1


def test_a_lock_ends_with_its_process(tmp_path):
    with locked(tmp_path / "lock"):
        assert not free(tmp_path / "lock")
    assert free(tmp_path / "lock")


# Places.


def test_shares_of_cores_and_gpus():
    assert places.share([0, 1, 2, 3, 4], 2) == [[0, 1], [2, 3, 4]]
    assert places.share([4, 7], 3) == [[4], [7], [4]] and places.share([], 2) == [[], []]
    alone = places.gpu_environment(["0", "1"], 1, 2)
    assert alone == {"CUDA_VISIBLE_DEVICES": "1", "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.900"}
    assert places.gpu_environment(["3"], 2, 3)["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.300"
    assert places.gpu_environment([], 0, 2) == {}


def test_network_file_systems_are_known():
    mounts = "/dev/a / ext4 rw 0 0\nhost:/x /home nfs4 rw 0 0\n/dev/b /home/me/my\\040disk xfs rw 0 0\n"
    assert file_system(Path("/home/me/runs"), mounts) == "nfs4"
    assert file_system(Path("/home/me/my disk/runs"), mounts) == "xfs"
    assert file_system(Path("/homes/runs"), mounts) == "ext4"


# The program.


def program(workdir, config, *arguments) -> list[str]:
    return ["sweep.py", f"--config={config}", f"--workdir={workdir}", *arguments]


def until(condition, seconds=60):
    """Waits for it, in a thread; the test's own asserts tell where it never comes."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)


def reported(folder: Path) -> list:
    """Slots whose runs have a line in their log."""
    return [path for path in folder.glob("trials/*/metrics.jsonl") if path.stat().st_size]


def recorded(storage: str, name: str) -> list:
    """All trials of a study, in a folder's file or under a URL."""
    with study.connected(study.database(storage, Path(name) / "sweep.db")) as there:
        return trials_of(optuna.load_study(study_name=name, storage=there))


def check_whole(folder: Path, trials, total: int) -> None:
    """Each slot finished once, by a run that says what its trial says."""
    chain = current(trials, total)
    assert [t.user_attrs["slot"] for t in chain] == list(range(total)) and all(map(finished, chain))
    assert len({path.name for path in folder.glob("trials/*")}) == total
    for trial in chain:
        result = json.loads((folder / trial.user_attrs["workdir"] / "result.json").read_text())
        assert result["held_out"] == trial.value and result["value"] == trial.user_attrs["result"]["value"]
        assert result["config"]["seed"] == trial.params["seed"] and result["updates"] == 1000
        assert shlex.split(result["command"])[4:] == shlex.split(trial.user_attrs["command"])[4:]
        log = (folder / trial.user_attrs["workdir"] / "metrics.jsonl").read_text()
        lines = [json.loads(line) for line in log.splitlines()]
        evaluated = {line["update"]: line["mse"] for line in lines if line["kind"] == "eval"}
        assert evaluated == trial.intermediate_values


@pytest.mark.slow
def test_a_second_signal_ends_the_workers_too(tmp_path):
    """In the midst of a call of the device that would take minutes."""
    names = ("train.updates", "train.log_every", "train.eval_every", "train.checkpoint_every")
    config = config_file(tmp_path, '{"seed": grid(0)}', cache_dir="", **dict.fromkeys(names, 5_000_000))
    folder, log = tmp_path / "sweep", tmp_path / "log"
    command = [sys.executable, "experiments/sweep.py", *program(folder, config)[1:]]
    with open(log, "w") as file:
        parent = subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=file, stderr=file
        )
    said = folder / "workers" / "0.log"
    wait_for(lambda: said.exists() and "compiled in" in said.read_text())
    (alive,) = folder.glob("workers/*.lock")
    for again in ("stopping after the updates under way; Ctrl-C again drops them", "SIGINT: dropped"):
        parent.send_signal(signal.SIGINT)
        wait_for(lambda words=again: words in log.read_text())
    assert parent.wait(60) == 130
    wait_for(lambda: free(alive))


#: a sweep and its worker, which is in a call of the device that takes minutes
PARENT = (
    "import subprocess, sys, time; subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE); time.sleep(600)"
)
BUSY = """
import os, threading, time
from experiments.program.signals import Signals
from experiments.sweeps import worker

worker.ALONE = 0.5
with Signals() as signals:
    words = threading.Event(), signals, os.getppid()
    threading.Thread(target=worker.until_alone, args=words, daemon=True).start()
    print("at work", flush=True)
    time.sleep(600)
"""


def test_a_worker_whose_sweep_is_killed_stops_as_at_a_signal_and_soon():
    """It is asked to save, and where it does not come to that, it ends all the same."""
    command = [sys.executable, "-c", PARENT, sys.executable, "-uc", BUSY]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    output = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with subprocess.Popen(command, env=env, **output) as parent:
        assert parent.stdout.readline() == "at work\n"
        parent.kill()
        began = time.monotonic()
        said = parent.stdout.read()  # to its end, which comes with the worker's
        assert time.monotonic() - began < 30
    assert "stopping after the updates under way" in said and "SIGTERM: dropped" in said


# Long enough to be killed in between.
LONG = {"train.updates": 1000, "train.log_every": 5, "train.eval_every": 250, "train.checkpoint_every": 250}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A config file, whose runs share one cache of compiled programs."""
    folder = tmp_path_factory.mktemp("config")
    axes = '{"optimizer.lr": log_uniform(1e-3, 1e-2), "seed": grid(0, 1)}'
    return config_file(folder, axes, cache_dir=str(folder / "cache"), **LONG)


def test_a_sweep_that_is_killed_in_every_way(config, tmp_path, capfd):
    """A worker is killed; then all are asked to stop, as by SLURM; then the command is repeated."""
    folder = tmp_path / "sweep"
    argv = program(folder, config, "--trials=1", "--sampler=random", "--together=1")

    def worker_at_work():
        (lock,) = folder.glob("workers/*.lock")
        return int(lock.name.split("-")[0])

    def kill():
        until(lambda: reported(folder))
        os.kill(worker_at_work(), signal.SIGKILL)
        until(lambda: len(reported(folder)) > 1)
        for process in (os.getpid(), worker_at_work()):
            os.kill(process, signal.SIGTERM)

    killer = threading.Thread(target=kill)
    killer.start()
    assert sweep.main(argv) == 143
    killer.join()
    out, error = capfd.readouterr()
    assert out.count("stopping after the updates under way; SIGTERM again drops them\n") == 1
    assert re.match(
        r"SIGTERM: stopped with \d of 2 runs done; the same command goes on from there.\n$", error
    )
    trials = recorded("", str(folder))
    assert not any(trial.state == TrialState.RUNNING for trial in trials)
    assert sum("lost" in trial.user_attrs for trial in trials) == 1

    assert sweep.main(argv) == 0
    out = capfd.readouterr().out
    assert "2/2 runs done" in out and "--config.seed=" in out
    check_whole(folder, recorded("", str(folder)), 2)
    assert not list(folder.glob("workers/*.lock")) and (folder / "trials.csv").exists()

    assert sweep.main([*argv, "--seed=1"]) == 2
    assert "holds another sweep, which differs in --seed" in capfd.readouterr().err


PASSWORD = "s%cret@1/{x}"


@pytest.fixture(scope="module")
def postgres():
    """The URL of a PostgreSQL server on loopback, without the password that it asks for."""
    found = [shutil.which("initdb"), *map(str, sorted(Path("/").glob("usr/lib/postgresql/*/bin/initdb")))]
    initdb = next(filter(None, found), None)
    if initdb is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    home = Path(tempfile.mkdtemp(prefix="r3nn-postgres-", dir="/tmp"))  # of another user, so not tmp_path
    who = {}
    if os.getuid() == 0:  # which the server refuses to run as
        user = next(u for u in ("postgres", "nobody") if any(p.pw_name == u for p in pwd.getpwall()))
        who = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
        shutil.chown(home, user)
    run = dict(cwd=home, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **who)
    data, password = home / "data", home / "password"
    password.write_text(PASSWORD)
    options = ["-U", "r3nn", "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync"]
    subprocess.run([initdb, "-D", data, *options], check=True, **run)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    options = ["-h", "127.0.0.1", "-p", port, "-k", str(home), "-c", "fsync=off"]
    server = subprocess.Popen(
        [Path(initdb).resolve().with_name("postgres"), "-D", data, *options],
        **run | {"stderr": subprocess.DEVNULL},
    )

    def listens() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", int(port))) == 0

    until(listens)
    yield f"postgresql://r3nn@127.0.0.1:{port}/postgres"
    server.send_signal(signal.SIGINT)
    server.wait()
    shutil.rmtree(home)


def test_the_same_command_on_two_machines_joins_one_sweep(postgres, config, tmp_path, monkeypatch, capfd):
    """Two parents in two folders; one of them, which has the URL from its environment, dies."""
    argv = program("runs/joined", config, "--trials=2", "--together=1")
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    url = postgres.replace("@", f":{quote(PASSWORD, safe='')}@")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "R3NN_STORAGE": url}
    command = [sys.executable, str(ROOT / "experiments" / "sweep.py"), *argv[1:]]
    with open(tmp_path / "log", "w") as log:
        other = subprocess.Popen(command, cwd=there, env=environment, stdout=log, stderr=log)

    def kill():
        begun = lambda: any((there / "runs" / "joined" / "trials").glob("*/config.json"))
        until(lambda: begun() or other.poll() is not None)
        other.kill()  # its worker saves, gives back what it has, and ends

    killer = threading.Thread(target=kill)
    killer.start()
    monkeypatch.chdir(here)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert sweep.main([*argv, f"--storage={postgres}"]) == 0
    killer.join()
    # 0: this one was so fast that nothing was left to begin there.
    assert other.wait() in (-signal.SIGKILL, 0), (tmp_path / "log").read_text()
    text = [capfd.readouterr().out, *(path.read_text() for path in tmp_path.rglob("*.log"))]
    text += [(tmp_path / "log").read_text(), *(path.read_text() for path in tmp_path.rglob("*.json"))]
    assert not any(secret in one for one in text for secret in (PASSWORD, quote(PASSWORD, safe="")))
    chain = current(recorded(postgres, "runs/joined"), 4)
    assert len(chain) == 4 and {t.state for t in chain} == {TrialState.COMPLETE}
    ran = [path.parent.name for path in tmp_path.glob("*/runs/joined/trials/*/result.json")]
    assert sorted(set(ran)) == [f"{slot:05d}" for slot in range(4)]


# Secrets.

SECRET = [  # (URL, what is shown of it)
    (
        "postgresql://me:hunter2@host:5432/x?sslmode=require",
        "postgresql://me:***@host:5432/x?sslmode=require",
    ),
    ("postgresql://me:hun%40ter2@host/x", "postgresql://me:***@host/x"),
    ("postgresql://me:hun/ter2@host/x", "postgresql://me:***@host/x"),
    ("postgresql://host/x?user=me&password=hunter2", "postgresql://host/x?user=me&***"),
    ("postgresql://host/x?pass%77ord=hunter2", "postgresql://host/x?***"),
    (
        "postgresql://host/x?sslpassword=hunter2&application_name=ter2",
        "postgresql://host/x?***&application_name=ter2",
    ),
]
UNUSABLE = [
    *(
        "postgresql://me:hun@ter2@host/x",
        "postgresql://me:hun?ter2@host/x",
        "postgresql://me:hun ter2@host/x",
    ),
    *(
        "postgresql:/me:hunter2@host/x",
        "me:hunter2@host/x",
        "host=h password=hunter2",
        "postgresql://me:hunter2",
    ),
    *("postgresql://host:5432/x?password=hun@ter2", "nosuchkind://me:hunter2@host/x?token=hunter2"),
    *("postgresql://me:hunter2@host:port/x", "sqlite:///x.db?password=hunter2"),
]


@pytest.mark.parametrize("url, wanted", SECRET)
def test_a_url_is_shown_without_its_secrets(url, wanted, tmp_path):
    found = study.database(url, tmp_path / "sweep.db")
    assert found.shown == wanted and found.url == url
    one = tried()
    Folder(str(tmp_path)).create(one, found.shown)
    again = study.database(re.sub("hun.*ter2@", "another@", url), tmp_path / "sweep.db")
    Folder(str(tmp_path)).check(one, again.shown)  # the same database, whatever the password
    with pytest.raises(BadInput, match="where its trials are recorded"):
        Folder(str(tmp_path)).check(one, "sweep.db")


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize("url", UNUSABLE)
def test_of_a_url_that_cannot_be_used_no_secret_is_told(url, variable, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("R3NN_TRACEBACK", "1")  # shows what libraries said, too
    if variable:
        monkeypatch.setenv("R3NN_STORAGE", url)
    asked = "" if variable else url

    def ask():
        study.database(asked, tmp_path / "sweep.db")

    assert errors.ending(ask) == 2
    error = capsys.readouterr().err
    assert ("R3NN_STORAGE=" if variable else "--storage=") in error
    assert not any(part in error for part in ("hunter2", "ter2", "hun@", "hun?", "hun "))


def test_what_libraries_say_of_a_url_is_told_without_its_secrets(tmp_path, capsys, monkeypatch):
    url = "postgresql://me:hun%40ter2@127.0.0.1:9/x?password=s3cret"
    words = f"no {url!r}: hun@ter2, s3cret"
    monkeypatch.setenv("R3NN_TRACEBACK", "1")
    there = study.database(url, tmp_path / "sweep.db")

    def refuse(*_, **__):
        raise RuntimeError(words) from ValueError(words)

    def ask(connect=study.connect):
        with study.connected(there, connect) as storage:
            storage.create_new_study()

    with monkeypatch.context() as patch:
        patch.setattr(optuna.storages, "RDBStorage", refuse)
        assert errors.ending(ask) == 2
    patched = dict(remove_session=lambda self: None, engine=Engine, create_new_study=refuse)
    with pytest.raises(RuntimeError) as raised:
        ask(lambda database: type("Storage", (), patched)())
    text = capsys.readouterr().err + "".join(traceback.format_exception(raised.value))
    assert text.count("***") > 4 and not any(secret in text for secret in ("hun%40", "hun@", "s3cret"))


class Engine:
    """Has nothing to let go of."""

    dispose = staticmethod(lambda: None)


def test_words_of_a_command_line_are_told_without_secrets(capsys):
    for word in (
        "storage=postgresql://me:hunter2@host/x",
        "hunter2@host",
        "password=hunter2",
        "--workers=postgresql://me:hunter2@h/x",
    ):
        assert sweep.main(["sweep.py", "--config=x", "--workdir=y", word]) == 2
        assert "hunter2" not in capsys.readouterr().err


def test_a_worker_gets_the_url_by_the_environment(tmp_path, monkeypatch):
    """Its command line, and what it is told, are for others to read."""
    folder, url, told = Folder(str(tmp_path)), "postgresql://me:hunter2@host/x", {}
    folder.create(tried(), "sweep.db")

    def popen(command, env, **more):
        told.update(command=command, env=env, order=io.BytesIO())
        return type("Process", (), dict(stdin=told["order"], wait=lambda self: 0))()

    monkeypatch.setattr(supervise.subprocess, "Popen", popen)
    monkeypatch.setattr(supervise.Local, "close", lambda self: None)
    for storage, wanted in ((url, url), ("", None)):
        (local,) = supervise.hired(
            folder, tried(), study.database(storage, folder.database), "x", 1, 1, sweep.WORKER
        )
        local.start()
        assert told["env"].get("R3NN_STORAGE") == wanted
        assert "hunter2" not in f"{told['command']} {told['order'].getvalue()}"


# A database that fails.


def test_a_damaged_database_is_named(tmp_path, capsys):
    folder = Folder(str(tmp_path / "sweep"))
    argv = program(folder.path, config_file(tmp_path, GOOD))
    one = launch.planned(sweep.parse(argv), services)
    folder.create(one, "sweep.db")
    there = study.database("", folder.database)
    with study.connected(there) as storage:
        study.record(study.opened(storage, "x", one), one)
    whole = folder.database.read_bytes()

    def ask():
        with study.connected(there):
            pass

    for damaged, program_ in (
        (b"no database, " * 1000, lambda: sweep.main(argv)),
        (whole[:8192] + b"\xff" * 4096 + whole[12288:], lambda: errors.ending(ask)),
        (whole[: len(whole) // 2], lambda: errors.ending(ask)),
    ):
        folder.database.write_bytes(damaged)
        assert program_() == 2
        error = capsys.readouterr().err
        assert error.startswith(f"{folder.database}: is damaged (") and error.count("\n") == 1
        assert "The runs are whole" in error and "--storage" not in error and "commit" not in error


def test_a_launcher_whose_database_goes_away_says_that_nothing_is_lost(tmp_path, capsys, monkeypatch):
    folder = Folder(str(tmp_path / "sweep"))

    def gone(trials, *_):
        trials._storage.remove_session()
        trials._storage._backend.engine.dispose()
        folder.database.rename(tmp_path / "elsewhere")
        folder.database.mkdir()

    monkeypatch.setattr(study.random, "uniform", lambda *_: 0)  # no pauses
    monkeypatch.setattr(launch, "supervise", gone)
    assert sweep.main(program(folder.path, config_file(tmp_path, GOOD))) == 4
    error = capsys.readouterr().err
    assert error.startswith(f"{folder.database}: cannot be used (") and error.count("\n") == 1
    assert "Nothing is lost" in error and "the same command goes on" in error


# Bad input: one sentence; nothing is created.

GOOD = '{"optimizer.lr": log_uniform(1e-4, 1e-2), "seed": grid(range(2))}'


@pytest.mark.parametrize(
    "axes, arguments, words",
    [
        ('{"optimizer.l": uniform(0, 1)}', [], ["optimizer.l", "'optimizer.lr'"]),
        ('{"train": grid(1)}', [], ["config.train", "group"]),
        ('{"optimizer.lr": grid("fast")}', [], ["optimizer.lr", "float", "'fast'"]),
        ('{"train.batch": uniform(1, 2)}', [], ["config.train.batch", "int_uniform"]),
        ('{"optimizer.lr": uniform(-1, 1)}', [], ["optimizer.lr", "-1"]),
        ('{"optimizer.lr": log_uniform(1e-60, 1)}', [], ["get_sweep()", "optimizer.lr", "1e-60"]),
        (
            '{"model.cell": grid("gru", "cornn(gamma=1e39)")}',
            [],
            ["get_sweep()['model.cell']", "gamma", "1e+39"],
        ),
        ('{"optimizer.lr": uniform(1, -1)}', [], ["get_sweep()", "must rise, got 1 to -1"]),
        ('{"model.cell": choice("gru", "lstmm")}', [], ["get_sweep()['model.cell']", "lstmm", "'lstm'"]),
        ('{"optimizer.lr": unifrom(0, 1)}', [], ["get_sweep()", "unifrom", "not defined"]),
        ('{"train.min_length": grid(2, 7)}', [], ["get_sweep()['train.min_length']", "from 2 to 6", "7"]),
        ('{"optimizer.weight_decay": grid(0.0, 0.1)}', [], ["weight_decay=0.1", "adamw"]),
        ('{"task.name": grid("adding", "s3")}', ["--config.model.predict=every"], ["'s3'", "accuracy"]),
        ('{"seed": grid(range(9999)), "optimizer.lr": grid(range(1, 9999))}', [], ["99,970,002 runs"]),
        ('{"cache_dir": grid("", "x")}', [], ["cache_dir", "changes no result"]),
        ("{}", [], ["get_sweep() must return", "{}"]),
        ('{"seed": range(3)}', [], ["get_sweep() must return", "range(0, 3)"]),
        ('{"seed": grid(range(3))}', ["--trials=3"], ["--trials=3", "grids"]),
        (GOOD, ["--trials=0"], ["--trials", "from 1", "0"]),
        (GOOD, ["--trials=many"], ["trials", "many"]),
        (GOOD, ["--workers=0"], ["--workers", "from 1", "0"]),
        (GOOD, ["--together=-1"], ["--together", "-1"]),
        (GOOD, ["--sampler=tpee"], ["--sampler", "tpee", "random"]),
        (GOOD, ["--sampler=gp"], ["--sampler=gp", "torch"]),
        (GOOD, ["--pruner=x"], ["--pruner", "hyperband"]),
        (GOOD, ["--storage=nowhere"], ["--storage=nowhere", "postgresql://"]),
        (GOOD, ["--storage=sqlite:///x.db"], ["SQLite", "leave --storage out"]),
        (
            GOOD,
            ["--storage=postgresql://a:secret@127.0.0.1:9/x"],
            ["--storage=postgresql://a:***@", "refused"],
        ),
        (GOOD, ["--config.seed=1"], ["--config.seed", "get_sweep()"]),
        (GOOD, ["--config.sed=1"], ["sed", "'seed'"]),
        (GOOD, ["--worker=2"], ["flag 'worker'", "did you mean 'workers'"]),
        (GOOD, ["extra"], ["'extra' is no flag"]),
        (GOOD, ["--config=configs/quickstart.py"], ["configs/quickstart.py", "does not define get_sweep()"]),
        (GOOD, ["--config=no.py"], ["no.py", "no such Python file"]),
        (GOOD, ["--workdir="], ["--workdir is missing"]),
        (GOOD, ["--workdir=README.md"], ["--workdir=README.md", "is a file"]),
        (GOOD, ["--workdir=configs"], ["--workdir=configs", "no sweep.json"]),
        (GOOD, ["--workdir=/proc/sweep"], ["--workdir=/proc/sweep", "cannot be written"]),
    ],
)
def test_bad_input(axes, arguments, words, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(study.NEEDS, "gp", "torch_that_nobody_has")
    config = config_file(tmp_path, axes)
    status = sweep.main(program(tmp_path / "runs", config, *arguments))
    error = capsys.readouterr().err
    assert status == 2 and error.count("\n") == 1 and "secret" not in error, error
    for word in words:
        assert word in error
    assert list(tmp_path.iterdir()) == [config]


def test_dry_run_and_help_create_nothing(tmp_path, capsys):
    config = config_file(tmp_path, GOOD)
    storage = "--storage=postgresql://me:hunter2@host/x"
    assert sweep.main(program("", config, "--dry_run", "--trials=5", "--workers=2", storage)) == 0
    out = capsys.readouterr().out
    assert "R3NN_STORAGE keeps the password out" in out and "hunter2" not in out
    assert "10: 5 configurations x 2 values of seed" in out and "0.0001 to 0.01, logarithmic" in out
    assert "--config.optimizer.lr=0.0001 --config.seed=0" in out and list(tmp_path.iterdir()) == [config]
    with pytest.raises(SystemExit):
        sweep.main(["sweep.py", "--help"])
    help = " ".join(capsys.readouterr().out.split())
    assert "--workers" in help
    readme = (ROOT / "experiments" / "README.md").read_text("utf-8")
    for flag, words in (("sampler", sweep.SAMPLERS), ("pruner", sweep.PRUNERS)):
        assert f"`--{flag}={'|'.join(words)}`" in readme and ", ".join(words) in help
    assert {*sweep.SAMPLERS} == {*study.SAMPLERS} and {*sweep.PRUNERS} == {*study.PRUNERS}
