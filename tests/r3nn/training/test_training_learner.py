"""A learner of one's own: two terms, finite data, what is shared; against NumPy in float64."""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn import training
from r3nn.training import Carry, Learner, Spec
from tests.helpers import assert_close, assert_same

N, D, B = 37, 3, 8  # rows of the data, features, rows of an update


class Own(NamedTuple):
    """The weight of the second term."""

    penalty: Any = 0.5


class Drawn(NamedTuple):
    """Rows of the data; counted: those that the first term is of."""

    x: jax.Array
    y: jax.Array
    counted: jax.Array


@dataclasses.dataclass(frozen=True)
class Line(Learner):
    """Fits x @ w to y, in epochs; the squared outputs are a second term, over all rows."""

    rows: int = N
    own = Own()
    metric = "error"
    higher_is_better = False

    def init(self, key):
        return jax.random.normal(key, (D,))

    def arrays(self):
        draw = np.random.default_rng(0)
        return {
            "x": draw.normal(size=(self.rows, D)).astype(np.float32),
            "y": draw.normal(size=self.rows).astype(np.float32),
        }

    def size(self, split):
        return None if split == "train" else self.rows

    def start(self, params, seed, rows):
        return Carry(jnp.zeros(len(rows), jnp.int32), jnp.float32(0))  # updates of each row; what is shared

    def draw(self, split, seed, at, rows, carry, arrays):
        if split == "train":
            place = at * B + rows
            shuffle = lambda place: training.shuffled(
                jax.random.fold_in(jax.random.key(seed), place // self.rows), place % self.rows, self.rows
            )
            rows = jax.vmap(shuffle)(place)
        return Drawn(arrays["x"][rows], arrays["y"][rows], rows % 3 > 0)

    def loss(self, own, params, carry, batch):
        outputs = batch.x @ params
        error = jnp.where(batch.counted, jnp.square(outputs - batch.y), 0)
        terms = {
            "fit": (1.0, error.sum(), batch.counted.sum()),
            "size": (own.penalty, jnp.square(outputs).sum(), jnp.int32(len(outputs))),
        }
        return terms, {"error": jnp.square(outputs - batch.y)}, carry.rows + 1

    def measure(self, params, carry, batch):
        return {"error": jnp.square(batch.x @ params - batch.y)}, carry.rows

    def metrics(self, tally):
        return {"error": tally["error"].mean()}

    def after(self, own, shared, params, sums):
        return 0.9 * shared + sums["error"]


LINE = Line()
ARRAYS = LINE.arrays()
SPEC = Spec(LINE, batch=B, updates=40, optimizer="sgd")
HPARAMS = SPEC.hparams(seed=np.uint32(3), lr=np.float32(0.1), b1=np.float32(0), clip=np.float32(np.inf))
updates = jax.jit(training.updates, static_argnums=(0, 3))


def start(spec):
    return training.start(spec, HPARAMS, spec.learner.init(jax.random.key(1)))


def by_hand(count: int, sync_every: int = 1, replicas: int = 1):
    """(losses, params, shared) in NumPy, with the order of rows that the learner has."""
    params, shared, losses = np.asarray(start(SPEC).params, np.float64), 0.0, []
    for first in range(0, count, sync_every):
        own, tally = [params.copy() for _ in range(replicas)], 0.0
        for at in range(first, first + sync_every):
            batch = LINE.draw(
                "train", jnp.uint32(3), at, jnp.arange(B), Carry(), jax.tree.map(jnp.asarray, ARRAYS)
            )
            leaves = [np.split(np.asarray(leaf), replicas) for leaf in batch]
            shares = list(zip(*leaves, strict=True))
            fit = size = counted = 0.0
            for r, (x, y, mask) in enumerate(shares):
                x, out = x.astype(np.float64), x.astype(np.float64) @ own[r]
                tally += np.square(out - y).sum()
                fit, size, counted = (
                    fit + (mask * (out - y) ** 2).sum(),
                    size + (out**2).sum(),
                    counted + mask.sum(),
                )
                gradient = 2 * x.T @ (mask * (out - y)) / mask.sum() + 0.5 * 2 * x.T @ out / len(x)
                own[r] = own[r] - 0.1 * gradient
            losses.append(fit / counted + 0.5 * size / B)
        params, shared = np.mean(own, axis=0), 0.9 * shared + tally
    return np.array(losses), params, shared


@pytest.mark.parametrize(
    "how", [{}, {"devices": 2}, {"accumulate": 4}, {"devices": 2, "accumulate": 2}], ids=str
)
def test_two_terms_with_two_counts(how):
    """Over more than an epoch; however the rows are shared out."""
    spec = dataclasses.replace(SPEC, **how)
    state, metrics = updates(spec, HPARAMS, start(spec), 7, ARRAYS)
    losses, params, shared = by_hand(7)
    np.testing.assert_allclose(metrics["loss"], losses, rtol=1e-5)
    assert_close(state.params, params, rtol=1e-4)
    assert_close(state.carry, Carry(np.full(B, 7), shared), rtol=1e-4)
    both = metrics["loss_fit"] + 0.5 * metrics["loss_size"]
    np.testing.assert_allclose(both, losses, rtol=1e-5)


def test_what_is_shared_is_held_between_two_averages():
    spec = dataclasses.replace(SPEC, devices=2, sync_every=2)
    state, metrics = updates(spec, HPARAMS, start(spec), 6, ARRAYS)
    losses, params, shared = by_hand(6, sync_every=2, replicas=2)
    np.testing.assert_allclose(metrics["loss"][:2], losses[:2], rtol=1e-5)
    assert_close(state.params, params, rtol=1e-4)
    assert_close(state.carry.shared, shared, rtol=1e-4)


@dataclasses.dataclass(frozen=True)
class Probed(Line):
    """Says what an update is made of."""

    @property
    def probes(self):
        def parts(params, grads, changes, batch, tally):
            sizes = {"params": params, "grads": grads, "changes": changes, "x": batch.x}
            return {"of": {name: jnp.square(leaf).sum() for name, leaf in sizes.items()}, "tally": tally}

        return (("parts", parts),)


@pytest.mark.parametrize("how", [{}, {"devices": 2}, {"devices": 2, "sync_every": 2}], ids=str)
def test_probes_see_the_next_update(how):
    """The same on any number of devices, against the update that is made."""
    spec = dataclasses.replace(SPEC, learner=Probed(), **how)
    state, _ = updates(spec, HPARAMS, start(spec), 4, ARRAYS)
    found = jax.jit(training.probe, static_argnums=0)(spec, HPARAMS, state, ARRAYS)["parts"]
    alone = dataclasses.replace(SPEC, devices=1)
    before = start(alone)._replace(params=state.params, step=state.step, carry=state.carry)
    change = np.asarray(training.update(alone, HPARAMS, before, ARRAYS)[0].params - before.params, np.float64)
    wanted = {"params": state.params, "grads": change / 0.1, "changes": change}
    for name, vector in wanted.items():
        np.testing.assert_allclose(found["of"][name], np.square(np.asarray(vector, np.float64)).sum(), 1e-4)
    batch = LINE.draw("train", jnp.uint32(3), 4, jnp.arange(B), Carry(), jax.tree.map(jnp.asarray, ARRAYS))
    np.testing.assert_allclose(found["of"]["x"], np.square(np.asarray(batch.x)).sum(), 1e-5)
    assert found["tally"]["error"].shape == (B,)


def test_what_the_backward_pass_keeps_is_counted():
    """All of the batch, and as much for each row; of a batch in parts, one part."""
    count = lambda spec: training.kept(spec, HPARAMS, jax.eval_shape(lambda: start(spec)), ARRAYS)
    one, two = (count(dataclasses.replace(SPEC, batch=size)) for size in (B, 2 * B))
    row = 4 * (D + 1) + 1
    assert B * row <= two - one <= 4 * B * row
    assert count(dataclasses.replace(SPEC, batch=2 * B, accumulate=2)) == one


def test_own_numbers_are_traced():
    """Members of one program may differ in them, and each is as if alone."""
    state = start(SPEC)
    run = jax.jit(lambda own: updates(SPEC, HPARAMS._replace(own=Own(own)), state, 3, ARRAYS)[0].params)
    both = jax.jit(jax.vmap(run))(np.float32([0.5, 2]))
    assert_close(both[0], updates(SPEC, HPARAMS, state, 3, ARRAYS)[0].params)
    assert not np.allclose(both[0], both[1])


@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize("batch", [5, 64])
def test_each_row_of_a_finite_split_is_measured_once(devices, batch):
    spec, params = dataclasses.replace(SPEC, devices=devices), start(SPEC).params
    found = jax.jit(training.evaluate, static_argnums=(0, 3, 4))(
        spec, params, jnp.float32(0), batch, "test", ARRAYS
    )
    wanted = np.square(ARRAYS["x"].astype(np.float64) @ np.asarray(params, np.float64) - ARRAYS["y"]).mean()
    np.testing.assert_allclose(found["error"], wanted, rtol=1e-5)


def test_data_are_no_constants_of_the_program():
    """So it is as large with many rows as with few."""
    texts = []
    for rows in (N, 10_000):
        spec = dataclasses.replace(SPEC, learner=Line(rows))
        arrays = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), spec.learner.arrays()
        )
        texts.append(
            updates.lower(spec, HPARAMS, jax.eval_shape(lambda s=spec: start(s)), 5, arrays).as_text()
        )
    assert len(texts[1]) < 1.02 * len(texts[0])


