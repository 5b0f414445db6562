"""Local updates, averaged every so often, against a loop over replicas; what they send, and when."""

import dataclasses
from functools import partial

import jax
import numpy as np
import optax

from r3nn import training
from r3nn.model import build
from r3nn.tasks import TASKS, Tally
from r3nn.training import HParams, Own, Spec, Supervised, optimizer
from tests import trained
from tests.helpers import assert_close, assert_same, drawn, equations, inside
from tests.trained import learning

SMALL = build(in_size=2, out_size=1, hidden_size=3, cell="elman", mode="plain")
LEARNER = Supervised(SMALL, TASKS["adding"], length=7, min_length=2, batch=8)
SPEC = Spec(LEARNER, batch=8, updates=40, devices=4, sync_every=4)
HPARAMS = HParams(
    np.uint32(1),
    lr=np.float32(0.02),
    clip=np.float32(1),
    outer_lr=np.float32(0.7),
    outer_momentum=np.float32(0.9),
    own=Own(),
)
SYNCHRONOUS = HPARAMS._replace(outer_lr=np.float32(1), outer_momentum=np.float32(0))

updates = jax.jit(training.updates, static_argnums=(0, 3))


def start(spec):
    return training.start(spec, HPARAMS, drawn(spec.learner.init))


def by_hand(spec, hparams, rounds):
    """Losses [rounds * k] and parameters: a loop over replicas, and the averages in NumPy."""
    descend = optimizer(spec, hparams)
    loss = lambda params, batch: trained.loss(spec, hparams, params, batch)

    @jax.jit
    def update(params, inner, step, rows):
        batch = trained.batch_at(spec, hparams.seed, step, rows)
        value, grads = jax.value_and_grad(loss)(params, batch)
        changes, inner = descend.update(grads, inner, params)
        return value, optax.apply_updates(params, changes), inner

    params, share = start(spec).params, spec.batch // spec.devices
    inner = [descend.init(params) for _ in range(spec.devices)]
    speed = jax.tree.map(np.zeros_like, params)
    losses = []
    for first in range(0, rounds * spec.sync_every, spec.sync_every):
        replicas = [params] * spec.devices
        for step in range(first, first + spec.sync_every):
            values = []
            for r in range(spec.devices):
                rows = np.arange(r * share, (r + 1) * share)
                value, replicas[r], inner[r] = update(replicas[r], inner[r], step, rows)
                values.append(value)
            losses.append(np.mean(values))  # each row counts one step
        back = jax.tree.map(lambda theta, *own: theta - np.mean(own, axis=0), params, *replicas)
        speed = jax.tree.map(lambda v, d: hparams.outer_momentum * v + d, speed, back)
        ahead = lambda theta, v, d: theta - hparams.outer_lr * (d + hparams.outer_momentum * v)
        params = jax.tree.map(ahead, params, speed, back)
    return np.array(losses), params


def test_local_updates_are_those_by_hand():
    """Two calls of a round each, the second from what the first one left on the host: so a run resumes."""
    state, first = updates(SPEC, HPARAMS, start(SPEC), 4)
    host = jax.tree.map(np.asarray, state)
    state, second = updates(SPEC, HPARAMS, state, 4)
    losses, params = by_hand(SPEC, HPARAMS, 2)
    np.testing.assert_allclose(np.concatenate([first["loss"], second["loss"]]), losses, rtol=1e-5)
    assert_close(state.params, params, rtol=1e-4, atol=1e-6)
    assert int(state.step) == 8 and state.ok
    assert_same(updates(SPEC, HPARAMS, host, 4), (state, second))


def test_a_bad_update_undoes_its_round():
    hparams = HPARAMS._replace(lr=np.float32(1e30))
    begun = start(SPEC)
    state, _ = updates(SPEC, hparams, begun, 4)
    assert not state.ok
    assert_same(state._replace(ok=begun.ok), begun)
    finite = jax.jit(training.diagnose, static_argnums=0)(SPEC, hparams, state)
    assert int(finite.step) == 1
    assert not (np.all(finite.looked["predictions"]) and all(jax.tree.leaves(finite.gradients)))


def test_one_replica_that_is_averaged_trains_as_ever():
    """Pieces of sequences too: their carry goes on behind an average."""
    plain = dataclasses.replace(learning(SPEC, tbptt=3), devices=1, sync_every=1)
    rounds = dataclasses.replace(plain, sync_every=2)
    state, metrics = updates(plain, SYNCHRONOUS, start(plain), 8)
    other, others = updates(rounds, SYNCHRONOUS, start(rounds), 8)
    assert_close(others, metrics, rtol=1e-5, atol=1e-6)
    assert_close((other.params, other.carry), (state.params, state.carry), rtol=1e-4, atol=1e-6)


def test_devices_meet_at_averages_alone():
    """No collective among local updates, and at an average each array once."""
    jaxpr = jax.make_jaxpr(partial(training.updates, SPEC, count=8))(HPARAMS, start(SPEC)).jaxpr
    collective = lambda equation: equation.primitive.name.startswith(
        ("psum", "all_", "pmin", "pmax", "ppermute")
    )
    count = lambda equations: sum(map(collective, equations))
    local = [e for e in equations(jaxpr) if e.primitive.name == "scan" and e.params["length"] == 4]
    assert local and not any(count(equations(body)) for loop in local for body in inside(loop))
    summed = (*jax.tree.leaves(start(SPEC).params), "loss", "count", "norm", "ok", *Tally._fields)
    assert count(equations(jaxpr)) == len(summed)


def test_every_update_joined_is_synchronous_training():
    """With k = 1 there are no replicas, and no average: the fields of one change no bit."""
    together = dataclasses.replace(SPEC, sync_every=1)
    assert not isinstance(start(together).opt_state, training.Local)
    averaged, plain = (updates(together, h, start(together), 4) for h in (HPARAMS, SYNCHRONOUS))
    assert_same(averaged, plain)
