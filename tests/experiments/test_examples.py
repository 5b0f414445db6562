"""experiments/examples: each learner is trained, pruned and gone on with, on two devices, side by side."""

import contextlib
import functools
import json
import tempfile
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

import experiments
from experiments import train
from experiments.building.assembly import build
from experiments.config.loading import load
from experiments.errors import BadInput, NotFinite, Pruned
from experiments.run.grouping import alike
from experiments.run.loop import Member
from experiments.run.training import run, run_members
from experiments.saved.checkpoints import Checkpoints
from tests.runs import ROOT

SMALL = {
    **{"model.hidden_size": 3, "train.batch": 4, "train.updates": 8, "train.target": 0.0},
    **{"train.log_every": 2, "train.eval_every": 4, "train.eval_batch": 8, "cache_dir": "", "devices": 1},
}
LENGTHS = {"train.length": 6, "train.min_length": 3}
EXAMPLES = {
    "activity_penalty": LENGTHS,
    "own_arrays": {},
    "policy_gradient": {"learner.options.corridor": 2},
    "flax_module": LENGTHS,
    "flax_module, linen": {**LENGTHS, "learner.options.api": "linen"},
}
each = pytest.mark.parametrize("name", EXAMPLES)


@pytest.fixture(autouse=True, scope="module")
def quick_compilation():
    """Most of these tests' time would go into optimising programs that run once."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def small(name: str, **fields) -> ConfigDict:
    """A run of a few updates."""
    config = load(str(ROOT / "experiments" / "examples" / f"{name.partition(',')[0]}.py"))
    if name == "own_arrays":
        fields.setdefault("learner.options.file", str(waves()))
    config.update_from_flattened_dict({**SMALL, **EXAMPLES[name], **fields})
    return config


@functools.cache
def waves() -> Path:
    """An .npz of 40 sequences of up to 6 steps, the same for all tests."""
    rng, path = np.random.default_rng(0), Path(tempfile.mkdtemp(), "waves.npz")
    label, length = np.arange(40) % 2, rng.integers(3, 7, 40)
    x = np.float32(rng.normal(size=(40, 6, 1)) + label[:, None, None])
    np.savez(path, x=x, label=label, length=length, split=np.repeat([0, 1, 2], [20, 10, 10]))
    return path


def params(folder: Path):
    return experiments.load(folder, allow_code=True)[1]


def lines(folder: Path) -> list[dict]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in found]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """By name: the folder of a run that nothing interrupted, made once."""
    made = {}

    def of(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("whole") / "run"
            run(small(name), made[name])
        return made[name]

    return of


@each
def test_a_run_that_goes_on_has_the_same_bits(name, whole, tmp_path):
    def stop(update, value):
        raise Pruned("enough")

    with pytest.raises(Pruned):
        run(small(name), tmp_path / "run", watch=stop)
    assert len(lines(tmp_path / "run")) == 3
    run(small(name), tmp_path / "run")
    assert lines(tmp_path / "run") == lines(whole(name))
    jax.tree.map(np.testing.assert_array_equal, params(tmp_path / "run"), params(whole(name)))


@pytest.mark.parametrize("name", ["activity_penalty", "own_arrays", "policy_gradient"])
def test_two_devices_give_the_same_numbers(name, whole, tmp_path):
    run(small(name, devices=2), tmp_path / "run")
    for line, other in zip(lines(tmp_path / "run"), lines(whole(name)), strict=True):
        for key in other.keys() - {"kind"}:
            np.testing.assert_allclose(line[key], other[key], rtol=1e-3, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("name, own", [("activity_penalty", "activity"), ("policy_gradient", "entropy")])
def test_side_by_side_each_is_as_if_alone(name, own, whole, tmp_path):
    """And they may differ in a number of the learner's own."""
    other = small(name, **{f"learner.options.{own}": 2.0})
    assert alike(other) == alike(small(name))
    run_members([Member(small(name), tmp_path / "0"), Member(other, tmp_path / "1")])
    both = [lines(tmp_path / str(number))[-1] for number in range(2)]
    wanted = lines(whole(name))[-1]
    for key in wanted.keys() - {"kind"}:
        np.testing.assert_allclose(both[0][key], wanted[key], rtol=1e-3, atol=1e-5, err_msg=key)
    assert any(
        np.any(a != b)
        for a, b in zip(*map(jax.tree.leaves, map(params, (tmp_path / "0", tmp_path / "1"))), strict=True)
    )


