"""Every config: it builds, its command is in it, and its training step lowers for every kind of device."""

import ast
import functools
from pathlib import Path

import jax
import pytest
from jax import export
from ml_collections import ConfigDict

from experiments._build import build
from experiments._config import complete, fields, load
from experiments.errors import BadInput
from r3nn import training

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(path for path in (ROOT / "configs").glob("[!_]*.py") if path.name != "default.py")
FULL = ("adding", "copy_memory", "parity", "s3")
NAMES = [
    *(path.stem for path in FILES),
    *(f"{name}:{variant}" for name in FULL for variant in ("full", "smoke")),
    *(f"article:{variant}" for variant in ("lstm_gru", "lstm_lstm")),
    *("adding:lem", "adding:cornn", "r5nn:smoke"),
]


def config(name: str):
    stem, colon, variant = name.partition(":")
    return load(f"{ROOT}/configs/{stem}.py{colon}{variant}")


@pytest.mark.parametrize("name", NAMES)
def test_training_step_lowers_for_every_device(name):
    """Traced and lowered, not compiled: full sizes cost as little as small ones, and no device is needed."""
    experiment = build(config(name))
    step = jax.jit(functools.partial(training.update, experiment.spec))
    state = jax.eval_shape(experiment.start)
    exported = export.export(step, platforms=("cpu", "cuda", "tpu"))(experiment.hparams, state)
    assert exported.platforms == ("cpu", "cuda", "tpu")


def test_training_step_on_two_devices_lowers():
    """The program of each of them, of kinds that this machine may not have."""
    experiment = build(config("quickstart"), devices=2)
    step = jax.jit(functools.partial(training.update, experiment.spec))
    exported = export.export(step, platforms=("cuda", "tpu"))(experiment.hparams, experiment.placed())
    assert exported.nr_devices == 2 and "all_reduce" in exported.mlir_module()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_config_is_a_page_of_a_notebook(path):
    """A question, the command that answers it, how long it takes, what comes out."""
    page = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert page.partition("\n")[0].endswith("?")
    for wanted in (f"--config=configs/{path.name}", "Time:", "Result:"):
        assert wanted in page, wanted


def test_default_holds_every_field_once_with_a_comment():
    text = (ROOT / "configs" / "default.py").read_text("utf-8")
    for name, _ in fields(config("default")):
        (line,) = [line for line in text.splitlines() if f"config.{name} = " in line]
        assert " # " in line, name


@pytest.mark.parametrize("name", FULL + ("r5nn",))
def test_smoke_lasts_seconds(name):
    smoke = config(f"{name}:smoke")
    assert smoke.train.updates <= 50 and build(smoke).parameters < 1000


@pytest.mark.parametrize("name", FULL + ("article", "r5nn"))
def test_unknown_variant_is_refused(name):
    with pytest.raises(BadInput, match="'smal' is unknown; it must be .*"):
        config(f"{name}:smal")


def test_params_pick_the_hidden_size():
    wanted = config("quickstart")
    wanted.model.params = 20_000
    assert build(wanted).parameters == pytest.approx(20_000, rel=0.02)


def test_open_groups_reach_task_and_cell():
    wanted = config("default")
    wanted.task.name, wanted.task.options.labels = "parity", "every"
    wanted.model.init.bias = False
    experiment = build(wanted)
    assert experiment.learner.task.labels == "every"
    assert experiment.parameters < build(config("default")).parameters


def test_a_config_may_leave_fields_out():
    small = complete(ConfigDict({"seed": 3, "optimizer": {"lr": 1}}))
    assert small.seed == 3 and small.optimizer.lr == 1.0
    assert small.train == complete(config("default")).train
    assert small.is_locked
