"""How many bytes a run is said to hold, beside what XLA reports once it has compiled the same programs."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from experiments.building.assembly import build
from experiments.config.loading import config_names, load
from r3nn import cells, compose, training
from r3nn.analysis import live_bytes
from tests.runs import tiny

pytestmark = pytest.mark.usefixtures("at_the_root")
LARGE = jax.ShapeDtypeStruct((1000,), jnp.float32)
FULL = ("adding", "copy_memory", "parity", "s3")


@pytest.mark.parametrize(
    "function, arrays",
    [
        (lambda x: jnp.sin(x) + 1, 2),  # one is written into the other
        (lambda x: jnp.sort(jnp.sort(jnp.sort(x))), 3),  # the first is gone when the third is made
        (lambda x: lax.scan(lambda h, _: (jnp.sort(h), h), x, length=5)[1], 7),
        (lambda x: jnp.sort(x).reshape(10, 100), 2),
        (jax.jit(lambda x: (jnp.sort(x), jnp.cumsum(x))), 3),
        (lambda x: jax.jit(lambda x: (jnp.sort(x), jnp.cumsum(x)))(x)[0], 2),  # nothing reads the other
    ],
)
def test_arrays_that_live_at_a_time(function, arrays):
    assert live_bytes(function, LARGE) == pytest.approx(4000 * arrays, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*config_names(), *(f"configs/{name}.py:full" for name in FULL)])
def test_the_count_is_between_half_and_twice_of_what_xla_reports(name):
    experiment = build(load(name))
    spec, rows = experiment.spec, experiment.config.train.eval_batch
    state, arrays = jax.eval_shape(experiment.start), experiment.arrays
    update = jax.jit(training.updates, static_argnums=(0, 3), donate_argnums=2)
    update = update.lower(spec, experiment.hparams, state, spec.sync_every, arrays)
    evaluate = jax.jit(training.evaluate, static_argnums=(0, 3, 4))
    evaluate = evaluate.lower(spec, state.params, state.carry.shared, rows, "held_out", arrays)
    counted = experiment.update_bytes, experiment.evaluation_bytes(rows)
    for count, program in zip(counted, (update, evaluate), strict=True):
        report = program.compile().memory_analysis()
        there = report.temp_size_in_bytes + report.argument_size_in_bytes
        there += report.output_size_in_bytes - report.alias_size_in_bytes
        assert there / 2 < count < 2 * there, (name, count / there)


def test_many_levels_are_drawn_in_a_loop_and_are_those_written_out():
    cell, key = cells.ugrnn, jax.random.key(3)
    many = compose.deep(cell, 8).init(key, 2, 4).rest
    keys = jax.random.split(jax.random.split(key)[1], 7)
    for number, key in enumerate(keys):
        one = jax.tree.map(lambda leaf, number=number: leaf[number], many)
        assert jax.tree.all(jax.tree.map(jnp.array_equal, one, cell.init(key, 4, 4)))


def test_what_is_traced_does_not_grow_with_the_depth():
    def size(depth):
        experiment = build(tiny(**{"model.depth": depth, "model.predict_depths": True, "model.tie": "none"}))
        update = lambda state: training.updates(experiment.spec, experiment.hparams, state, 1)
        return len(str(jax.make_jaxpr(update)(jax.eval_shape(experiment.start))).splitlines())

    assert size(200) < 1.05 * size(20)