def test_what_is_not_finite_is_found(tmp_path):
    with pytest.raises(NotFinite, match=r"update \d+: .* is not finite: losses first at .* in \d of 4"):
        run(small("own_arrays", **{"optimizer.lr": 3e38, "optimizer.clip": 0.0}), tmp_path / "run")


def test_what_a_learner_does_not_read_is_refused(tmp_path, capsys):
    config = f"--config={ROOT}/experiments/examples/policy_gradient.py"
    status = train.main(["train.py", config, f"--workdir={tmp_path / 'run'}", "--config.model.depth=2"])
    assert status == 2 and "config.model.depth=2: " in (said := capsys.readouterr().err)
    assert "does not read it" in said and not (tmp_path / "run").exists()


def test_a_learner_at_fault_is_told_by_its_name(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def make(config):\n    return config.learner.options.weight / 0\n")
    config = small("policy_gradient", **{"learner.name": f"{file}:make"})
    with pytest.raises(
        BadInput, match=r"config.learner.name=.*mine.py:make: fails \(AttributeError: .*weight"
    ):
        build(config, allow_code=True)


def test_a_probe_that_gives_no_scalar_is_refused(tmp_path):
    """Before anything is trained."""
    (tmp_path / "mine.py").write_text(JUDGED.replace("optax.tree.norm(params)", "params"))
    config = small("policy_gradient", **{"learner.name": f"{tmp_path}/mine.py:make"})
    with pytest.raises(BadInput, match="probe 'norm' must give a tree of scalars"):
        build(config, allow_code=True)


def test_other_data_are_refused(tmp_path):
    """In a folder whose run was begun on some."""
    file = tmp_path / "data.npz"
    file.write_bytes(waves().read_bytes())
    config = small("own_arrays", **{"learner.options.file": str(file)})
    run(config, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    with np.load(file) as found:
        changed = {**found, "x": found["x"] + 1}
    np.savez(file, **changed)
    with pytest.raises(BadInput, match="other data"):
        run(config, tmp_path / "run")


JUDGED = """
import dataclasses
import optax
from experiments.examples import policy_gradient


@dataclasses.dataclass(frozen=True)
class Judged(policy_gradient.Maze):
    def after(self, own, shared, params, sums):
        return shared

    def judged(self, shared, metrics):
        return shared + 10 + metrics["reward"]

    @property
    def probes(self):
        return (("norm", lambda params, grads, changes, batch, tally: optax.tree.norm(params)),)


def make(config):
    return Judged(**vars(policy_gradient.make(config)))
"""


def test_an_evaluation_may_change_what_is_shared(tmp_path):
    """Before its checkpoint is saved; alone, and side by side."""
    (tmp_path / "mine.py").write_text(JUDGED)
    config = small("policy_gradient", **{"learner.name": f"{tmp_path}/mine.py:make"})
    run(config, tmp_path / "alone")
    run_members([Member(config, tmp_path / "0"), Member(config, tmp_path / "1")])
    experiment = build(config, allow_code=True)
    for folder in ("alone", "0", "1"):
        rewards = [line["reward"] for line in lines(tmp_path / folder) if line["kind"] == "eval"]
        with contextlib.closing(
            Checkpoints(tmp_path / folder / "checkpoints", read_only=True)
        ) as checkpoints:
            state, _ = checkpoints.read(8, experiment.placed())
        probed = [line["norm"] for line in lines(tmp_path / folder) if line["kind"] == "probe"]
        assert len(probed) == 4 and probed[-1] == pytest.approx(
            float(optax.tree.norm(state.params)), rel=1e-6
        )
        assert float(state.carry.shared) == pytest.approx(20 + sum(rewards)) and len(rewards) == 2
