"""Curricula: the gradient of a stage is that of a plain learner of its length; stages end on success."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn import training
from r3nn.model import build
from r3nn.tasks import TASKS, Regression, get_task
from r3nn.training import Carry, Curriculum, HParams, Own, Progress, Spec, Supervised
from tests.helpers import assert_close, assert_same

B, H = 3, 5
RANDOM, MIXED = TASKS["s3"], get_task("s3", words="mixed")
MODEL = build(vocab=6, out_size=6, hidden_size=H)
LEARNER = Curriculum(
    MODEL, MIXED, 11, min_length=2, batch=B, lengths=(4, 7), first=RANDOM, success=0.5, updates=40
)
SPEC = Spec(LEARNER, batch=B, updates=40, optimizer="sgd")
HPARAMS = HParams(np.uint32(1), lr=np.float32(0.1), clip=np.float32(np.inf), b1=np.float32(0), own=Own())
SEED, ROWS = jnp.uint32(1), jnp.arange(B)
updates = jax.jit(training.updates, static_argnums=(0, 3))


def at(stage: int, right=0.0, done=0, since=0) -> Carry:
    return Carry(shared=Progress(jnp.int32(stage), jnp.float32(right), jnp.int32(done), jnp.int32(since)))


@dataclasses.dataclass(frozen=True)
class OwnArrays(Regression):
    """A regression of which no step is right or wrong."""


@functools.partial(jax.jit, static_argnums=0)
def gradient(learner, params, carry):
    """One program of a learner for all its stages."""

    def value(params):
        batch = learner.draw("train", SEED, 5, ROWS, carry, None)
        terms, tally, _ = learner.loss(Own(), params, carry, batch)
        return terms["loss"][1], (terms["loss"][2], tally)

    return jax.value_and_grad(value, has_aux=True)(params)


@pytest.mark.parametrize(
    "stage, length, task", [(0, 4, RANDOM), (1, 7, RANDOM), (2, 11, RANDOM), (3, 11, MIXED)]
)
def test_a_stage_is_the_plain_learner_of_its_length_and_words(stage, length, task):
    params = LEARNER.init(jax.random.key(0))
    plain = Supervised(MODEL, task, length, min_length=2, batch=B)
    assert_close(gradient(LEARNER, params, at(stage)), gradient(plain, params, Carry()), rtol=1e-5)


def test_held_out_data_are_those_of_the_last_stage():
    whole = Supervised(MODEL, MIXED, 11)
    for split in ("held_out", "test"):
        drawn = [learner.draw(split, SEED, 0, ROWS, at(0), None).batch for learner in (LEARNER, whole)]
        assert_same(*drawn)


def test_stages_end_on_success_alone():
    """The running share of right steps, in NumPy: each update counts for a tenth."""
    stage, right, done, since, carry = 0, 0.0, 0, 0, at(0).shared
    for share in np.random.default_rng(0).uniform(0.3, 1, 60):
        sums = RANDOM.tally(jnp.zeros((1, 1, 6)), RANDOM.sample(jax.random.key(0), 1, 1, 1))
        sums = jax.tree.map(jnp.sum, sums)._replace(correct=jnp.int32(1000 * share), count=jnp.int32(1000))
        carry = LEARNER.after(Own(), carry, None, sums)
        right, done = right + 0.1 * (int(1000 * share) / 1000 - right), done + 1
        if right >= 0.5 and stage < 3:
            stage, right, since = stage + 1, 0.0, done
        np.testing.assert_allclose(carry, (stage, right, done, since), rtol=1e-5)
    assert stage == 3


def test_the_rate_falls_along_the_last_stage():
    falls = dataclasses.replace(LEARNER, end_fraction=0.2)
    assert falls.rate(Own(), at(2, done=35).shared) == 1
    for done, share in ((10, 0.0), (25, 0.5), (40, 1.0)):
        wanted = 0.2 + 0.8 * (1 + np.cos(np.pi * share)) / 2
        np.testing.assert_allclose(falls.rate(Own(), at(3, done=done, since=10).shared), wanted, rtol=1e-6)


def test_the_rate_multiplies_what_the_optimizer_adds():
    halves = dataclasses.replace(SPEC, learner=dataclasses.replace(LEARNER, end_fraction=0.0))
    state = training.start(SPEC, HPARAMS, LEARNER.init(jax.random.key(0)))
    state = state._replace(carry=at(3, done=20))  # of 40: half way down
    full, _ = updates(SPEC, HPARAMS, state, 1)
    half, metrics = updates(halves, HPARAMS, state, 1)
    moved = lambda new: jax.tree.map(jnp.subtract, new.params, state.params)
    assert_close(moved(half), jax.tree.map(lambda step: step / 2, moved(full)), rtol=1e-3, atol=1e-7)
    assert metrics["stage"] == 3 and metrics["stage_length"] == 11


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"lengths": (7, 4)}, r"lengths=\[7, 4\]: must grow, from at least 2 to less than the length 11"),
        ({"lengths": (4, 11)}, "less than the length 11"),
        ({"lengths": (1, 4)}, "from at least 2"),
        ({"lengths": (), "first": None}, "there must be some, or another task"),
        ({"tbptt": 3}, "tbptt=3: must be 0 in a curriculum"),
        ({"updates": 0}, "updates must be an integer at least 1"),
        ({"success": 1.0}, "success=1.0: must be at least 0 and below 1"),
        ({"task": OwnArrays(), "first": None}, "its task has no tolerance"),
    ],
)
def test_bad_stages_are_one_sentence(fields, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(LEARNER, **fields)


def test_devices_make_no_updates_of_their_own():
    with pytest.raises(ValueError, match="sync_every=2: must be 1 for a Curriculum"):
        dataclasses.replace(SPEC, sync_every=2)
