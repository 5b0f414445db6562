"""Runs that are watched, and runs that train side by side in one program."""

import dataclasses
import functools
import json
import os
import shutil
import signal
from pathlib import Path

import jax
import numpy as np
import pytest

import experiments
from experiments.building.assembly import build
from experiments.errors import BadInput, Interrupted, NotFinite, Pruned
from experiments.run.engines import begin
from experiments.run.grouping import alike
from experiments.run.loop import Member
from experiments.run.training import run, run_members
from r3nn import training
from tests import runs
from tests.runs import everything

tiny = functools.partial(runs.tiny, **{"train.checkpoint_every": 12, "devices": 1})


def lines(workdir: Path, kind: str = "") -> list[dict]:
    """Those of metrics.jsonl, of one kind or all."""
    found = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in found if kind in ("", line["kind"])]


def steps(workdir: Path) -> list[int]:
    """Of its checkpoints."""
    return sorted(int(folder.name) for folder in (workdir / "checkpoints").iterdir())


def assert_same_run(one: Path, other: Path):
    """As if the one were the other: files, lines, result, states; times and rounding apart."""
    names = lambda folder: {path.name for path in folder.iterdir()}
    assert names(one) == names(other) and steps(one) == steps(other)
    results = [json.loads((folder / "result.json").read_text()) for folder in (one, other)]
    records = [*zip(lines(one), lines(other), strict=True), [r["metrics"] for r in results]]
    for mine, alone in records:
        assert mine.keys() == alone.keys()
        numbers = mine.keys() - {"kind", "seconds"}
        for name in numbers:
            np.testing.assert_allclose(mine[name], alone[name], rtol=1e-4, atol=1e-6)
    differing = {"metrics", "value", "held_out", "seconds", "finished"}
    left, right = ({k: v for k, v in result.items() if k not in differing} for result in results)
    assert left == right
    params = [experiments.load(folder)[1] for folder in (one, other)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *params)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Folders of runs alone: seed 0, pruned half-way and gone on with; seed 1, stopped by its target."""
    folder, seen = tmp_path_factory.mktemp("alone"), []

    def watch(update, value):
        seen.append((update, value))
        assert lines(folder / "0", "eval")[-1]["mse"] == value
        if len(seen) == 1:
            raise Pruned("enough")

    with pytest.raises(Pruned, match="enough"):
        run(tiny(), folder / "0", command="0", watch=watch)
    assert steps(folder / "0") == [8] and not (folder / "0" / "result.json").exists()
    result = run(tiny(), folder / "0", command="0", watch=watch)
    assert [update for update, _ in seen] == [8, 14] and result["updates"] == 14
    assert result["held_out"] == min(value for _, value in seen)
    run(tiny(**{"seed": 1, "optimizer.lr": 0.03, "train.target": 100.0}), folder / "1", command="1")
    return folder


def test_who_watches_sees_each_evaluation_and_may_end_the_run(alone):
    """What `alone` asserts; and the log is that of a run that nobody ended."""
    assert [(line["kind"], line["update"]) for line in lines(alone / "0")] == [
        *(("train", 4), ("train", 8), ("eval", 8)),
        *(("train", 12), ("train", 14), ("eval", 14)),
    ]


def test_members_are_as_if_each_had_run_alone(alone, tmp_path):
    """Six on four devices, of which two end early, one is through before, and one may not have its folder."""
    outcomes = {}

    def prune(update, value):
        assert lines(tmp_path / "3", "eval") == [lines(tmp_path / "3")[-1]]
        raise Pruned(f"{update}")

    members = [
        Member(tiny(), tmp_path / "0", "0"),
        Member(tiny(**{"seed": 1, "optimizer.lr": 0.03, "train.target": 100.0}), tmp_path / "1", "1"),
        Member(tiny(**{"optimizer.lr": 1e30}), tmp_path / "2"),
        Member(tiny(seed=3), tmp_path / "3", watch=prune),
        Member(tiny(), alone / "0", "never"),
        Member(tiny(seed=4), tmp_path / "4"),
        Member(tiny(seed=4), tmp_path / "4"),
    ]
    before = everything(alone)
    found = run_members(members, lambda i, outcome: outcomes.setdefault(i, outcome))
    assert everything(alone) == before and found[4]["command"] == "0"
    assert outcomes == dict(enumerate(found))
    for name in "01":
        assert_same_run(tmp_path / name, alone / name)
    assert found[0]["updates"] == 14 and found[1]["updates"] == 8 and found[1]["reached_target"]
    assert found[5]["updates"] == 14 and steps(tmp_path / "4")[-1] == 14
    assert isinstance(found[6], BadInput) and "another process" in str(found[6])

    assert isinstance(found[2], NotFinite) and str(found[2]).startswith("update 2: ")
    assert steps(tmp_path / "2") == [1] and not lines(tmp_path / "2")
    assert isinstance(found[3], Pruned) and str(found[3]) == "8" and steps(tmp_path / "3") == [8]


def test_a_signal_saves_all_members_and_each_goes_on_from_its_own_step(alone, tmp_path):
    """Two that shall become what the one alone is; the second has lost its newest checkpoint."""
    stop = lambda update, value: os.kill(os.getpid(), signal.SIGTERM)
    config = tiny(**{"train.checkpoint_every": 4})
    members = [Member(config, tmp_path / "0", watch=stop), Member(config, tmp_path / "1")]
    with pytest.raises(Interrupted, match="SIGTERM: stopped and saved 2 runs") as caught:
        run_members(members)
    assert caught.value.status == 128 + signal.SIGTERM and steps(tmp_path / "0") == [4, 8]
    shutil.rmtree(tmp_path / "1" / "checkpoints" / "8")
    run_members([dataclasses.replace(member, watch=None) for member in members])
    strip = lambda line: {name: value for name, value in line.items() if name not in ("kind", "seconds")}
    for name in "01":
        for mine, other in zip(lines(tmp_path / name), lines(alone / "0"), strict=True):
            assert mine["kind"] == other["kind"] and strip(mine) == pytest.approx(strip(other), rel=1e-4)


def test_members_that_cannot_train_together(tmp_path):
    assert alike(tiny()) == alike(tiny(**{"seed": 3, "optimizer.b2": 0.5, "train.target": 1.0}))
    with pytest.raises(ValueError, match=r"differ in seed, train\.target, optimizer\.lr"):
        run_members([Member(tiny(), tmp_path / "0"), Member(tiny(**{"train.batch": 3}), tmp_path / "1")])
    with pytest.raises(BadInput, match="config.devices=2: .* must be 0 or 1"):
        run_members([Member(tiny(devices=2), tmp_path / "0")])
    with pytest.raises(BadInput, match=r"config\.optimizer\.weight_decay=0\.1: "):
        run_members([Member(tiny(), tmp_path / "0"), Member(tiny(**{"optimizer.weight_decay": 0.1}), "1")])
    assert not any(tmp_path.iterdir())


def test_members_at_once_equal_each_by_itself():
    """As GPUs take them; above they come one after another. Noise, pieces and lengths of their own, on two
    devices; the last of four is not active."""
    config = tiny(
        **{"train.tbptt": 4, "train.min_length": 3, "model.dropout": 0.3, "optimizer.name": "adamw"}
    )
    first = build(config)
    vary = lambda i: first.hparams._replace(seed=np.uint32(i), lr=np.float32(0.1 / (i + 1)))
    hparams = [vary(i) for i in range(4)]
    starts = [begin(dataclasses.replace(first, hparams=own)) for own in hparams]
    stack = lambda trees: jax.device_put(
        jax.tree.map(lambda *leaves: np.stack(leaves), *trees), training.member_sharding(2)
    )
    active = np.array([True, True, True, False])
    arguments = first.spec, stack(hparams), stack(starts), jax.device_put(active, training.member_sharding(2))
    program = jax.jit(training.member_updates, static_argnums=(0, 4, 5, 6))
    alone = jax.jit(training.updates, static_argnums=(0, 3))
    wanted = [alone(first.spec, *pair, 5) for pair in zip(hparams, starts, strict=True)]
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    compiled = program.lower(*arguments, 5, 2, True).compile()
    for collective in ("all-reduce", "all-gather", "all-to-all", "collective-permute"):
        assert collective not in compiled.as_text()
    found = jax.device_get(compiled(*arguments[1:]))
    for i in range(3):
        jax.tree.map(close, jax.tree.map(lambda leaf, i=i: leaf[i], found), wanted[i])
    jax.tree.map(np.testing.assert_array_equal, jax.tree.map(lambda leaf: leaf[3], found[0]), starts[3])
    two = dataclasses.replace(first.spec, devices=2)
    with pytest.raises(ValueError, match=r"spec.devices=2: .* must be 1"):
        training.member_updates(two, *arguments[1:], 5)