def test_a_bad_update_leaves_all_that_is_carried():
    """And it is found again, in the gradients: this learner shows nothing to look at."""
    arrays = {**ARRAYS, "y": np.where(np.arange(N) == 11, np.nan, ARRAYS["y"]).astype(np.float32)}
    state, _ = updates(SPEC, HPARAMS, start(SPEC), 7, arrays)
    assert not state.ok and int(state.step) < 5
    good, _ = updates(SPEC, HPARAMS, start(SPEC), int(state.step), arrays)
    assert_same(state._replace(ok=good.ok), good)
    finite = jax.jit(training.diagnose, static_argnums=0)(SPEC, HPARAMS, state, arrays)
    assert finite.looked == {} and not finite.gradients and int(finite.step) == int(state.step)


@pytest.mark.parametrize("size", [1, 2, 5, 64, 1000])
def test_shuffled_is_a_permutation(size):
    order = jax.jit(jax.vmap(partial(training.shuffled, size=size), (None, 0)))
    places = [order(jax.random.key(seed), jnp.arange(size)) for seed in range(3)]
    for place in places:
        assert sorted(place.tolist()) == list(range(size))
    assert size < 64 or not np.array_equal(places[0], places[1])


def test_every_place_is_as_likely():
    """Where 4,000 keys take the first of ten rows, against chi-squared with 9 degrees at 1e-6: 45.1."""
    keys = jax.random.split(jax.random.key(0), 4000)
    places = jax.vmap(lambda key: training.shuffled(key, jnp.int32(0), 10))(keys)
    counts = np.bincount(np.asarray(places), minlength=10)
    assert ((counts - 400) ** 2 / 400).sum() < 45.1
