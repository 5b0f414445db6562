"""Training as pure functions: one update, many in one call, optimizers, lengths, losses of depths."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from r3nn import training
from r3nn.analysis import matmul_flops
from r3nn.model import build
from r3nn.tasks import TASKS
from r3nn.training import HParams, Own, Spec, Supervised
from tests import trained
from tests.helpers import assert_same
from tests.trained import learning

MODEL = build(in_size=2, out_size=1, hidden_size=5)
TASK = TASKS["adding"]
SPEC = Spec(Supervised(MODEL, TASK, length=7), batch=3, updates=40)
MIXED = learning(SPEC, min_length=4, batch=3)
DEEP = learning(SPEC, model=build(in_size=2, out_size=1, hidden_size=5, depth=2, predict_depths=True))
HPARAMS = HParams(np.uint32(1), lr=np.float32(0.02), clip=np.float32(1), own=Own())


def start(spec=SPEC, hparams=HPARAMS):
    return training.start(spec, hparams, spec.learner.init(training.stream(hparams.seed, training.INIT)))


updates = jax.jit(training.updates, static_argnums=(0, 3))
update = jax.jit(training.update, static_argnums=0)
COUNT = 5
diagnose = jax.jit(training.diagnose, static_argnums=0)
batch_at = jax.jit(trained.batch_at, static_argnums=0)
predictions = jax.jit(trained.predictions, static_argnums=0)
loss = jax.jit(trained.loss, static_argnums=0)


def test_updates_in_one_call_are_calls_of_update():
    state = once = start()
    losses = []
    for _ in range(COUNT):
        once, metrics = update(SPEC, HPARAMS, once)
        losses.append(metrics["loss"])
    scanned, metrics = updates(SPEC, HPARAMS, state, COUNT)
    assert scanned.step == once.step == COUNT
    chex.assert_trees_all_close((scanned, metrics["loss"]), (once, jnp.stack(losses)), rtol=1e-5, atol=1e-7)
    assert_same(scanned, updates(SPEC, HPARAMS, state, COUNT)[0])  # pure: the same again


def test_loss_falls():
    state, losses = start(), []
    for _ in range(8):
        state, metrics = updates(SPEC, HPARAMS, state, COUNT)
        losses.append(metrics["loss"].mean())
    assert losses[-1] < 0.7 * losses[0]


def test_products_in_bfloat16_train_to_nearly_the_same_loss():
    rounded = build(in_size=2, out_size=1, hidden_size=5, compute_dtype="bfloat16")
    losses = {}
    for model in (MODEL, rounded):
        spec, losses[model] = learning(SPEC, model=model), []
        state = start()
        for _ in range(4):
            state, metrics = updates(spec, HPARAMS, state, COUNT)
            losses[model] += metrics["loss"].tolist()
        assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
    assert losses[rounded] != losses[MODEL]
    np.testing.assert_allclose(losses[rounded], losses[MODEL], rtol=0.1, atol=0.01)


def test_hyperparameters_are_traced():
    """Trials of one architecture can run side by side, and each is as if alone."""
    trials = HPARAMS._replace(seed=np.uint32([1, 2]), lr=np.float32([0.02, 0.01]))
    axes = HParams(0, 0, *(len(HParams._fields) - 2) * [None])
    state = start()
    run = jax.vmap(lambda hparams: training.updates(SPEC, hparams, state, COUNT)[1]["loss"], (axes,))
    both = jax.jit(run)(trials)
    np.testing.assert_allclose(both[0], updates(SPEC, HPARAMS, state, COUNT)[1]["loss"], rtol=1e-4)
    assert (both[0] != both[1]).all()


# A quadratic stands in for a model: what is tested is the optimizer.


def minimise(name: str, schedule: str, **hparams) -> list[float]:
    spec = dataclasses.replace(SPEC, optimizer=name, schedule=schedule, warmup=3)
    hparams = HPARAMS._replace(lr=jnp.float32(0.05), **hparams)
    params = {"w": jnp.array([1.0, -2.0]), "b": jnp.float32(0.5)}
    of = lambda params: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))

    def step(carry, _):
        params, state = carry
        changes, state = training.optimizer(spec, hparams).update(jax.grad(of)(params), state, params)
        params = optax.apply_updates(params, changes)
        return (params, state), of(params)

    carry = params, training.optimizer(spec, hparams).init(params)
    return [float(of(params)), *jax.lax.scan(step, carry, length=spec.updates)[1].tolist()]


@pytest.mark.parametrize("name", training.OPTIMIZERS)
def test_optimizers_step_by_name(name):
    losses = minimise(name, "cosine")
    assert losses[-1] < 0.9 * losses[0] and np.isfinite(losses).all()


@pytest.mark.parametrize("schedule", training.SCHEDULES)
def test_schedules_rise_and_fall(schedule):
    spec = dataclasses.replace(SPEC, schedule=schedule, warmup=10, end_fraction=0.1)
    rate = [float(training.schedule(spec, step)) for step in range(41)]
    np.testing.assert_allclose(rate[:10], np.arange(1, 11) / 10, rtol=1e-6)
    assert rate[40] == pytest.approx(1.0 if schedule == "constant" else 0.1)
    assert all(np.diff(rate[10:]) <= 0)


def test_weight_decay_and_clip_act():
    assert minimise("adamw", "constant", weight_decay=jnp.float32(1.0)) != minimise("adamw", "constant")
    slow = minimise("sgd", "constant", clip=jnp.float32(0.1))
    assert slow[-1] > minimise("sgd", "constant")[-1]


# What happens when numbers stop being finite.


def test_nonfinite_freezes_the_state_and_keeps_the_step():
    good, _ = updates(SPEC, HPARAMS, start(), COUNT)
    broken = good._replace(params=jax.tree.map(lambda leaf: leaf * jnp.inf, good.params))
    state, _ = updates(SPEC, HPARAMS, broken, COUNT)
    assert state.step == COUNT and not state.ok
    assert_same(state.params, broken.params)
    finite = diagnose(SPEC, HPARAMS, state)
    finite_at = finite.looked["predictions"]
    assert finite_at.shape == (3, 7, 1) and not finite_at.all()
    assert not any(jax.tree.leaves(finite.gradients))


def test_diagnose_names_the_gradient():
    """sqrt at 0: a finite value whose gradient is not."""

    @dataclasses.dataclass(frozen=True)
    class Steep:
        def start(self, params, batch_shape):
            return ()

        def chunk_depths(self, params, carry, xs, *_):
            ys = xs[..., :1] * params["good"] + jnp.sqrt(params["steep"])
            return carry, ys[:, None]

    spec = learning(SPEC, model=Steep())
    params = {"good": jnp.float32(1), "steep": jnp.float32(0)}
    state, metrics = update(spec, HPARAMS, training.start(spec, HPARAMS, params))
    assert not state.ok and state.step == 0 and jnp.isfinite(metrics["loss"])
    finite = diagnose(spec, HPARAMS, state)
    assert finite.looked["predictions"].all()
    assert finite.gradients["good"] and not finite.gradients["steep"]


# Data and losses.


def test_lengths_are_drawn_from_their_range():
    spec = dataclasses.replace(learning(MIXED, batch=200), batch=200)
    valid = batch_at(spec, 1, 0).valid
    assert set(valid.sum(axis=1).tolist()) == {4, 5, 6, 7} and valid.shape == (200, 7)
    assert batch_at(SPEC, 1, 0).valid.all()


def test_padding_has_no_part_in_the_loss():
    """A batch of mixed lengths gives the mean over its sequences, each on its own."""
    params, batch = start().params, batch_at(MIXED, 1, 3)
    whole = predictions(MIXED, params, batch)
    for row, length in list(enumerate(batch.valid.sum(axis=1).tolist()))[:2]:
        alone = jax.tree.map(lambda leaf, row=row, n=length: leaf[row : row + 1, :n], batch)
        spec = learning(SPEC, length=length)
        np.testing.assert_allclose(predictions(spec, params, alone)[:, 0], whole[:, row, :length], atol=1e-6)


def test_depth_weight_mixes_the_losses_of_the_depths():
    params, batch = start(DEEP).params, batch_at(SPEC, 1, 0)
    ys = predictions(DEEP, params, batch)
    each = [TASK.loss(y, batch) for y in ys]
    for weight, expected in (
        (0.0, each[1]),
        (1.0, (each[0] + each[1]) / 2),
        (3.0, (3 * each[0] + each[1]) / 4),
    ):
        value = loss(DEEP, HPARAMS._replace(own=Own(np.float32(weight))), params, batch)
        np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_predicting_at_the_last_step_alone_changes_no_loss():
    """The adding problem counts its last step only, wherever that is."""
    last = learning(MIXED, model=dataclasses.replace(MODEL, predict="last"))
    params, batch = start().params, batch_at(MIXED, 1, 0)
    value, other = (loss(spec, HPARAMS, params, batch) for spec in (MIXED, last))
    np.testing.assert_allclose(value, other, rtol=1e-6)


def test_evaluation_in_pieces_is_evaluation():
    params, longer = start().params, learning(SPEC, length=13)
    whole = jax.jit(trained.evaluate, static_argnums=(0, 2, 3))(longer, params, 4, "test")
    data = TASK.sample(training.stream(0, training.TEST), 4, 13, 13)
    streamed, tallies = SPEC.learner.streamed(), []
    carry, measure = streamed.start(params, (), 4), jax.jit(streamed.measure)
    for piece in (slice(0, 5), slice(5, 10), slice(10, 13)):
        tally, carry = measure(params, carry, jax.tree.map(lambda leaf, p=piece: leaf[:, p], data))
        tallies.append(tally)
    for name, value in TASK.metrics(jax.tree.map(lambda *parts: sum(parts), *tallies)).items():
        np.testing.assert_allclose(value, whole[name], rtol=1e-5)


@pytest.mark.parametrize(
    "field, value",
    [
        ("batch", 0),
        ("accumulate", 2),
        ("optimizer", "adan"),
        ("schedule", "x"),
        ("warmup", 41),
    ],
)
def test_spec_refuses(field, value):
    with pytest.raises(ValueError, match=repr(value)):
        dataclasses.replace(SPEC, **{field: value})


@pytest.mark.parametrize("field, value", [("length", 1), ("min_length", 9), ("batch", -1), ("tbptt", -1)])
def test_supervised_refuses(field, value):
    with pytest.raises(ValueError, match=rf"{field} must be an integer .*{value}"):
        learning(SPEC, **{field: value})


# Cost.


def test_matmul_flops():
    a, b = jnp.ones((3, 4)), jnp.ones((4, 5))
    product = 2 * 3 * 4 * 5
    assert matmul_flops(jnp.dot, a, b) == product
    assert matmul_flops(jax.vmap(jnp.dot, in_axes=(0, None)), jnp.ones((7, 3, 4)), b) == 7 * product
    assert matmul_flops(jax.jit(lambda a, b: a @ b + 1), a, b) == product
    loop = lambda a, b: jax.lax.scan(lambda c, _: (c, a @ b), 0.0, length=6)
    assert matmul_flops(loop, a, b) == 6 * product
    assert matmul_flops(jax.checkpoint(loop), a, b) == 6 * product
    branch = lambda a, b: jax.lax.cond(a[0, 0] > 0, lambda: a @ b, lambda: jnp.zeros((3, 5)))
    assert matmul_flops(branch, a, b) == product


def test_flops_of_an_update_grow_with_batch_and_length():
    flops = lambda batch, length: matmul_flops(
        functools.partial(training.update, dataclasses.replace(learning(SPEC, length=length), batch=batch)),
        *jax.eval_shape(lambda: (HPARAMS, start())),
    )
    assert flops(6, 7) == 2 * flops(3, 7)
    assert flops(3, 14) == pytest.approx(2 * flops(3, 7), rel=0.2)
