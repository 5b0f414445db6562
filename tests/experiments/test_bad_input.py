"""What programs refuse: in one sentence that names field or flag, value and what is allowed; nothing changes.

sweeps/test_sweep.py and processes/test_processes.py have rows of their own: of search spaces, of processes.
"""

import contextlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from ml_collections import ConfigDict

from configs import default
from experiments import errors, evaluate, sweep, train
from experiments.building.assembly import build
from experiments.config.command_line import parse
from experiments.config.fields import complete, fields
from experiments.config.named_code import NAMED
from experiments.errors import BadInput
from experiments.program.caller import CALLER, located
from experiments.program.files import to_json, write
from experiments.saved.checkpoints import Checkpoints, Counters
from experiments.saved.metrics_log import read_lines
from experiments.saved.workdir import Workdir
from experiments.sweeps import plan
from scripts import stress
from tests.runs import ROOT, everything, tiny, train_line

NESTED = 100_000 * "["
pytestmark = pytest.mark.usefixtures("at_the_root")


@pytest.fixture(scope="module")
def bench():
    """The program: a package has its name."""
    spec = importlib.util.spec_from_file_location("bench_program", ROOT / "scripts" / "bench.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """The folder of a run, with the checkpoints of updates 7, 8 and 9."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    experiment, place = build(tiny(devices=1)), Workdir(folder)
    folder.mkdir()
    write(place.config, to_json(experiment.config.to_dict()))
    state = jax.tree.map(lambda leaf: jax.numpy.zeros(leaf.shape, leaf.dtype), experiment.placed())
    with contextlib.closing(Checkpoints(place.checkpoints)) as checkpoints:
        for step in (7, 8, 9):
            counters = Counters(step=step, best=0.1, best_step=7)
            checkpoints.save(state, counters, experiment.config.to_dict())
    return folder


def refused(program, argv, words, capsys, *folders: Path):
    """Asserts that a program says one sentence with these words, and leaves what is in the folders."""
    before = [everything(folder) for folder in folders]
    capsys.readouterr()
    status = program(argv)
    out, error = capsys.readouterr()
    assert status == 2 and not out, (status, out)
    assert error.count("\n") == 1 and error.endswith(".\n") and "Traceback" not in error, error
    assert all(word in error for word in words), error
    assert [everything(folder) for folder in folders] == before


# train

TRAIN = [
    (["--config.modle.cell=gru"], ["modle.cell", "model.cell"]),
    (["--config.sed=1"], ["sed", "'seed'"]),
    (["--config.train=1"], ["config.train", "group"]),
    (["--config.optimizer.lr=fast"], ["optimizer.lr", "float", "'fast'"]),
    (["--config.train.batch=2.5"], ["train.batch", "int", "'2.5'"]),
    (["--config.model.residual=maybe"], ["model.residual", "bool", "'maybe'"]),
    (["--config.model.cell=gruu"], ["gruu", "'gru'"]),
    (["--config.train.batch=100000000"], ["100,000,000 rows of an update", "GiB", "config.train.batch"]),
    (["--config.train.eval_batch=1000000000"], ["1,000,000,000 rows of an evaluation", "train.eval_batch"]),
    (["--config.train.length=1000000000"], ["rows of an update", "config.train.length"]),
    (["--config.train.length=2147483647"], ["config.train.length", "1073741824", "2147483647"]),
    (
        ["--config.model.depth=100000", "--config.train.length=1000", "--config.train.batch=256"],
        ["rows of an update", "GiB"],
    ),
    (["--config.profile=1000000000"], ["config.profile", "at most 1000", "1000000000"]),
    (["--config.optimizer.lr=inf"], ["config.optimizer.lr must be a finite number", "inf"]),
    (["--config.model.cell=lem(dt='x')"], ["config.model.cell", "lem: dt must be a number, got 'x'."]),
    (["--config.model.cell=lem(**{'dt': 1})"], ["config.model.cell", "by name, as in lem(option=1)."]),
    (["--config=" + 5000 * "x" + ".py"], ["--config=xxx", "no such Python file", "configs/quickstart.py"]),
    (["--workdir=" + 1500 * "x/"], ["--workdir=x/", "too many folders"]),
    (["--config.model.cell=no.py:cell"], ["there is no file no.py", "configs"]),
    (["--config.model.depth_cell=lstmm"], ["lstmm", "'lstm'"]),
    (["--config.task.name=addin"], ["addin", "'adding'"]),
    (["--config.task.name=parity", "--config.task.options.label=every"], ["label", "'labels'"]),
    (["--config.task.name=parity", "--config.task.options.labels=all"], ["labels", "'all'", "every"]),
    (["--config.task.name=s3", "--config.task.options.group=S9"], ["S9", "720"]),
    (["--config.optimizer.name=adma"], ["adma", "did you mean 'adam'"]),
    (["--config.optimizer.schedule=step"], ["step", "cosine"]),
    (["--config.model.init.chron=3"], ["config.model.init.chron", "did you mean 'chrono'"]),
    (["--config.model.init.foo=1"], ["config.model.init.foo", "learn_initial"]),
    (["--config.model.init.forget_bias=1.0"], ["config.model.init.forget_bias", "bias"]),
    (["--config.model.init.chrono=9", "--config.model.cell=elman"], ["config.model.init.chrono=9", "Elman"]),
    (["--config.model.init.chrono=1"], ["chrono", "2"]),
    (["--config.model.tie=some"], ["tie", "some", "full"]),
    (["--config.model.tie=²"], ["tie", "²", "full"]),
    (["--config.model.order=random"], ["order", "random", "layerwise"]),
    (["--config.model.mode=newtonn"], ["mode", "newtonn", "scan"]),
    (["--config.model.norm=batch"], ["batch", "rms"]),
    (["--config.model.feedback=logits"], ["feedback", "logits", "values"]),
    (["--config.model.feedback=probabilities"], ["config.model.feedback", "adding", "'values'"]),
    (
        ["--config.task.name=s3", "--config.model.feedback=values", "--config.train.teacher_forcing=true"],
        ["config.model.feedback", "s3", "'probabilities'"],
    ),
    (
        ["--config.model.feedback=values", "--config.model.order=layerwise", "--config.model.depth=2"],
        ["order", "layerwise", "auto"],
    ),
    (["--config.model.params=1000000000000"], ["parameters", "GiB"]),
    (["--config.model.hidden_size=1000000"], ["parameters", "GiB"]),
    (["--config.model.hidden_size=1000000000000"], ["config.model.hidden_size", "at most 2147483647"]),
    ([f"--config.model.cell=m2rnn(keys={10**20})"], ["parameters", "GiB"]),
    (["--config.model.predict=all"], ["predict", "all", "last"]),
    (["--config.model.encoder=embedding"], ["encoder", "embedding", "features"]),
    (["--config.model.encoder=conv"], ["encoder", "conv", "linear"]),
    (["--config.precision=low"], ["precision", "low", "highest"]),
    (["--config.model.compute_dtype=float16"], ["config.model.compute_dtype", "float16", "bfloat16"]),
    (["--config.compute_dtype=bfloat16"], ["'compute_dtype' is unknown", "'model.compute_dtype'"]),
    (["--config.devices=4"], ["config.devices=4", "divide", "config.train.batch=2"]),
    (["--config.devices=8", "--config.train.batch=8"], ["config.devices=8", "at most 4, the"]),
    (["--config.model.mode=linear"], ["config.model.mode='linear'", "plain, scan, chunked"]),
    (["--config.model.chunk=3", "--config.model.memory=9"], ["chunk=3", "memory=9", "not both"]),
    (["--config.model.mode=chunked", "--config.model.memory=9"], ["memory=9", "bytes"]),
    *(
        ([f"--config.{name}={value}"], [f"config.{name}", "at least 1", value])
        for name in ("train.batch", "train.updates", "train.log_every", "model.hidden_size", "model.depth")
        for value in ("0", "-3")
    ),
    *(
        ([f"--config.{name}={value}"], [f"config.{name}", value])
        for name, value in [
            ("seed", "-1"),
            ("seed", "4294967296"),
            ("model.params", "-1"),
            ("model.width", "-1"),
            ("train.min_length", "-1"),
            ("train.tbptt", "-1"),
            ("model.chunk", "-1"),
            ("model.memory", "-1"),
            ("devices", "-1"),
            ("optimizer.lr", "-0.1"),
            ("optimizer.lr", "nan"),
            ("optimizer.b2", "1.5"),
            ("optimizer.b1", "1.0"),
            ("optimizer.b2", "1.0"),
            ("cache_dir", "README.md/cache"),
            ("optimizer.end_fraction", "2.0"),
            ("optimizer.clip", "-1.0"),
            ("train.target", "inf"),
        ]
    ),
    (["--config.train.length=1"], ["config.train.length", "2", "1"]),
    (["--config.train.min_length=7"], ["min_length", "6", "7"]),
    (["--config.optimizer.warmup=15"], ["warmup", "14", "15"]),
    (["--config.optimizer.weight_decay=0.1"], ["weight_decay", "0.1", "adamw"]),
    (["--config.optimizer.end_fraction=0.1"], ["end_fraction", "0.1", "cosine"]),
    (["--config.train.teacher_forcing=true"], ["config.train.teacher_forcing", "feedback"]),
    (["--config.model.teacher_forcing=true"], ["'model.teacher_forcing' is unknown", "'train."]),
    (["--config.task.name=s3", "--config.model.predict=last"], ["predict", "last", "every"]),
    (["--config.model.feedback=values", "--config.model.predict=counted"], ["model.predict", "feedback"]),
    (["--config.task.name=anbn", "--config.model.predict=last"], ["predict", "last", "every"]),
    (["--config.task.name=s3", "--config.model.predict=mean"], ["predict", "mean", "every"]),
    (["--config=configs/no.py"], ["configs/no.py", "configs/quickstart.py"]),
    (["--config=configs/adding.py:huge"], ["huge", "full"]),
    (["--config=configs/quickstart.py:full"], ["configs/quickstart.py has no variants"]),
    (["--config=README.md:x"], ["README.md"]),
    (["--workdir="], ["--workdir"]),
    (["--workdir=" + 300 * "x"], ["--workdir", "too long"]),
    (["--dryrun"], ["dryrun", "dry_run"]),
    (["extra"], ["extra"]),
    (
        ["--config.model.feedback=values", "--config.model.order=wavefront", "--config.model.depth=2"],
        ["config.model.order='wavefront'", "feedback", "stepwise"],
    ),
    (
        ["--config.model.feedback=values", "--config.model.mode=newton"],
        ["mode='newton'", "scan"],
    ),
    (
        ["--config.model.order=wavefront", "--config.model.depth=2", "--config.model.mode=newton"],
        ["config.model.mode='newton'", "Wavefront"],
    ),
    (["--config.model.cell=gru("], ["'gru('", "name(other, 4)"]),
    (["--config.model.cell=heads(gru)"], ["heads(gru)", "'count'"]),
    (["--config.model.cell=heads(gru, 2)"], ["config.model.hidden_size=3", "2 heads"]),
    (["--config.model.cell=heads(grux, 2)"], ["'grux'", "'gru'"]),
    (["--config.model.cell=lem(dtt=0.5)"], ["'dtt'", "'dt'"]),
    (["--config.model.cell=README.md"], ["README.md", "unknown"]),
    (["--config.model.cell=configs/default.py"], ["configs/default.py", "write"]),
    (["--config.model.cell=configs/default.py:get_conf"], ["'get_conf' is unknown", "one of (none)"]),
    (["--config.model.cell=configs/default.py:get_config"], ["get_config", "must be a Cell"]),
    (["--config.task.name=configs/default.py:get_config"], ["get_config", "must be a Task"]),
    (["--config.task.name=copy_memory"], ["config.train.length", "21", "6"]),
    (["--config.task.options.foo=1"], ["'adding'", "no options", "'foo'"]),
    (["--config.model.init.dtype=bfloat16"], ["config.model.init.dtype", "left out", "compute_dtype"]),
    (["--config.task=adding"], ["config.task", "group"]),
    (["--config.model.init=3"], ["config.model.init", "group"]),
    (["--config.model.init.chrono.steps=3"], ["'model.init.chrono.steps' is unknown"]),
    (["--config.=3"], ["config.", "group"]),
    (["--config.seed"], ["--config.seed", "Missing value"]),
    (["--configs.seed=1"], ["'configs.seed'", "'config'"]),
    (["--config.optimizer.lr="], ["optimizer.lr", "float", "''"]),
    (["--config.optimizer.lr=1e400"], ["optimizer.lr", "inf"]),
    (["--config.train.updates=1e3"], ["train.updates", "int", "'1e3'"]),
    (["--config.train.updates=99999999999999999999"], ["config.train.updates", "2147483647"]),
    (["--config.train.batch=true"], ["train.batch", "int", "'true'"]),
    (["--config.model.tie=0"], ["config.model.tie", "at least 1", "0"]),
    (
        ["--config.model.layer_norm=true", "--config.model.cell=lru"],
        ["config.model.layer_norm", "LRU"],
    ),
    (["--config.model.zoneout_c=0.1"], ["zoneout c=0.1", "UGRNN"]),
    (["--config.model.dropout=1.0"], ["config.model.dropout", "0.999999", "1.0"]),
    (
        ["--config.model.dropout_candidate=0.1", "--config.model.cell=lru"],
        ["config.model.dropout_candidate", "gated"],
    ),
    (["--config.model.residual=true"], ["config.model.residual", "in_size=2", "hidden_size=3"]),
    (["--config.train.sync_every=3"], ["config.train.updates=14", "sync_every=3"]),
    (["--config.train.outer_lr=0.5"], ["config.train.outer_lr=0.5", "sync_every"]),
    (["--config.cache_dir=/proc/cache"], ["config.cache_dir=/proc/cache", "/proc", "written"]),
    (["--config="], ["--config=:", "configs/quickstart.py"]),
    (["--config=configs"], ["--config=configs:", "configs/quickstart.py"]),
    (["--workdir"], ["--workdir", "Missing value"]),
    (["--workdir=README.md/run"], ["--workdir=README.md/run", "Not a directory"]),
    (["--workdir=/proc/run"], ["--workdir=/proc/run", "cannot be written"]),
    (["--dry_run=maybe"], ["--dry_run", "true or false", "'maybe'"]),
    (["--process=1"], ["--coordinator is missing", "HOST:PORT"]),
    # Fields that are fine alone.
    (["--config.model.width=5"], ["config.model.width=5", "linear or embedding", "must be 0"]),
    (["--config.model.mode=plain", "--config.model.chunk=3"], ["config.model.chunk=3", "plain", "no blocks"]),
    *(
        ([f"--config.model.{word}" for word in words.split()], [f"config.model.{named}", "no blocks"])
        for words, named in [
            ("mode=linear cell=mingru chunk=3", "chunk=3: mode='linear'"),
            ("mode=newton cell=diagonal_gru depth=2 chunk=3", "chunk=3: mode='newton'"),
        ]
    ),
    (["--config.model.mode=newton", "--config.model.memory=9"], ["config.model.memory=9", "chunked do"]),
    (["--config.model.order=wavefront"], ["config.model.order='wavefront'", "depth is 1", "'auto'"]),
    (["--config.model.tie=all"], ["config.model.tie='all'", "depth is 1", "'none'"]),
    (["--config.model.depth=3", "--config.model.tie=3"], ["config.model.tie='3'", "2 of depth 3"]),
    (["--config.learner.options.depth_weight=0.5"], ["depth_weight=0.5", "predict_depths"]),
    (["--config.optimizer.name=sgd", "--config.optimizer.b2=0.9"], ["config.optimizer.b2=0.9", "0.999"]),
    (
        ["--config.train.sync_every=2", "--config.profile=3"],
        ["config.profile=3", "multiple", "config.train.sync_every=2"],
    ),
    # Options that default.py does not name.
    (["--config.model.init.bias=perhaps"], ["config.model.init.bias", "true or false", "'perhaps'"]),
    (
        ["--config.model.cell=heads(lstm, 3)", "--config.model.init.forget_bias=much"],
        ["config.model.init.forget_bias", "a finite number", "'much'"],
    ),
    (["--config.model.init.kernel_init=zeros"], ["config.model.init.kernel_init", "left out", "function"]),
    (["--processes=two"], ["--processes must be an integer", "'two'"]),
    # Numbers that float32 does not have: 0 or infinite to it, or subnormal, which XLA takes as 0.
    *(
        ([f"--config.{name}={value}"], [f"config.{name}", value])
        for name, usual in fields(default.get_config())
        for value in ("1e-46", "1.1e-38", "1e+39")
        if isinstance(usual, float)
    ),
    *(
        (["--config.model.cell=" + cell], [f"config.model.cell={cell}: ", *words])
        for cell, *words in [
            ("lem(dt=1e-60)", "dt must be", "1e-60"),
            ("cornn(gamma=1e39, dt=0.1)", "gamma must be", "1e+39"),
            ("heads(scornn(negative=1e-46), 3)", "negative must be", "1e-46"),
        ]
    ),
    (["--config.model.depth_cell=lem(dt=1e-60)"], ["config.model.depth_cell=lem(dt=1e-60): dt", "1e-60"]),
    (
        ["--config.model.cell=lru", f"--config.model.init.max_phase={10**39}"],
        ["config.model.init.max_phase", "3.4e+38"],
    ),
    # Paths.
    (["--workdir=~nobody-here/run"], ["--workdir=~nobody-here/run", "no home folder", "'~nobody-here'"]),
    (["--config=~nobody-here/x.py"], ["--config=~nobody-here/x.py", "no home folder"]),
    (["--config.cache_dir=~nobody-here/x"], ["config.cache_dir=~nobody-here/x", "no home folder"]),
]


@pytest.mark.parametrize("arguments, words", TRAIN, ids=lambda value: " ".join(value))
def test_train(arguments, words, tmp_path, capsys):
    argv = train_line(tmp_path / "run", f"--config.cache_dir={tmp_path / 'cache'}", *arguments)
    refused(train.main, argv, words, capsys, tmp_path)


@pytest.mark.parametrize(
    "text, words",
    [
        ("def get_config(): pass", ["must return a ConfigDict", "NoneType"]),
        ("def get_config(: pass", ["cannot be run", "SyntaxError", "line 1"]),
        ("import nothing_of_this_name", ["cannot be run", "nothing_of_this_name"]),
        ("def get_config(): return 1 / 0", ["cannot be run", "division by zero"]),
        ("config = 3", ["does not define get_config()"]),
        (
            "from configs import default\n\ndef get_config():\n    c = default.get_config()\n"
            "    c.modle.cell = 'gru'\n    return c\n",
            ["modle", "model"],
        ),
    ],
    ids=["nothing", "syntax", "import", "error", "no function", "misspelt group"],
)
def test_config_files(text, words, tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(text)
    argv = ["train.py", f"--config={path}", f"--workdir={tmp_path / 'run'}"]
    refused(train.main, argv, [str(path), *words], capsys, tmp_path)


@pytest.mark.parametrize("field", ["model.cell", "model.depth_cell", "task.name"])
@pytest.mark.parametrize(
    "text, error",
    [
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("def cell(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
    ids=["import", "syntax", "exit"],
)
def test_files_of_cells_and_tasks(field, text, error, tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(text)
    argv = train_line(tmp_path / "run", cache_dir="", **{field: f"{path}:value"})
    refused(train.main, argv, [f"config.{field}={path}:value", error, "R3NN_TRACEBACK=1"], capsys, tmp_path)


CELL = """
import dataclasses
from typing import NamedTuple
import jax.numpy as jnp
from r3nn.cells import GatedCell

class Gates(NamedTuple):
    candidate: object

@dataclasses.dataclass(frozen=True)
class Mine(GatedCell):
    gates = Gates
    def core(self, params, state, u, r):
        return jnp.tanh(u.candidate + r.candidate)

mine = Mine()
"""


@pytest.mark.parametrize(
    "field, name, change, words",
    [
        (
            "cell",
            "mine",
            ("u.candidate", "u.update"),
            ["Mine.core", "gate 'update'; its gates are candidate"],
        ),
        ("depth_cell", "mine", ("u.candidate", "params.w"), ["Mine.core", "'w' of GatedParams"]),
        ("cell", "mine", ("u.candidate", "u.candidate[..., :2]"), ["Mine.core", "(2, 2), (2, 3)"]),
        ("cell", "mine", ("gates = Gates", ""), ["Mine.gates is None", "NamedTuple"]),
        ("cell", "mine", ("@dataclasses.dataclass(frozen=True)", ""), ["Mine is no frozen dataclass itself"]),
        ("cell", "mine", ("u.candidate", "missing"), ["Mine.core", "NameError", "'missing'"]),
        ("cell", "Mine", ("", ""), ["must be a Cell value", "did you mean Mine()?"]),
        ("cell", "mie", ("", ""), ["did you mean 'mine'", "one of mine."]),
    ],
)
def test_cells_at_fault(field, name, change, words, tmp_path, capsys):
    """The field, class and method: not the params that the cell has drawn itself."""
    path = tmp_path / "mine.py"
    path.write_text(CELL.replace(*change))
    argv = train_line(tmp_path / "run", cache_dir="", **{f"model.{field}": f"{path}:{name}"})
    refused(train.main, argv, [f"config.model.{field}={path}:{name}", *words], capsys, tmp_path)


@pytest.mark.parametrize(
    "line, error",
    [
        ("return missing", "NameError: name 'missing'"),
        ("return jnp.ones(2) + jnp.ones(3)", "incompatible shapes"),
    ],
)
def test_a_task_at_fault(line, error, tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(
        "import dataclasses\nimport jax.numpy as jnp\nfrom r3nn.tasks import Adding\n\n"
        "@dataclasses.dataclass(frozen=True)\nclass Mine(Adding):\n"
        f"    def example(self, key, length, max_length):\n        {line}\n\nmine = Mine()\n"
    )
    argv = train_line(tmp_path / "run", cache_dir="", **{"task.name": f"{path}:mine"})
    refused(train.main, argv, [f"config.task.name={path}:mine", error], capsys, tmp_path)


def test_a_function_in_a_config():
    with pytest.raises(BadInput, match="config.model.init.mine must be fit for config.json, got <function"):
        complete(ConfigDict({"model": {"init": {"mine": lambda: 0}}}))


def test_config_is_asked_for(capsys):
    refused(train.main, ["train.py", "--workdir=x"], ["--config is missing", "quickstart"], capsys)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda path: path.write_text("mine"), ["is a file"]),
        (
            lambda path: (path.mkdir(), (path / "notes.txt").write_text("mine")),
            ["notes.txt", "not the folder"],
        ),
        (
            lambda path: (path.mkdir(), (path / "config.json").write_text("{")),
            ["config.json", "not the config"],
        ),
        (
            lambda path: (path.mkdir(), (path / "config.json").write_text('{"compute_dtype": "float32"}')),
            ["config.json", "not the config of a run of this version", "'compute_dtype' is unknown"],
        ),
        (
            lambda path: (path.mkdir(), (path / "config.json").write_text(NESTED)),
            ["config.json", "nested too deep"],
        ),
        (lambda path: (path.mkdir(), (path / "config.json").mkdir()), ["config.json"]),
        (lambda path: path.symlink_to("/proc/no/such"), ["cannot be written"]),
    ],
    ids=["a file", "foreign", "broken", "of before", "nested", "folder for file", "unwritable"],
)
def test_workdirs(make, words, tmp_path, capsys):
    make(tmp_path / "run")
    argv = train_line(tmp_path / "run", cache_dir="")
    refused(train.main, argv, [str(tmp_path / "run"), *words], capsys, tmp_path)


def test_another_config_in_the_same_folder(workdir, capsys):
    argv = train_line(workdir, cache_dir="", **{"optimizer.lr": 0.2})
    refused(train.main, argv, ["config.optimizer.lr", str(workdir)], capsys, workdir)


def test_traceback_is_shown_when_asked_for(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("R3NN_TRACEBACK", "1")
    assert train.main(train_line(tmp_path / "run", **{"train.batch": 0})) == 2
    assert "Traceback" in capsys.readouterr().err


def test_wrong_types_in_a_config_file():
    with pytest.raises(BadInput, match="config.train.batch must be of type int, got 'many'"):
        complete(ConfigDict({"train": {"batch": "many"}}))
    with pytest.raises(BadInput, match="unknown: did you mean 'train.batch'"):
        complete(ConfigDict({"train": {"bach": 3}}))


# Files that are read, the output, memory.


def test_json_that_is_nested_deeply_counts_as_not_there(tmp_path):
    place = Workdir(tmp_path)
    for path in (place.metrics, place.result, place.config):
        path.write_text(NESTED)
    assert read_lines(place.metrics) == [] and place.read_result() is None and place.devices() == 0


def test_a_pipe_that_nobody_reads(monkeypatch, capfd):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert errors.ending(lambda: print("line", flush=True)) == errors.UNREAD
        assert errors.ending(lambda: print("line")) == 0  # the pipe is the null device now
    assert not capfd.readouterr().err


def test_a_pipe_of_another_kind_is_an_error():
    with pytest.raises(BrokenPipeError):
        errors.ending(lambda: (_ for _ in ()).throw(BrokenPipeError("of a socket")))


@pytest.mark.parametrize(
    "error, word",
    [
        (MemoryError(), "memory ran out"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."), "allocating 9 bytes"),
    ],
)
def test_memory_that_runs_out(error, word, capsys):
    def program():
        raise error

    assert errors.ending(program) == 4
    said = capsys.readouterr().err
    assert word in said and said.count("\n") == 1 and said.endswith(".\n")


# evaluate


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["--lengths=4"], "--workdir"),
        (["--workdir=no/such/folder", "--lengths=4"], "no/such/folder"),
        (["--workdir=tests", "--lengths=4"], "tests"),
        (["--workdir={run}"], "--lengths"),
        (["--workdir={run}", "--generate=-1"], "--generate"),
        (["--workdir={run}", "--generate=5"], "continue"),
        (["--workdir={run}", "--lengths=4,x"], "'x'"),
        (["--workdir={run}", "--lengths=4,,8"], "''"),
        (["--workdir={run}", "--lengths=4,-8"], "'-8'"),
        (["--workdir={run}", "--lengths=٣"], "'٣'"),
        (["--workdir={run}", f"--lengths=4,{2**30}", "--batch=1024"], "GiB"),
        (["--workdir={run}", "--lengths=4", f"--chunk={2**50}"], "GiB"),
        (["--workdir={run}", "--lengths=4,8.5"], "'8.5'"),
        (["--workdir={run}", "--lengths=8,4,8"], "8 stands"),
        (["--workdir={run}", "--lengths=1,4"], "2 to"),
        (["--workdir={run}", "--lengths=4", "--chunk=0"], "--chunk"),
        (["--workdir={run}", "--lengths=4", "--chunk=many"], "--chunk"),
        (["--workdir={run}", "--lengths=4", "--batch=0"], "--batch"),
        (["--workdir={run}", "--lengths=4", "--sequences=1"], "--sequences"),
        (["--workdir={run}", "--lengths=4", "--sequences=99999999999"], "--sequences"),
        (["--workdir={run}", "--lengths=4", "--seed=-1"], "--seed"),
        (["--workdir={run}", "--lengths=4", "--step=6"], "7, 8, 9"),
        (["--workdir={run}", "--lengths=4", "--seed=x"], "--seed must be an integer"),
        (["--workdir={run}", "--lengths=4", "--step"], "Missing value"),
        (["--workdir={run}", "--lengths=4", "--chnk=6"], "did you mean 'chunk'?"),
        (["--workdir={run}", "--lenghts=4"], "did you mean 'lengths'?"),
        (["--workdir={run}", "--lengths=4", "more"], "'more'"),
        (["--workdir={empty}", "--lengths=4"], "checkpoint"),
    ],
)
def test_evaluate(workdir, tmp_path, capsys, arguments, word):
    write(tmp_path / "config.json", (workdir / "config.json").read_text())
    argv = ["evaluate.py", *(text.format(run=workdir, empty=tmp_path) for text in arguments)]
    refused(evaluate.main, argv, [word], capsys, workdir, tmp_path)


def test_evaluate_of_another_format(workdir, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("experiments.saved.checkpoints.FORMAT", 3)
    argv = ["evaluate.py", f"--workdir={workdir}", "--lengths=4"]
    refused(evaluate.main, argv, ["has format 2", "reads format 3"], capsys, workdir)


# sweep, bench, stress: flags

SWEEP = [
    (["--config=configs/quickstart.py"], ["get_sweep()", "configs/quickstart_sweep.py"]),
    (["--config=configs/quickstart_sweep.py:big"], ["configs/quickstart_sweep.py", "'big'", "full"]),
    (["--config=no.py"], ["no.py", "configs/quickstart.py"]),
    (["--config="], ["--config is missing"]),
    (["--workdir="], ["--workdir is missing"]),
    (["--workdir"], ["Missing value", "--workdir"]),
    (["--workers=2.5"], ["--workers must be an integer", "'2.5'"]),
    (["--workers=5000"], ["--workers", "1024", "5000"]),
    (["--together=x"], ["--together must be an integer", "'x'"]),
    (["--seed=-1"], ["--seed", "0", "-1"]),
    (["--sampler=optuna"], ["--sampler", "tpe", "'optuna'"]),
    (["--pruner=hyper"], ["--pruner", "hyperband", "'hyper'"]),
    (["--trails=3"], ["'trails'", "'trials'"]),
    (["--config.optimizer.lrr=1"], ["lrr", "'optimizer.lr'"]),
    (["--config.train.batch=x"], ["train.batch", "int", "'x'"]),
    (["--config.train.batch=0"], ["config.train.batch", "at least 1", "0"]),
    (["more"], ["'more' is no flag"]),
]


@pytest.mark.parametrize("arguments, words", SWEEP, ids=lambda value: " ".join(value))
def test_sweep(arguments, words, tmp_path, capsys):
    argv = ["sweep.py", "--config=configs/quickstart_sweep.py", f"--workdir={tmp_path / 'sweep'}", *arguments]
    refused(sweep.main, argv, words, capsys, tmp_path)


BENCH = [
    (["--cases=gru,lstn"], ["--cases", "'lstn'", "'lstm'"]),
    (["--cases="], ["--cases is empty", "gru"]),
    (["--peers=flux"], ["--peers", "'flux'", "flax"]),
    (["--json=/no/such/bench.json"], ["--json=/no/such/bench.json", "/no/such"]),
    (["--json=/proc/bench.json"], ["--json=/proc/bench.json", "written"]),
    (["--json=tests"], ["--json=tests", "is a folder"]),
    (["--repeats=0"], ["--repeats", "at least 1", "0"]),
    (["--repeats=few"], ["--repeats must be an integer", "'few'"]),
    (["--seconds=nan"], ["--seconds", "nan"]),
    (["--seconds=-1"], ["--seconds", "-1"]),
    (["--limit=-1"], ["--limit", "at least 1", "-1"]),
    (["--devices=0"], ["--devices", "at least 1", "0"]),
    (["--case=gru"], ["'case'", "'cases'"]),
    (["gru"], ["'gru' is no flag"]),
]


@pytest.mark.parametrize("arguments, words", BENCH, ids=lambda value: " ".join(value))
def test_bench(arguments, words, bench, capsys):
    refused(bench.main, ["bench.py", *arguments], words, capsys)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--cycles=0"], ["--cycles", "at least 1", "0"]),
        (["--cycles=all"], ["--cycles must be an integer", "'all'"]),
        (["--workdir=tests"], ["--workdir=tests", "exists"]),
        (["--cycle=3"], ["'cycle'", "'cycles'"]),
    ],
)
def test_stress(arguments, words, capsys):
    refused(stress.main, ["stress.py", *arguments], words, capsys)


# As programs.


@pytest.mark.parametrize(
    "program, arguments, words",
    [
        ("experiments/train.py", ["--config=configs/default.py", "--workdri=x"], ["workdri", "workdir"]),
        ("experiments/evaluate.py", ["--workdir=no/such/run", "--lengths=4"], ["no/such/run"]),
        ("experiments/sweep.py", ["--config=configs/quickstart.py", "--workdir=x", "--worker=2"], ["worker"]),
        ("scripts/bench.py", ["--cases=lstn"], ["'lstm'"]),
    ],
)
def test_as_a_program(program, arguments, words):
    done = started(program, *arguments)
    assert done.returncode == 2 and not done.stdout and done.stderr.count("\n") == 1, done.stderr
    assert all(word in done.stderr for word in words)


def test_help_as_a_program():
    done = started("experiments/train.py", "--help")
    assert done.returncode == 0 and "--config=configs/quickstart.py" in done.stdout


def started(program: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, program, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


# Files of the caller's folder.


def test_files_are_looked_for_in_the_callers_folder_first(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("")
    monkeypatch.setenv(CALLER, str(tmp_path))
    argv = ["train.py", "--config=mine.py:big", "--config", "mine.py", "--config.model.cell=mine.py:leaky"]
    path = tmp_path.resolve() / "mine.py"
    there = ["train.py", f"--config={path}:big", "--config", f"{path}", f"--config.model.cell={path}:leaky"]
    assert located(argv, NAMED) == there
    (tmp_path / "other").mkdir()
    monkeypatch.setenv(CALLER, str(tmp_path / "other"))
    named = f"--config.model.cell={path}:leaky"  # beside the config
    assert located([*there[:2], "--config.model.cell=mine.py:leaky"], NAMED) == [*there[:2], named]
    ours = ["train.py", "--config=configs/quickstart.py", "--config.model.cell=gru", "--workdir=mine.py"]
    assert located(ours, NAMED) == ours


OWN = """
from configs import default
from configs._space import grid


def get_config(cell="mine.py:leaky"):
    config = default.get_config()
    config.model.cell = cell
    return config


def get_sweep():
    return {"model.cell": grid("mine.py:leaky", "gru"), "seed": grid(0, 1)}
"""


def test_files_that_a_config_names(tmp_path, monkeypatch):
    """In the caller's folder, or else beside the config; one that the command line replaces may be wrong."""
    caller, beside = tmp_path / "caller", tmp_path / "beside"
    for folder in (caller, beside):
        folder.mkdir()
        (folder / "mine.py").write_text("")
    (beside / "own.py").write_text(OWN)
    monkeypatch.setenv(CALLER, str(caller))
    cell = lambda *words: parse(["train.py", *words, "--workdir=x"], "").config.model.cell
    assert cell(f"--config={beside}/own.py") == f"{caller.resolve()}/mine.py:leaky"
    (caller / "mine.py").unlink()
    assert cell(f"--config={beside}/own.py") == f"{beside.resolve()}/mine.py:leaky"
    there = (f"{beside.resolve()}/mine.py:leaky", "gru")
    assert plan.space(f"{beside}/own.py")["model.cell"].values == there
    assert cell(f"--config={beside}/own.py:no.py:leaky", "--config.model.cell=gru") == "gru"
    where = f"config.model.cell=no.py:leaky: there is no file no.py in {caller}, {beside} or {os.getcwd()}."
    with pytest.raises(BadInput, match=re.escape(where)):
        cell(f"--config={beside}/own.py:no.py:leaky")


@pytest.mark.parametrize("program", [train, sweep])
@pytest.mark.parametrize("word", ["--config=no.py", "--config.model.cell=no.py:leaky"])
def test_a_file_that_is_nowhere(program, word, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(CALLER, str(tmp_path))
    refused(program.main, ["program", word], ["there is no file no.py", str(tmp_path), os.getcwd()], capsys)


@pytest.mark.parametrize("program", [train, sweep])
def test_a_config_without_its_flag(program, capsys):
    argv = ["program", "configs/quickstart.py"]
    assert program.main(argv) == 2
    assert "did you mean --config=configs/quickstart.py?" in capsys.readouterr().err
