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
from r3nn.training import Carry, HParams, Own, Piece, Spec, Supervised
from r3nn.training._gradients import gradients
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


COPY = {
    "shallow": dict(depth=1),
    "at every depth": dict(depth=2, predict_depths=True),
}


def copying(name, predict="counted", **fields):
    """Copy memory of 2 symbols in 9 .. 13 steps: B = 3, D = 5, H = 6, O = 4: no two sizes are equal."""
    task = dataclasses.replace(TASKS["copy_memory"], symbols=3, recall=2)
    model = build(vocab=task.vocab, out_size=task.out_size, hidden_size=6, predict=predict, **COPY[name])
    return Spec(Supervised(model, task, **{"length": 13, "min_length": 9, "batch": 3} | fields), 3, 40)


@pytest.mark.parametrize(
    "name, fields",
    [
        pytest.param("shallow", {}, id="shallow-whole"),
        pytest.param("shallow", {"tbptt": 4}, id="shallow-pieces", marks=pytest.mark.slow),
        pytest.param("at every depth", {}, id="at every depth-whole"),
        pytest.param("at every depth", {"tbptt": 4}, id="at every depth-pieces"),
    ],
)
def test_predicting_at_counted_steps_alone_changes_nothing(name, fields):
    """Neither the loss, nor a gradient, nor a metric; but the readout of the other steps is saved."""
    every, counted = (copying(name, predict, **fields) for predict in ("every", "counted"))
    found = []
    for spec in (every, counted):
        state = start(spec)
        both = lambda state, spec=spec: (
            gradients(spec, HPARAMS, state)[0],
            training.update(spec, HPARAMS, state),
        )
        run = jax.jit(both)
        for _ in range(3 if fields else 1):  # of pieces, the first count nothing
            sums, (state, metrics) = run(state)
            found.append((sums.terms, sums.grads, sums.tally, metrics))
        measured = jax.jit(trained.evaluate, static_argnums=(0, 2))(spec, state.params, 5)
        found.append((measured, state.params))
    half = len(found) // 2
    assert int(found[half - 2][-1]["counted"]) > 0
    chex.assert_trees_all_close(found[:half], found[half:], rtol=1e-5, atol=1e-6)
    if not fields:
        params, batch = start(every).params, batch_at(every, 1, 0)
        flops = [
            matmul_flops(lambda spec=spec: trained.loss(spec, HPARAMS, params, batch))
            for spec in (every, counted)
        ]
        depth, readout = COPY[name]["depth"], 2 * 6 * 4  # of one step of one sequence
        assert flops[0] - flops[1] == (13 - 2) * 3 * depth * readout


def test_counted_steps_are_those_of_the_mask_in_order():
    """A row with fewer than the bound is filled up, and the filling does not count."""
    spec = copying("shallow")
    mask = np.zeros((3, 13), bool)
    mask[0, [4, 7]] = mask[1, 12] = True
    batch = batch_at(spec, 1, 0)._replace(mask=jnp.asarray(mask))
    taken = spec.learner.counted(batch)
    assert taken.mask.tolist() == [[True, True], [True, False], [False, False]]
    np.testing.assert_array_equal(taken.targets[0], batch.targets[0, [4, 7]])
    np.testing.assert_array_equal(taken.inputs[1, 0], batch.inputs[1, 12])
    assert not (taken.mask & ~taken.valid).any() or not batch.valid[1, 12]


def test_streamed_sequences_are_predicted_at_every_step():
    """A piece need not hold what a whole sequence does, and its metrics are those of the whole, also where a
    subclass judges other steps."""

    @dataclasses.dataclass(frozen=True)
    class OfEven(Supervised):
        def counted(self, batch):
            taken = super().counted(batch)
            return taken._replace(mask=taken.mask & (taken.targets % 2 == 0))

    spec = copying("shallow")
    fields = {field.name: getattr(spec.learner, field.name) for field in dataclasses.fields(spec.learner)}
    learner, params = OfEven(**fields), start(spec).params
    data = learner.task.sample(training.stream(0, training.TEST), 4, 13, 13)
    assert {0, 1} == {*(data.targets[data.mask] % 2).tolist()}
    streamed, tallies = learner.streamed(), []
    carry, measure = streamed.start(params, (), 4), jax.jit(streamed.measure)
    for piece in (slice(0, 5), slice(5, 12), slice(12, 13)):
        tally, carry = measure(params, carry, jax.tree.map(lambda leaf, p=piece: leaf[:, p], data))
        tallies.append(tally)
    whole = jax.jit(trained.evaluate, static_argnums=(0, 2, 3))(
        dataclasses.replace(spec, learner=learner), params, 4, "test"
    )
    found = learner.metrics(jax.tree.map(lambda *parts: sum(parts), *tallies))
    chex.assert_trees_all_close(found, whole, rtol=1e-5)


def test_what_predicting_at_counted_steps_refuses():
    with pytest.raises(ValueError, match="predict='counted': under feedback each step's prediction is part"):
        build(in_size=2, out_size=1, feedback="values", predict="counted")

    @dataclasses.dataclass(frozen=True)
    class Unknown(type(TASK)):
        def counted(self, max_length):
            return None

    model = dataclasses.replace(MODEL, predict="counted")
    with pytest.raises(ValueError, match="Unknown does not say how many steps count at most"):
        learning(SPEC, model=model, task=Unknown())
    assert learning(SPEC, model=model).learner.look(start().params, Carry(), Piece(batch_at(SPEC, 1, 0)))[
        "predictions"
    ].shape == (3, 7, 1, 1)


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
