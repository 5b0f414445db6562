"""Training on finite data: each row once an epoch, and once in a measurement."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn._lookup import FieldError
from r3nn.model import build
from r3nn.tasks import TASKS, get_task
from r3nn.training import Carry, Spec, Supervised, evaluate, start, updates
from tests.helpers import assert_close
from tests.r3nn.tasks.test_finite import saved


def learner(task, batch=5, length=None, **options) -> Supervised:
    inputs = {"in_size": task.in_size} if task.vocab is None else {"in_size": None, "vocab": task.vocab}
    model = build(out_size=task.out_size, cell="gru", hidden_size=4, **inputs)
    return Supervised(model, task, length=length or task.min_length, batch=batch, **options)


def test_each_training_row_once_an_epoch_in_another_order(tmp_path):
    """16 rows by 4 an update: four updates are an epoch."""
    x = np.broadcast_to(np.arange(30.0)[:, None, None], (30, 4, 2))
    subject = learner(get_task("arrays", file=saved(tmp_path, x=x)), batch=4)
    draw = jax.jit(lambda at, rows, arrays: subject.draw("train", 3, at, rows, Carry(), arrays).batch.inputs)
    epochs = [[], []]
    for at in range(8):
        drawn = draw(at, jnp.arange(4), subject.arrays())
        np.testing.assert_array_equal(draw(at, jnp.array([3]), subject.arrays())[0], drawn[3])
        epochs[at // 4] += drawn[:, 0, 0].tolist()
    assert [sorted(epoch) for epoch in epochs] == 2 * [list(range(16))] and epochs[0] != epochs[1]


def test_each_test_row_is_measured_once_and_arrays_are_operands(tmp_path):
    """Whatever the batch of an evaluation; the same on two devices; and no program holds the data."""
    subject = learner(get_task("arrays", file=saved(tmp_path)), batch=4)
    spec = Spec(subject, batch=4, updates=9)
    two = Spec(subject, batch=4, updates=9, devices=2)
    arrays, hparams = subject.arrays(), spec.hparams()
    state = start(spec, hparams, subject.init(jax.random.key(0)))
    found = evaluate(spec, state.params, (), 8, "test", arrays)
    batch = subject.task.take(arrays["test"], jnp.arange(8), 4)
    logits = np.float64(subject.predictions(state.params, batch)[-1])
    at = 1 + np.arange(22, 30) % 4 - 1
    logits = logits[np.arange(8), at]
    nats = np.log(np.exp(logits).sum(-1)) - logits[np.arange(8), arrays["test"].targets]
    assert found["cross_entropy"] == pytest.approx(nats.mean(), rel=1e-5)
    assert_close(evaluate(two, state.params, (), 3, "test", arrays), found, rtol=1e-5, atol=1e-6)
    trained = [
        updates(each, hparams, start(each, hparams, state.params), 2, arrays)[0] for each in (spec, two)
    ]
    assert_close(trained[1].params, trained[0].params, rtol=1e-4, atol=1e-6)
    traced = jax.make_jaxpr(lambda state, arrays: updates(spec, hparams, state, 2, arrays))(state, arrays)
    assert (
        sum(np.size(constant) for constant in traced.consts) < 60
    )  # 16 rows of 4 steps with 2 features: 128


def test_bad_use(tmp_path):
    task = get_task("arrays", file=saved(tmp_path))
    with pytest.raises(FieldError, match="min_length=4: must be 0, as the task has finite data"):
        learner(task, min_length=4)
    with pytest.raises(FieldError, match="batch must be an integer at least 1"):
        learner(task, batch=0)
    with pytest.raises(FieldError, match="length must be an integer at least 4"):
        learner(task, length=3)
    with pytest.raises(FieldError, match="length=100000: must be less, as the held-out split is shorter"):
        learner(TASKS["characters"], length=100_000)
    assert learner(task).streamed() is None


def test_truncated_backpropagation_goes_through_all_windows(tmp_path):
    """Pieces of 4 of windows of 8, two rows: each window once an epoch, its halves in order."""
    (tmp_path / "my.txt").write_text("".join(map(chr, range(200, 400))), encoding="utf-8")
    task = get_task("characters", file=str(tmp_path / "my.txt"))
    subject = learner(task, batch=2, length=8, tbptt=4)
    carry, seen = subject.start(subject.init(jax.random.key(0)), 0, jnp.arange(2)), []
    draw = jax.jit(lambda carry, arrays: subject.draw("train", 0, 0, jnp.arange(2), carry, arrays))
    for _ in range(22):
        piece = draw(carry, subject.arrays())
        seen += [np.asarray(row) for row in piece.batch.inputs]
        carry = carry._replace(rows=(piece.behind, carry.rows[1]))
    starts = sorted(int(row[0]) for row in seen)
    assert starts == list(range(0, 176, 4)) and all((np.diff(row) == 1).all() for row in seen)
