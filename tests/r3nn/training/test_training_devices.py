"""Training on several devices: the numbers of one, and no collective but the one behind all loops."""

import dataclasses
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from r3nn import training
from r3nn.model import build
from r3nn.tasks import TASKS, Regression, Tally
from r3nn.training import HParams, Own, Spec, Supervised, _devices
from tests import trained
from tests.helpers import assert_close, assert_same, drawn, equations, inside, unless_slow
from tests.trained import learning

SMALL = {"in_size": 2, "out_size": 1, "hidden_size": 3, "cell": "elman", "mode": "plain"}
DEEP = build(**SMALL, depth=2, predict_depths=True, init={"learn_initial": True})
WHOLE = Spec(
    Supervised(build(**SMALL), TASKS["adding"], length=7, min_length=2, batch=4), batch=4, updates=40
)
PIECES = learning(WHOLE, model=DEEP, tbptt=3)
HPARAMS = HParams(np.uint32(1), lr=np.float32(0.02), clip=np.float32(1), own=Own())

updates = jax.jit(training.updates, static_argnums=(0, 3))
evaluate = jax.jit(trained.evaluate, static_argnums=(0, 2, 3))


def start(spec):
    return training.start(spec, HPARAMS, drawn(spec.learner.init))


@pytest.mark.parametrize("spec, counts", [(WHOLE, [4]), (PIECES, [2])], ids=["whole", "pieces"])
def test_any_number_of_devices_gives_the_same_numbers(spec, counts):
    """Rows have different lengths, so the devices' shares count different numbers of steps."""
    state, metrics = updates(spec, HPARAMS, start(spec), 20)
    for devices in counts:
        several = dataclasses.replace(spec, devices=devices)
        other, others = updates(several, HPARAMS, start(several), 20)
        assert_close(others, metrics, rtol=1e-5, atol=1e-5)
        assert_close(other.params, state.params, rtol=1e-4, atol=1e-5)
        assert_close(other.carry, state.carry, rtol=1e-4, atol=1e-5)
        again, _ = updates(several, HPARAMS, start(several), 20)
        assert_same(again, other)


def test_trials_can_run_side_by_side_on_several_devices():
    spec = dataclasses.replace(PIECES, devices=2)
    trials = HPARAMS._replace(lr=np.float32([0.02, 0.01]))
    axes = HParams(None, 0, *(len(HParams._fields) - 2) * [None])
    states = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), start(spec))
    both, _ = jax.jit(jax.vmap(partial(training.updates, spec, count=20), (axes, 0)))(trials, states)
    alone, _ = updates(spec, HPARAMS, start(spec), 20)
    assert_close(jax.tree.map(lambda leaf: leaf[0], both), alone, rtol=1e-4, atol=1e-5)


@dataclasses.dataclass(frozen=True)
class Walk(Regression):
    """The running maximum of the inputs, by a scan from a constant: it varies over no device."""

    in_size = out_size = 1

    def example(self, key, length, max_length):
        xs = jax.random.normal(key, (max_length,))
        largest = lambda before, x: (jnp.maximum(before, x),) * 2
        _, ys = lax.scan(largest, jnp.float32(-jnp.inf), xs)
        return xs[:, None], ys[:, None], jnp.arange(max_length) < length


def test_a_task_may_scan_from_a_constant():
    model = build(**{**SMALL, "in_size": 1})
    one = Spec(Supervised(model, Walk(), length=5), batch=4, updates=9)
    (state, metrics), (other, others) = (
        updates(spec, HPARAMS, start(spec), 3) for spec in (one, dataclasses.replace(one, devices=2))
    )
    assert_close((other.params, others), (state.params, metrics), rtol=1e-5, atol=1e-6)


DRAWN = [name for name, task in TASKS.items() if not task.finite]


@pytest.mark.parametrize("name", unless_slow(DRAWN, ("listops",)))
def test_every_task_trains_on_two_devices(name):
    """Also one whose sequences are drawn by loops, which may take another number of rounds on each device."""
    task = TASKS[name]
    inputs = {"in_size": task.in_size} if task.vocab is None else {"in_size": None, "vocab": task.vocab}
    model = build(**{**SMALL, **inputs, "out_size": task.out_size})
    one = Spec(Supervised(model, task, length=task.min_length + 5), batch=4, updates=9)
    (state, metrics), (other, others) = (
        updates(spec, HPARAMS, start(spec), 2) for spec in (one, dataclasses.replace(one, devices=2))
    )
    assert_close((other.params, others), (state.params, metrics), rtol=1e-4, atol=1e-5)


COLLECTIVES = ("psum", "all_gather", "all_to_all", "ppermute", "pmax", "pmin", "reduce_scatter")


@pytest.mark.parametrize("mode", ["plain", "scan", "chunked"])
def test_one_sum_over_the_devices_behind_all_loops(mode):
    spec = dataclasses.replace(learning(PIECES, model=dataclasses.replace(DEEP, mode=mode)), devices=2)
    jaxpr = jax.make_jaxpr(partial(training.update, spec))(HPARAMS, start(spec)).jaxpr
    collective = lambda equation: equation.primitive.name.startswith(COLLECTIVES)
    loops = [e for e in equations(jaxpr) if e.primitive.name in ("scan", "while")]
    assert len(loops) >= 2
    assert not any(collective(e) for loop in loops for body in inside(loop) for e in equations(body))
    summed = (*jax.tree.leaves(start(spec).params), "loss", "count", *Tally._fields)
    assert sum(map(collective, equations(jaxpr))) == len(summed)  # each once, and XLA joins them


