"""scripts/bench.py: what it compares computes the same, and what it says of the times is right."""

import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import r3nn
from r3nn import CELLS, convert
from scripts.bench import contest, floor, peers, problems, registry, report, runner, stacks
from scripts.bench.contest import Built, Contender
from scripts.bench.registry import Bar, Case, Row, Setup

ROOT = Path(__file__).resolve().parents[2]
QUICK = Setup(repeats=1, seconds=0.0)


def contender(name, against, result=1.0):
    return Contender(name, against, lambda *_: Built(lambda: result, np.asarray))


def built(*contenders):
    return [each.build() for each in contenders]


def test_ratios_share_and_summary(monkeypatch):
    """Medians; the best of a rival's contenders counts; the floor's products by their number."""
    seconds = [
        [0.2, 0.1, 9.0],
        [0.5, 0.3, 0.3],
        [0.4, 0.4, 0.4],
        [0.1, 0.1, 0.1],
        [0.01] * 3,
        [0.02] * 3,
    ]
    monkeypatch.setattr(contest, "alternate", lambda calls, setup: seconds)
    each = [contender(*names) for names in (("r3nn", ""), ("nnx", "flax"), ("linen", "flax"), ("t", "torch"))]
    products = [(1, lambda: None), (3, lambda: None)]
    row = contest.race("row", each, built(*each), QUICK, products)
    assert row.ratios == pytest.approx({"flax": 1.5, "torch": 0.5})
    assert row.figures[registry.SHARE] == pytest.approx((0.01 + 3 * 0.02) / 0.2)
    assert [each["ms"] for each in row.contenders] == pytest.approx([200, 300, 400, 100])

    bars = {"flax": Bar(1.4, 1.6), "torch": Bar(least=0.5)}
    monkeypatch.setitem(registry.CASES, "mine", Case(None, bars, "together", True))
    rows = [row, Row("other", {"flax": 6.0})]
    assert report.summary("mine", rows) == [
        "mine against flax: geometric mean 3.00 (reaches 1.40), least 1.50 (MISSES 1.60)",
        "mine against torch: geometric mean 0.50, least 0.50 (reaches 0.50)",
        "mine, share of the matmul floor: geometric mean 0.35, least 0.35 (MISSES 0.60)",
        "mine, a program at that floor against flax: geometric mean 4.29",
        "mine, a program at that floor against torch: geometric mean 1.43",
    ]
    assert "flax 1.50" in report.line(row) and "300.00 ms" in report.line(row)


def test_other_numbers_are_caught():
    each = [contender("r3nn", "", 1.0), contender("same", "s", 1.0001), contender("other", "o", 1.01)]
    contest.race("row", each[:2], built(*each[:2]), QUICK)
    with pytest.raises(AssertionError, match="row: other computes something else"):
        contest.race("row", each, built(*each), QUICK)
    broken = [each[0], contender("nan", "n", float("nan"))]
    with pytest.raises(AssertionError, match="nan computes"):
        contest.race("row", broken, built(*broken), QUICK)


def test_rounds_alternate_and_end(monkeypatch):
    monkeypatch.setattr(contest, "PAUSE", 0)
    order = []
    calls = [lambda i=i: order.append(i) for i in range(2)]
    assert [len(times) for times in contest.alternate(calls, Setup(repeats=5, seconds=60))] == [5, 5]
    assert order == [0, 1] * 5
    assert [len(times) for times in contest.alternate(calls, Setup(repeats=5, seconds=0))] == [3, 3]


@pytest.mark.filterwarnings("ignore")  # torch's and Keras's, on import
def test_peers_compute_the_same():
    """`contest` raises where one does not: a layer by all libraries, and tied levels, run in order."""
    apart = peers.installed(["equinox", "keras"])
    cell, params, xs = problems.problem("lstm", (2, 5, 3, 4))
    others = peers.rivals(apart, "lstm", [params])
    row = contest.contest("lstm", [problems.ours(cell, params), *others], xs, 4, QUICK, tolerance=1e-5)
    assert row.contenders[0]["temp_bytes"] > 0 and row.contenders[0]["state"] == "float32"
    assert "equinox" in apart and row.ratios.keys() == set(apart)

    together = peers.installed(["flax", "torch"])
    cell, params, xs = problems.problem(r3nn.deep(CELLS["gru"], 3, tie="all"), (2, 5, 3, 4))
    params = stacks.without_recurrent_bias(params)
    others = peers.rivals(together, "gru", convert.levels(cell, params)[:2], [0, 1, 1])
    mine = problems.ours(cell, params, back=partial(stacks.by_level, cell, [0, 1, 1]))
    split = stacks.over_cores(cell, params, back=partial(stacks.by_level, cell, [0, 1, 1]))
    row = contest.contest("tied", [mine, split, *others], xs, 4, QUICK, tolerance=1e-5)
    assert len(others) == len(together) + 1 and row.ratios.keys() == {"r3nn", *together}


