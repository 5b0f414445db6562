"""experiments/train.py, called in process: what it leaves, how it ends, what it shows."""

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from tensorboardX.proto.event_pb2 import Event

import experiments
from configs import default
from experiments import evaluate, sweep, train
from experiments.config import named_code
from experiments.config.fields import complete
from experiments.config.loading import load
from experiments.errors import BadInput, NotSaved
from experiments.program.durations import duration
from experiments.run import device_count
from experiments.run.screen import Plain, screen
from experiments.run.session import Session, mean
from experiments.run.training import run
from experiments.saved.checkpoints import Counters
from experiments.saved.workdir import Workdir
from r3nn.cells import CELLS
from r3nn.tasks import TASKS
from scripts import stress
from tests.runs import ROOT, TINY, everything, tiny, train_line

pytestmark = pytest.mark.usefixtures("at_the_root")

CACHE = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


def main(workdir, *arguments: str, **fields) -> int:
    return train.main(train_line(workdir, *arguments, **fields))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run."""
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    run(tiny(), workdir, command="the command")
    return workdir


# What a run leaves.


def test_a_run_leaves_its_files(finished):
    names = {path.name for path in finished.iterdir() if not path.name.startswith(".")}
    assert names == {
        *("config.json", "metrics.jsonl", "result.json", "loss_curve.png"),
        *("checkpoints", "tensorboard"),
    }
    assert (finished / "loss_curve.png").read_bytes().startswith(b"\x89PNG")
    assert list((finished / "tensorboard").glob("events.*"))
    assert json.loads((finished / "config.json").read_text())["train"]["updates"] == 14


def test_tensorboard_has_the_rate_the_config_and_the_test_result(finished):
    (path,) = (finished / "tensorboard").glob("events.*")
    found = {}
    for event in events_of(path):
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value))
    assert [step for step, _ in found["train/learning_rate"]] == [4, 8, 12, 14]
    assert all(value.simple_value == np.float32(0.1) for _, value in found["train/learning_rate"])
    ((step, config),) = found["config/text_summary"]
    assert step == 0 and '"hidden_size": 3' in config.tensor.string_val[0].decode()
    result = json.loads((finished / "result.json").read_text())
    ((step, test),) = found["test/mse"]
    assert step == result["tested_update"] and test.simple_value == np.float32(result["value"])


def events_of(path):
    """The events of a file: each stands behind 8 bytes of its length and 4 of a checksum, before 4 more."""
    data = path.read_bytes()
    while data:
        length = int.from_bytes(data[:8], "little")
        yield Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]


def test_a_line_for_each_call_and_each_evaluation(finished):
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [(line["kind"], line["update"]) for line in lines] == [
        *(("train", 4), ("train", 8), ("eval", 8)),
        *(("train", 12), ("train", 14), ("eval", 14)),
    ]
    assert all(
        {"loss", "grad_norm", "mse", "seconds"} <= line.keys() for line in lines if line["kind"] == "train"
    )


def test_result_holds_what_a_table_needs(finished):
    result = json.loads((finished / "result.json").read_text())
    assert result["value"] == result["metrics"]["mse"] and result["baseline"] == pytest.approx(1 / 6)
    assert (result["task"], result["length"], result["updates"], result["seed"]) == ("adding", 6, 14, 0)
    assert result["command"] == "the command" and result["parameters"] == 40
    assert {"jax", "flax", "python", "r3nn"} <= result["versions"].keys()
    assert result["seconds"] > 0 and result["device"]["platform"] == jax.default_backend()
    assert result["config"]["optimizer"]["lr"] == 0.1 and result["config"]["precision"] == "highest"
    assert result["device"]["count"] == result["config"]["devices"] == 1


def test_a_finished_run_says_so_and_does_nothing(finished, capsys):
    before = everything(finished)
    assert main(finished) == 0
    assert "finished already" in capsys.readouterr().out
    assert everything(finished) == before


def test_a_signal_whose_save_fails_is_not_said_to_be_saved(tmp_path, monkeypatch):
    trained = Session.trained

    def interrupted(session, count, metrics):
        os.kill(os.getpid(), signal.SIGTERM)
        return trained(session, count, metrics)

    def full(session, state):
        raise NotSaved("the disk is full.")

    monkeypatch.setattr(Session, "trained", interrupted)
    monkeypatch.setattr(Session, "save", full)
    with pytest.raises(NotSaved, match="full"):
        run(tiny(), tmp_path / "run")


def test_fields_that_change_no_result_may_differ(finished, tmp_path):
    assert main(finished, profile=1) == 0


def test_a_run_goes_on_with_other_devices(finished, tmp_path, capsys):
    """From its first checkpoint, with the same numbers, and it says that the bits are not."""
    workdir = shutil.copytree(finished, tmp_path / "run")
    (workdir / "result.json").unlink()
    shutil.rmtree(workdir / "checkpoints" / "14")
    assert main(workdir, devices=2) == 0
    assert "begun on 1 devices, now 2: the same numbers, not the same bits" in capsys.readouterr().out
    losses = [
        [
            json.loads(line)["loss"]
            for line in (folder / "metrics.jsonl").read_text().splitlines()
            if "loss" in line
        ]
        for folder in (finished, workdir)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    result = json.loads((workdir / "result.json").read_text())
    assert result["device"]["count"] == result["config"]["devices"] == 2


def test_load(finished):
    model, params, config = experiments.load(finished)
    assert config.train.updates == 14 and config.is_locked
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2, 2)), jnp.float32)
    carry, ys = model.chunk(params, model.start(params, (2,)), xs)
    carry, first = model.chunk(params, model.start(params, (2,)), xs[:3])
    _, rest = model.chunk(params, carry, xs[3:])
    np.testing.assert_allclose(ys, jnp.concatenate([first, rest]), atol=1e-6)
    result = json.loads((finished / "result.json").read_text())
    _, same, _ = experiments.load(finished, step=result["tested_update"])
    jax.tree.map(np.testing.assert_array_equal, params, same)


# Paths, and commands to paste.


def with_code(folder, name: str, text: str = "from r3nn.cells import ugrnn as mine\n") -> str:
    """A cell in a file of that name."""
    (folder / name).write_text(text)
    return f"{folder / name}:mine"


def test_what_comes_next_can_be_pasted(finished, tmp_path, capsys):
    """Also where the folder's name means something to a shell, and the run needs code of the user's."""
    cell, workdir = with_code(tmp_path, "mine.py"), tmp_path / "it's `touch here` & $HOME"
    shutil.copytree(finished, workdir)
    record = json.loads((workdir / "config.json").read_text())
    record["model"]["cell"] = cell  # as older versions wrote it, without the sum of its content
    (workdir / "config.json").write_text(json.dumps(record))
    assert main(workdir, **{"model.cell": cell}) == 0
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert words[:2] == ["scripts/run", "experiments/evaluate.py"]
    asked = evaluate.parse(words[1:])
    assert (asked.workdirs, asked.lengths, asked.allow_code) == ([str(workdir)], [6, 12, 24, 48], True)
    assert main(finished) == 0
    assert "--allow_code" not in capsys.readouterr().out


def test_home(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(finished, tmp_path / "run")
    assert experiments.load("~/run")[2].train.updates == 14
    (tmp_path / "mine.py").write_text("from configs.default import get_config\n")
    fields = [f"--config.{name}={value}" for name, value in TINY.items()]
    assert train.main(["train.py", "--config=~/mine.py", "--workdir=~/run", *fields]) == 0
    asked = sweep.parse(["sweep.py", "--config=~/mine.py:full", "--workdir=~/sweep"])
    assert (asked.config, asked.workdir) == (f"{tmp_path}/mine.py:full", f"{tmp_path}/sweep")
    assert stress.parse(["stress.py", "--workdir=~/new"]).workdir == f"{tmp_path}/new"


def test_a_run_knows_its_code_by_content(tmp_path):
    """Another path with the same content is the same run; another content is not."""
    mine, same = with_code(tmp_path, "mine.py"), with_code(tmp_path, "same.py")
    other = with_code(tmp_path, "other.py", "from r3nn.cells import ugrnn\n\nmine = ugrnn\n")
    place = Workdir(tmp_path / "run")
    for cell in (mine, same, os.path.relpath(mine)):
        with place.claimed(complete(tiny(**{"model.cell": cell}))):
            pass
    place.metrics.write_text("{}\n")  # something was trained
    refused = r"config.model.cell \(the content of the file counts\); take that config"
    with pytest.raises(BadInput, match=refused), place.claimed(complete(tiny(**{"model.cell": other}))):
        pass
    with_code(tmp_path, "mine.py", "mine = 3\n")
    with (
        pytest.raises(BadInput, match=refused),
        place.claimed(complete(tiny(**{"model.cell": mine}))),
    ):
        pass
    with place.claimed(complete(tiny(**{"model.cell": same}))):
        pass


def test_a_run_knows_the_file_of_its_task_by_content(tmp_path):
    """As it knows its code; the suffix is part of what the content means."""
    machines = [
        '{"next": [[0, 1], [1, 0]], "output": [0, 1]}',
        '{"next": [[0, 1], [1, 0]], "output": [1, 0]}',
    ]
    names = ("mine.json", "same.json", "other.json")
    for name, machine in zip(names, (machines[0], *machines), strict=True):
        (tmp_path / name).write_text(machine)
    mine, same, other = (
        complete(tiny(**{"task.name": "automaton", "task.options": {"file": str(tmp_path / name)}}))
        for name in names
    )
    place = Workdir(tmp_path / "run")
    with place.claimed(mine):
        pass
    place.metrics.write_text("{}\n")  # something was trained
    with place.claimed(same):
        pass
    refused = r"config.task.options.file \(the content of the file counts\); take that config"
    with pytest.raises(BadInput, match=refused), place.claimed(other):
        pass
    assert not named_code.changed(place.read_record())
    (tmp_path / "mine.json").write_text(machines[1])
    assert named_code.changed(place.read_record()) == [tmp_path / "mine.json"]
    with pytest.raises(BadInput, match=refused), place.claimed(mine):
        pass


def test_load_refuses(finished, tmp_path):
    with pytest.raises(BadInput, match="step=3: .* has "):
        experiments.load(finished, step=3)
    with pytest.raises(BadInput, match="no readable config.json"):
        experiments.load(tmp_path)


def test_import_is_light():
    code = "import sys, experiments; assert not {'jax', 'orbax', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("task", [name for name, task in TASKS.items() if not task.finite])
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_trains_on_every_task_from_the_quickstart(cell, task, tmp_path):
    config = load("configs/quickstart.py")
    wanted = {
        **{"task.name": task, "model.cell": cell, "model.depth_cell": cell, "model.hidden_size": 8},
        **{"train.updates": 100, "train.log_every": 10, "train.batch": 16},
        **{
            "train.length": max(24, TASKS[task].min_length),
            "train.min_length": max(21, TASKS[task].min_length),
        },
        "train.target": 0.0,
    }
    if task != "adding":  # their losses count other steps than the last
        wanted["model.predict"] = "every"
    if not getattr(CELLS[cell], "keeps", ()) + getattr(CELLS[cell], "writes", ()):  # it has no such gate
        wanted["model.init.chrono"] = 0.0  # none, for cells that know no such option too
    config.update_from_flattened_dict(wanted)
    result = run(config, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["kind"] == "train"]
    assert len(losses) == 10 and None not in losses and min(losses[1:]) < losses[0]
    assert result["updates"] == 100 and np.isfinite(result["value"])


# How a run ends.


def test_target_stops_early(tmp_path, capsys, monkeypatch):
    told = []
    monkeypatch.setattr(Plain, "finish", lambda screen: told.append("done"))
    assert main(tmp_path / "run", **{"train.target": 100.0}) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["updates"] == 8 and result["reached_target"] and told == ["done"]
    out = capsys.readouterr().out
    assert "trivial baseline 0.1667" in out and "scripts/run experiments/evaluate.py" in out


def test_not_finite_names_the_update_and_keeps_what_was_good(tmp_path, capsys):
    """A learning rate of 1e30 makes the first update good and the second one not."""
    fields = {"optimizer.lr": 1e30, "optimizer.name": "sgd", "model.cell": "elman"}
    status = main(tmp_path / "run", **fields)
    error = capsys.readouterr().err
    assert status == 3 and error.count("\n") == 1, error
    assert error.startswith("update 2: ") and "not finite" in error
    assert not (tmp_path / "run" / "result.json").exists()
    kept = everything(tmp_path / "run" / "checkpoints")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["1"]
    assert main(tmp_path / "run", **fields) == 3  # a resume meets the same update, and says the same
    assert capsys.readouterr().err == error
    assert everything(tmp_path / "run" / "checkpoints") == kept
    _, params, _ = experiments.load(tmp_path / "run")
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_the_best_state_is_tested_and_the_last_where_that_is_damaged(tmp_path, capsys):
    """At this rate, and from these parameters, the first evaluation is by far the best one."""
    workdir, fields = tmp_path / "run", {"optimizer.lr": 3.0, "seed": 4}
    assert main(workdir, **fields) == 0
    assert json.loads((workdir / "result.json").read_text())["tested_update"] == 8
    (workdir / "result.json").unlink()
    (workdir / "checkpoints" / "8" / "about" / "metadata").write_text("{}")
    assert main(workdir, **fields) == 0
    assert "the best checkpoint is damaged" in capsys.readouterr().out
    assert json.loads((workdir / "result.json").read_text())["tested_update"] == 14


@pytest.fixture
def judged():
    """Counters behind held-out (accuracy, cross_entropy), one an update, from these counters on."""

    def after(numbers, counters=None, metric="accuracy", tie_breaker="cross_entropy"):
        learner = SimpleNamespace(metric=metric, higher_is_better=True, tie_breaker=tie_breaker)
        session = Session(
            experiment=SimpleNamespace(learner=learner, config=default.get_config()),
            place=None,
            counters=counters or Counters(),
            checkpoints=None,
            log=SimpleNamespace(add=lambda line: None),
            events=SimpleNamespace(add=lambda *line: None),
            screen=SimpleNamespace(say=lambda sentence: None),
            saved=0,
        )
        for accuracy, entropy in numbers:
            session.counters.step += 1
            session.judged({"accuracy": accuracy, "cross_entropy": entropy}, None)
        return session.counters

    return after


def test_of_equal_metrics_the_one_with_the_smaller_tie_breaker_is_the_best(judged):
    """Patience counts gains of the metric alone; a tie with what is unknown changes nothing."""
    nan = float("nan")
    found = judged([(0.5, 0.1), (1.0, 0.3), (1.0, 0.4), (1.0, 0.2), (1.0, nan), (0.9, 0.1)])
    assert found == Counters(step=6, best=1.0, best_tie=0.2, best_step=4, stale=4)
    assert judged([(0.5, 0.9), (0.6, 1.0)]) == Counters(2, best=0.6, best_tie=1.0, best_step=2)
    assert judged([(1.0, 0.3), (1.0, 0.2)], tie_breaker=None) == Counters(2, best=1.0, best_step=1, stale=1)
    before = Counters(4, best=1.0, best_step=3, stale=1)
    assert judged([(1.0, 0.1)], before) == Counters(5, best=1.0, best_step=3, stale=2)
    assert judged([(nan, 0.1)]) == Counters(1, stale=1)


def test_a_run_keeps_the_better_of_checkpoints_that_tie(tmp_path):
    """A parity of one bit is soon all right, and its loss falls on."""
    workdir = tmp_path / "run"
    fields = {"task.name": "parity", "train.length": 1, "train.updates": 40, "train.eval_every": 4}
    assert main(workdir, **fields) == 0
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    found = [line for line in lines if line["kind"] == "eval"]
    best = [line for line in found if line["accuracy"] == max(line["accuracy"] for line in found)]
    assert len(best) > 1
    wanted = min(best, key=lambda line: line["cross_entropy"])
    assert wanted is not best[0]
    assert json.loads((workdir / "result.json").read_text())["tested_update"] == wanted["update"]


def test_a_run_whose_log_is_lost_ends_all_the_same(finished, tmp_path, capsys):
    """It says which lines are missing, deletes nothing, and draws what there is."""
    workdir = shutil.copytree(finished, tmp_path / "run")
    (workdir / "result.json").unlink(), (workdir / "loss_curve.png").unlink()
    lines = (workdir / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (workdir / "metrics.jsonl").write_bytes(b"\xff" + b"".join(lines[:3]))
    before = everything(workdir / "checkpoints")
    assert main(workdir) == 0
    out = capsys.readouterr().out
    assert "metrics.jsonl lacks lines of update 4, 12 to 14" in out and "damaged" not in out
    assert everything(workdir / "checkpoints") == before and (workdir / "loss_curve.png").exists()
    results = [json.loads((folder / "result.json").read_text()) for folder in (finished, workdir)]
    assert results[0]["metrics"] == results[1]["metrics"]


def test_a_result_that_is_not_whole_is_made_again(finished, tmp_path):
    workdir = shutil.copytree(finished, tmp_path / "run")
    (workdir / "result.json").write_text("{}")
    assert main(workdir) == 0
    assert json.loads((workdir / "result.json").read_text())["updates"] == 14


def test_compiled_programs_are_kept(tmp_path):
    before = {name: getattr(jax.config, name) for name in CACHE}
    try:
        assert (
            main(tmp_path / "run", cache_dir=tmp_path / "cache", **{"train.batch": 3, "train.updates": 4})
            == 0
        )
        assert any((tmp_path / "cache").iterdir())
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()


XPROF = ".venv/bin/python -m pip install xprof && .venv/bin/xprof --logdir="


def test_profile_leaves_a_trace_and_says_what_opens_it(tmp_path, capsys):
    assert main(tmp_path / "run", profile=2, **{"train.updates": 4}) == 0
    place = Workdir(tmp_path / "run")
    assert list(place.profile.rglob("*.xplane.pb"))
    closing = capsys.readouterr().out.partition(f"In {place.path}:")[2]
    assert f"  profile/        JAX's trace of some updates: {XPROF}{place.profile}\n" in closing


def test_dry_run_creates_nothing(tmp_path, capsys):
    before = dict(os.environ)
    assert main(tmp_path / "run", "--dry_run") == 0
    out = capsys.readouterr().out
    for row in (
        "1 of 4 cpu, 2 rows",
        "in float32",
        "parameters",
        "FLOPs per update",
        "bytes of the state",
        "time per update",
        "time to train",
        "updates), without compiling, evaluations and checkpoints",
    ):
        assert row in out
    assert not any(tmp_path.iterdir())
    os.environ.clear()
    os.environ.update(before)


# Devices.


@pytest.mark.parametrize(
    "batch, hidden, recorded, wanted, chosen",
    [
        *((32, 32, 0, 0, 2), (32, 64, 0, 0, 4), (30, 64, 0, 0, 3), (2, 3, 0, 0, 1), (7, 512, 0, 0, 1)),
        *((2, 3, 2, 0, 2), (32, 32, 64, 0, 2), (32, 32, 4, 1, 1)),
    ],
)
def test_devices_are_chosen_by_work_record_and_wish(batch, hidden, recorded, wanted, chosen):
    config = default.get_config()
    config.train.batch, config.devices = batch, wanted
    assert device_count.choose(config, hidden, recorded, cores=4) == chosen


def test_more_devices_than_a_cpu_has_cores_are_refused():
    """In a process of its own: here the number of devices is fixed."""
    code = """