def collectives(program: str) -> tuple[int, int]:
    """(in loops, elsewhere): how many collectives a compiled program has, from its text."""
    bodies = dict(re.findall(r"^(?:ENTRY )?(%[\w.-]+) .*\{\n((?:  .*\n)*)", program, re.MULTILINE))
    calls = {name: set(re.findall(r"%[\w.-]+", body)) & set(bodies) for name, body in bodies.items()}
    looped, new = set(), set(re.findall(r"(?:body|condition)=(%[\w.-]+)", program))
    while new:
        looped |= new
        new = set().union(*(calls[name] for name in new)) - looped
    joins = r" (?:all-|reduce-scatter|collective-)[\w-]*\("
    count = {name: len(re.findall(joins, body)) for name, body in bodies.items()}
    inside = sum(count[name] for name in looped)
    return inside, sum(count.values()) - inside


def test_compiled_loops_have_no_collective():
    """What XLA makes of it, which may move what the program says."""
    spec = dataclasses.replace(learning(PIECES, model=dataclasses.replace(DEEP, mode="scan")), devices=2)
    update = jax.jit(partial(training.update, spec))
    program = update.lower(HPARAMS, jax.eval_shape(lambda: start(spec))).compile().as_text()
    inside, elsewhere = collectives(program)
    assert program.count(" while(") >= 2 and inside == 0 and 1 <= elsewhere


def test_a_collective_in_a_compiled_loop_would_be_found():
    loop = lambda x: lax.fori_loop(0, 9, lambda _, x: x * jnp.sin(lax.psum(x, _devices.AXIS)), x)
    program = jax.jit(_devices.over(2, loop, _devices.ROWS, _devices.ROWS))
    assert collectives(program.lower(jnp.ones(4)).compile().as_text()) == (1, 0)


@dataclasses.dataclass(frozen=True)
class Noisy:
    """y = w x + what the keys draw, a number for each step."""

    noisy = True

    def start(self, params, batch_shape):
        return jnp.zeros(batch_shape)

    def chunk_depths(self, params, carry, xs, mask, reset, targets, key=None):
        ys = params * xs[..., :1]
        if key is not None:
            times = jnp.arange(len(xs))[:, None] + jnp.broadcast_to(key.time, len(key.key))
            keys = jax.vmap(jax.vmap(jax.random.fold_in), (None, 0))(key.key, times)
            ys = ys + jax.vmap(jax.vmap(jax.random.uniform))(keys)[..., None]
        return carry, ys[:, None]


def test_noise_follows_from_seed_sequence_and_row():
    """So it is the same on any number of devices, in pieces or whole."""
    spec = Spec(Supervised(Noisy(), TASKS["adding"], length=6), batch=4, updates=9)
    hparams = HPARAMS._replace(lr=np.float32(0))
    state = lambda spec: training.start(spec, hparams, jnp.float32(0.5))
    run = lambda spec, count: updates(spec, hparams, state(spec), count)[1]["loss"]
    whole = run(spec, 3)
    assert len(set(whole.tolist())) == 3
    assert_close(run(dataclasses.replace(spec, devices=2), 3), whole)
    pieces = run(
        dataclasses.replace(learning(spec, tbptt=4), devices=2), 6
    )  # adding counts the last step alone
    assert_close(pieces, jnp.stack([jnp.zeros(3), whole], axis=1).reshape(6))


@pytest.mark.parametrize("mode", ["plain", "scan"])
def test_noisy_cells_run_where_rows_have_padding(mode):
    """Traced alone: keys differ from device to device, as the inputs do that they come with."""
    model = build(**{**SMALL, "mode": mode}, zoneout_h=0.2, dropout=0.1)
    spec = dataclasses.replace(learning(PIECES, model=model), devices=2)
    assert model.noisy
    jax.eval_shape(partial(training.update, spec), HPARAMS, jax.eval_shape(lambda: start(spec)))


def test_evaluation_draws_no_noise():
    class Given(Noisy):
        def chunk_depths(self, params, carry, xs, mask, reset, targets, key=None):
            assert key is None
            return super().chunk_depths(params, carry, xs, mask, reset, targets)

    spec = Spec(Supervised(Given(), TASKS["adding"], length=6), batch=4, updates=9)
    jax.eval_shape(partial(trained.evaluate, spec, batch=4), jnp.float32(0.5))


def test_evaluation_of_rows_that_the_devices_do_not_divide():
    params = start(WHOLE).params
    alone = evaluate(WHOLE, params, 6, "test")
    assert_close(evaluate(dataclasses.replace(WHOLE, devices=4), params, 6, "test"), alone)


@pytest.mark.parametrize("devices, words", [(0, "at least 1"), (3, "must divide the batch, 4 sequences")])
def test_devices_that_are_refused(devices, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(WHOLE, devices=devices)


def test_more_devices_than_there_are():
    many = dataclasses.replace(WHOLE, batch=64, devices=64)
    with pytest.raises(ValueError, match="devices=64: must be at most 4"):
        jax.eval_shape(partial(training.update, many), HPARAMS, jax.eval_shape(lambda: start(many)))