def test_floor_is_of_a_layer_s_products():
    """Each step of the loops waits for the one before; all products together have the layer's operations."""
    weights = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    h = λ = np.ones((2, 3), np.float32)
    for _ in range(4):
        h = (h @ weights).reshape(2, 2, 3).sum(axis=1)
        λ = np.concatenate([λ, λ], axis=1) @ weights.T
    start = jnp.ones((2, 3))
    np.testing.assert_allclose(floor.forward_loop(4, 2, start, weights), h, rtol=1e-5)
    np.testing.assert_allclose(floor.backward_loop(4, 2, start, weights), λ, rtol=1e-5)
    whole = [(2, 6), (2, 6), (10, 18), (10, 4), (4, 18), (6, 18)]
    blocks = [(10, 18), (10, 4), (4, 18), (6, 18)]  # one block is all: T·B is below its rows
    products = [[way(*arguments) for way in each] for each, arguments in floor.ways(3, 2, 5, 4, 6).values()]
    assert [calls[0].shape for calls in products] == whole
    assert [calls[1].shape for calls in products[2:]] == blocks
    for loops in products[:2]:  # neither grows nor fades
        np.testing.assert_allclose(np.linalg.norm(loops[0]), np.sqrt(2 * 6), rtol=1e-4)
    for once, blockwise in products[2:]:
        np.testing.assert_allclose(once, blockwise, rtol=1e-5)
    assert [(count, call().shape) for count, call in floor.floor(3, 2, 5, 4, 6)] == [(1, s) for s in whole]


def test_floor_over_devices_in_bfloat16():
    """Each device has the products of its share of the batch, from rounded factors, summed in float32."""
    left, right = np.random.default_rng(0).normal(size=(2, 5, 5))
    low = lambda array: np.asarray(array, jnp.bfloat16)
    exact = low(left).astype(float) @ low(right).astype(float)
    np.testing.assert_allclose(
        floor.product(left.astype(np.float32), low(right)), exact, rtol=1e-5, atol=1e-6
    )
    share = floor.ways(3, 2, 5, 4, 6, dtype=jnp.bfloat16)
    del share["gradient of the inputs"]
    split = floor.floor(3, 4, 5, 4, 6, dtype=jnp.bfloat16, devices=2, back=False)
    for (_, call), (each, arguments) in zip(split, share.values(), strict=True):
        one = each[0](*arguments)
        np.testing.assert_allclose(call(), np.concatenate([one, one]), rtol=1e-5)


def test_a_case_that_fails_stops_no_other(monkeypatch, tmp_path, capsys):
    def fails(setup):
        """Fails behind its first row."""
        yield Row("first", {"flax": 2.0})
        raise ValueError("mode='x':\n cannot")

    monkeypatch.setitem(registry.CASES, "fails", Case(fails, {}, "together", True))
    failures = {}
    rows = runner.measure("fails", Setup(), failures)
    assert failures == {"fails": "mode='x': cannot"} and rows == [Row("first", {"flax": 2.0})]
    assert "fails FAILED: mode='x': cannot" in capsys.readouterr().out
    file = tmp_path / "bench.json"
    runner.write(file, {"fails": rows}, failures)
    content = json.loads(file.read_text())
    assert content["failures"] == failures and content["machine"]["jaxlib"]
    assert [Row(**row) for row in content["cases"]["fails"]] == rows
    runner.draw(file)
    assert file.with_suffix(".png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's and Keras's, on import
@pytest.mark.parametrize("name", registry.CASES)
def test_every_case_runs(name):
    """At tiny sizes, where the numbers must agree and the times mean nothing."""
    failures = {}
    setup = Setup(repeats=1, seconds=0.0, limit=4, peers=peers.installed(peers.LIBRARIES))
    rows = runner.measure(name, setup, failures)
    assert not failures and (rows or name == "gpu" and jax.default_backend() != "gpu")
