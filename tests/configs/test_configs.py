"""Every config: it builds, its command is in it, and its training step lowers for every kind of device."""

import ast
import copy
import functools
import inspect
import math
from pathlib import Path

import jax
import pytest
from jax import export
from ml_collections import ConfigDict

from configs._fields import Field, nested
from configs.default import FIELDS
from experiments.building.assembly import build
from experiments.config.command_line import parse
from experiments.config.fields import complete, fields
from experiments.config.loading import load
from experiments.errors import BadInput
from experiments.run.grouping import alike
from r3nn import model, training
from tests.helpers import unless_slow

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for path in (ROOT / "configs").glob("[!_]*.py") if path.name != "default.py")
#: one task each, with the variants :full and :smoke
FULL = """
    a5 adding anbn arrays automaton characters copy_memory cycle_navigation denoise digits dyck
    even_pairs flip_flop formal_language induction_heads listops lorenz mackey_glass majority
    modular_arithmetic modular_arithmetic_brackets mqar parity repeat_first repeat_previous s3 s5
    selective_copying sounds strings time_series
""".split()
#: of these no variant is the article's unit
OWN = """
    adding arrays copy_memory denoise digits formal_language induction_heads mqar repeat_first
    repeat_previous selective_copying strings time_series
""".split()
NAMES = [
    *(path.stem for path in FILES),
    *(f"{name}:{variant}" for name in FULL for variant in ("full", "smoke")),
    *(f"article:{variant}" for variant in ("lstm_gru", "lstm_lstm")),
    *("adding:lem", "adding:cornn", "r5nn:smoke", "parity:random", "s3:random", "strings:bucket_sort"),
    *("mqar:vector", "digits:pixels", "digits:permuted"),
    *(f"{name}:ugrnn" for name in FULL if name not in OWN),
]


#: of each family of tasks one config, at its own size or at another; of `article` one
AT_ONCE = {
    *("adding", "compare_cells", "lorenz", "quickstart", "r5nn", "s3"),
    *("arrays", "copy_memory:smoke", "parity:full", "article:lstm_gru", "adding:cornn", "listops:smoke"),
}


def config(name: str):
    stem, colon, variant = name.partition(":")
    return load(f"{ROOT}/configs/{stem}.py{colon}{variant}")


def built(name: str):
    """Builds a config, or skips the test where its data come with a package that is not installed."""
    try:
        return build(config(name))
    except BadInput as error:
        if "pip install" in str(error):
            pytest.skip(str(error))
        raise


@pytest.mark.parametrize("name", unless_slow(NAMES, AT_ONCE))
def test_training_step_lowers_for_every_device(name):
    """Traced and lowered, not compiled: full sizes cost as little as small ones, and no device is needed."""
    experiment = built(name)

    def step(hparams, state, arrays):
        return training.update(experiment.spec, hparams, state, arrays=arrays)

    state = jax.eval_shape(experiment.start)
    exported = export.export(jax.jit(step), platforms=("cpu", "cuda", "tpu"))(
        experiment.hparams, state, experiment.arrays
    )
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


# Fields are declared once.

OPEN = (-math.inf, math.inf)
LIMITED = [name for name, field in FIELDS.items() if field.of or (field.low, field.high) != OPEN]
TRACED = {name for name, field in FIELDS.items() if field.traced}


def outside(field: Field) -> list:
    """Values of the field's type that it must not have; for floats, those that are no numbers too."""
    if field.of:
        return ["neither"]
    step = 1 if isinstance(field.usual, int) else 0.5
    past = [field.low - step, field.high + step]
    return [value for value in past if math.isfinite(value)] + [math.nan, math.inf] * (step == 0.5)


def test_help_lists_each_field(capsys):
    with pytest.raises(SystemExit):
        parse(["train.py", "--help"], "usage")
    said = capsys.readouterr().out
    for name, field in FIELDS.items():
        usual = ".OPTION" if field.usual == {} else f" = {field.usual!r}"
        assert f"\n{name}{usual}\n    {field.meaning}\n    {field.allowed}" in said


@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if not isinstance(field.usual, str)])
def test_numbers_have_a_range(name):
    """Of all but `train.target`, which may be anything, since a metric may."""
    assert isinstance(FIELDS[name].usual, bool | dict) or name in (*LIMITED, "train.target")


@pytest.mark.parametrize("name", [*LIMITED, "train.target"])
def test_range_is_enforced_with_a_sentence(name):
    """It names the field, the value and what is allowed."""
    field = FIELDS[name]
    for value in outside(field):
        with pytest.raises(BadInput) as refused:
            complete(ConfigDict(nested({name: value})))
        assert str(refused.value) == f"config.{name} must be {field.allowed}, got {value!r}."
    for limit in (field.low, field.high):
        if math.isfinite(limit):
            assert dict(fields(complete(ConfigDict(nested({name: type(field.usual)(limit)})))))[name] == limit


def test_traced_fields_are_the_scalars_of_a_run_and_what_the_host_alone_reads():
    """But for those of the average over devices, of which a member of a group has one."""
    scalars = {name for name in FIELDS if name.rpartition(".")[2] in training.HParams._fields}
    assert scalars - TRACED == {"train.outer_lr", "train.outer_momentum"}
    assert TRACED - scalars == {"train.target", "devices", "profile"}


@pytest.mark.parametrize("name", sorted(TRACED))
def test_no_program_depends_on_a_traced_field(name):
    """The static half of two runs that differ in it is equal, and they go side by side."""
    usual = config("default")
    usual.optimizer.name = "adamw"
    other = copy.deepcopy(usual)
    other.update_from_flattened_dict({name: FIELDS[name].usual * 0.5 + 0.25 if "." in name else 1})
    one, two = (build(complete(each)) for each in (usual, other))
    assert one.config != two.config and one.spec == two.spec
    assert jax.eval_shape(lambda: one.hparams) == jax.eval_shape(lambda: two.hparams)
    assert alike(usual) == alike(other)


def test_build_takes_the_group_as_it_is():
    """Names and values that are off are the same in a config and in the library."""
    group = complete(config("default")).model
    assert model.build(in_size=2, out_size=1, **group) == model.build(in_size=2, out_size=1)
    options = inspect.signature(model.build).parameters
    assert {name: options[name].default for name in group} == group.to_dict()


@pytest.mark.parametrize("name", [*FULL, "r5nn"])
def test_smoke_lasts_seconds(name):
    smoke = config(f"{name}:smoke")
    assert smoke.train.updates <= 50 and built(f"{name}:smoke").parameters < 4000


@pytest.mark.parametrize("name", [*FULL, "article", "r5nn"])
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