from configs import default
from experiments.run import device_count
config = default.get_config()
config.devices = 4
device_count.make_all(cores=3)
device_count.choose(config, 64, cores=3)
"""
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True)
    assert "BadInput: config.devices=4: must be at most 3, the cores of this host." in done.stderr


# What is shown.


def test_means_are_over_the_updates_that_counted_a_step():
    metrics = {"loss": np.float32([0, 2, 4]), "counted": np.int32([0, 3, 1])}
    assert mean(metrics) == {"loss": 3.0}
    assert np.isnan(mean({**metrics, "counted": np.zeros(3, np.int32)})["loss"])


def test_progress_bar_and_lines():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stopped = Terminal()
    bar = screen(100, 0, stopped)
    bar.progress(50, 0.25, 10.0)
    bar.finish(), bar.close()
    assert stopped.getvalue().rpartition("50/100")[2].count("done") == 1
    for out in (Terminal(), io.StringIO()):
        shown = screen(100, 0, out)
        shown.say("hello")
        shown.progress(50, 0.25, 10.0)
        shown.close()
        text = out.getvalue()
        for part in ("hello", "50/100", "0.25", "10.0 updates/s", "5 s left"):
            assert part in text


@pytest.mark.parametrize("seconds, text", [(41.6, "42 s"), (200, "3 min 20 s"), (7505, "2 h 05 min")])
def test_duration(seconds, text):
    assert duration(seconds) == text


# Where a run begins and ends, and what stays of it.


def test_a_run_starts_with_the_parameters_of_another(finished, tmp_path, capsys):
    """With the best ones, whatever optimizer moved them; of another model they are refused."""
    fields = {"train.init_from": str(finished), "train.updates": 8}
    fields |= {"optimizer.name": "sgd", "optimizer.b2": 0.999}
    assert main(tmp_path / "run", **fields, **{"optimizer.lr": 1e-30, "train.target": 0.0}) == 0
    source, started = (experiments.load(folder)[1] for folder in (finished, tmp_path / "run"))
    jax.tree.map(np.testing.assert_array_equal, source, started)
    capsys.readouterr()
    assert main(tmp_path / "other", **{**fields, "model.hidden_size": 4}) == 2
    assert "is sound, but of another model" in capsys.readouterr().err and not (tmp_path / "other").exists()
    assert main(tmp_path / "other", **{"train.init_from": str(tmp_path)}) == 2
    assert f"config.train.init_from={tmp_path}: has no checkpoint" in capsys.readouterr().err


def test_a_run_whose_patience_is_at_its_end_stops(tmp_path, capsys):
    """At a rate of nothing no evaluation is better than the first; also where it was stopped in between."""
    fields = {"train.patience": 2, "train.updates": 40, "train.eval_every": 4, "optimizer.lr": 1e-30}
    assert main(tmp_path / "run", **fields) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["updates"], result["out_of_patience"], result["reached_target"]) == (12, True, False)
    assert "12 updates in 0 s, stopped early for want of gain" in capsys.readouterr().out


def test_checkpoints_spaced_in_the_logarithm_stay(tmp_path):
    fields = {"train.keep": 3, "train.updates": 27, "train.log_every": 1, "train.checkpoint_every": 1}
    assert main(tmp_path / "run", **fields, **{"train.eval_every": 27}) == 0
    assert sorted(int(path.name) for path in (tmp_path / "run" / "checkpoints").iterdir()) == [3, 9, 26, 27]


def test_a_batch_in_parts_gives_the_same_numbers(tmp_path):
    lines = []
    for parts in (1, 2):
        folder = tmp_path / str(parts)
        fields = {"train.accumulate": parts, "train.batch": 4, "train.updates": 8, "devices": 1}
        assert main(folder, **fields) == 0
        lines.append([json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()])
    for whole, other in zip(*lines, strict=True):
        for name in whole.keys() - {"kind", "seconds"}:
            np.testing.assert_allclose(other[name], whole[name], rtol=1e-5, atol=1e-6)


def test_a_run_is_loaded_in_each_form(finished):
    """The same predictions by the pure model, its nnx and its linen form."""
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2, 2)), jnp.float32)
    model, params, _ = experiments.load(finished)
    _, wanted = model.chunk(params, model.start(params, (2,)), xs)
    functional, state, _ = experiments.load(finished, form="nnx")
    _, ys = functional.chunk(state, functional.start(state, (2,)), xs)
    np.testing.assert_allclose(ys, wanted, atol=1e-6)
    module, variables, _ = experiments.load(finished, form="linen")
    np.testing.assert_allclose(module.apply(variables, xs.swapaxes(0, 1)), wanted.swapaxes(0, 1), atol=1e-6)
    with pytest.raises(BadInput, match="form must be one of pure, nnx, linen, got 'torch'"):
        experiments.load(finished, form="torch")


def test_an_optimizer_of_ones_own(tmp_path):
    """The named one's numbers, by a function of a file that makes it."""
    file = tmp_path / "mine.py"
    file.write_text("import optax\ndef make(rate, h):\n    return optax.adam(rate, b1=h.b1, b2=h.b2)\n")
    values = []
    for number, name in enumerate(("adam", f"{file}:make")):
        assert main(tmp_path / str(number), **{"optimizer.name": name, "train.updates": 8}) == 0
        values.append(json.loads((tmp_path / str(number) / "result.json").read_text())["value"])
    assert values[0] == values[1]
