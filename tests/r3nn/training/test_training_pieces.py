"""Truncated backpropagation: rows are streams of sequences, taken piece by piece with the state carried."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn import training
from r3nn.model import build
from r3nn.tasks import Batch, Classification
from r3nn.training import HParams, Own, Position, Spec, Supervised
from r3nn.training._gradients import gradients, mean
from tests import trained
from tests.helpers import assert_close, assert_same, drawn
from tests.trained import learning


@dataclasses.dataclass(frozen=True)
class Sums(Classification):
    """At every step: the sum of all inputs so far, modulo 3; last: it counts at the last step alone."""

    vocab = out_size = 3
    last: bool = False

    def example(self, key, length, max_length):
        x = jax.random.randint(key, (max_length,), 0, 3, jnp.int32)
        return x, jnp.cumsum(x) % 3, (jnp.arange(max_length) == length - 1) | (not self.last)


T, K, B = 7, 3, 4
PIECES = 3  # that a sequence of T steps takes
LEARNED = {"learn_initial": True}
MODEL = build(vocab=3, out_size=3, hidden_size=5, cell="gru", mode="plain", init=LEARNED)
SPEC = Spec(Supervised(MODEL, Sums(), length=T, tbptt=K), batch=B, updates=40)
MIXED = learning(SPEC, min_length=2, batch=B)
HPARAMS = HParams(np.uint32(1), lr=np.float32(0.02), clip=np.float32(1), own=Own())
FROZEN = HPARAMS._replace(lr=np.float32(0))
ROWS = np.arange(B, dtype=np.int32)

update = jax.jit(training.update, static_argnums=0)
loss = jax.jit(trained.loss, static_argnums=0)
batch_at = jax.jit(trained.batch_at, static_argnums=0)
piece_at = jax.jit(lambda spec, seed, at: spec.learner.piece_at(seed, at, ROWS), static_argnums=0)


def start(spec):
    return training.start(spec, HPARAMS, drawn(spec.learner.init))


def test_each_row_starts_its_next_sequence_when_its_own_has_ended():
    """The pieces of a row, end to end, are its sequences, each as `batch_at` has it, and none is left out."""
    at, pieces = Position(np.zeros(B, np.int32), np.zeros(B, np.int32)), []
    for _ in range(8):
        batch, behind = piece_at(MIXED, 1, at)
        pieces.append((np.asarray(at.sequence), np.asarray(at.done), jax.tree.map(np.asarray, batch)))
        at = behind
    assert len(set(at.sequence.tolist())) > 1  # lengths differ, so rows part
    for row in range(B):
        for number in range(at.sequence[row]):
            whole = jax.tree.map(lambda leaf, row=row: leaf[row], batch_at(MIXED, 1, number))
            mine = [(done[row], piece) for n, done, piece in pieces if n[row] == number]
            assert [done for done, _ in mine] == list(range(0, whole.valid.sum(), K))
            ends = [
                np.concatenate([leaf[row] for leaf in leaves])
                for leaves in zip(*(p for _, p in mine), strict=True)
            ]
            length = len(ends[0])
            assert_same(Batch(*ends), Batch(*(np.pad(leaf, (0, 2))[:length] for leaf in whole)))


def test_pieces_as_long_as_the_sequences_are_the_sequences():
    whole, pieces = (learning(MIXED, tbptt=tbptt) for tbptt in (0, T + 5))
    (state, metrics), (other, others) = (update(spec, HPARAMS, start(spec)) for spec in (whole, pieces))
    assert_close(others, metrics)
    assert_close(other.params, state.params)
    at, _ = other.carry.rows
    assert not at.done.any() and (at.sequence == 1).all()


@pytest.fixture(scope="module")
def frozen():
    """(states before and losses, counted steps of) the updates of two sequences, at a learning rate of 0."""
    states, numbers = [start(SPEC)], []
    for _ in range(2 * PIECES):
        state, metrics = update(SPEC, FROZEN, states[-1])
        states.append(state)
        numbers.append((float(metrics["loss"]), int(metrics["counted"])))
    return states, np.array(numbers).T


def test_losses_of_the_pieces_are_that_of_the_whole(frozen):
    states, (losses, counted) = frozen
    assert counted.tolist() == 2 * [B * 3, B * 3, B * 1]
    for number in range(2):
        expected = loss(SPEC, FROZEN, states[0].params, batch_at(SPEC, 1, number))
        part = slice(number * PIECES, (number + 1) * PIECES)
        np.testing.assert_allclose(losses[part] @ counted[part] / counted[part].sum(), expected, rtol=1e-6)


def test_gradient_is_cut_between_pieces(frozen):
    """That of the second piece, with the state behind the first a constant, and no initial state."""
    states, _ = frozen
    params, whole = states[0].params, batch_at(SPEC, 1, 0)
    first, second = (jax.tree.map(lambda leaf, at=at: leaf[:, at : at + K], whole) for at in (0, K))
    carry, _ = jax.jit(MODEL.chunk)(params, MODEL.start(params, (B,)), first.inputs.T)

    def of_second(params):
        _, ys = MODEL.chunk(params, carry, second.inputs.T)
        return SPEC.learner.task.loss(jnp.swapaxes(ys, 0, 1), second)

    grads = jax.jit(lambda state: mean(gradients(SPEC, FROZEN, state)[0])[1])(states[1])
    assert_close(grads, jax.jit(jax.grad(of_second))(params), rtol=1e-4)
    assert not np.any(grads.body.initial)


def test_a_run_goes_on_within_a_sequence_with_the_same_bits():
    """From the numbers alone, as a checkpoint has them."""
    states = [start(SPEC)]
    for _ in range(4):
        states.append(update(SPEC, HPARAMS, states[-1])[0])
    copy = jax.tree.map(np.array, states[2])
    at, body = copy.carry.rows
    assert at.done.tolist() == [2 * K] * B and np.any(body)
    for _ in range(2):
        copy, _ = update(SPEC, HPARAMS, copy)
    assert_same(copy, states[4])


def test_pieces_without_a_counted_step_teach_nothing():
    """The state goes on and the step is counted; momentum, decay and the schedule wait."""
    spec = dataclasses.replace(learning(SPEC, task=Sums(last=True)), optimizer="lamb", schedule="linear")
    hparams = HPARAMS._replace(weight_decay=np.float32(0.1))
    states, counted = [start(spec)], []
    for _ in range(2 * PIECES):
        state, metrics = update(spec, hparams, states[-1])
        states.append(state)
        counted.append(int(metrics["counted"]))
    assert counted == 2 * [0, 0, B]
    learned = lambda state: (state.params, state.opt_state)
    for (before, after), number in zip(itertools.pairwise(states), counted, strict=True):
        assert after.step == before.step + 1
        assert not np.array_equal(after.carry.rows[1], before.carry.rows[1])
        if number:
            assert not np.array_equal(after.params.readout.kernel, before.params.readout.kernel)
        else:
            assert_same(learned(after), learned(before))


@pytest.mark.parametrize("spec", [SPEC, MIXED], ids=["one length", "lengths"])
def test_the_mean_is_of_all_pieces(spec):
    """The loss of the pieces is that of whole sequences, whose mean it is; and it is learned from."""
    spec = learning(spec, model=dataclasses.replace(MODEL, predict="mean"), task=Sums(last=True))
    state, numbers = start(spec), []
    for _ in range(2 * PIECES):
        at = state.carry.rows[0].sequence
        state, metrics = update(spec, FROZEN, state)
        numbers.append((at, state.carry.rows[0].sequence, metrics))
    for before, after, metrics in numbers:
        ended = np.flatnonzero(after > before)
        assert int(metrics["counted"]) == len(ended)
        rows = [
            loss(spec, FROZEN, state.params, jax.tree.map(lambda leaf, r=r: leaf[r : r + 1], whole))
            for r in ended
            for whole in [batch_at(spec, 1, int(before[r]))]
        ]
        np.testing.assert_allclose(metrics["loss"], np.mean(rows) if rows else 0, rtol=1e-5)
    learned = start(spec)
    for _ in range(PIECES):
        learned, _ = update(spec, HPARAMS, learned)
    assert learned.ok and not np.array_equal(learned.params.body.input, state.params.body.input)


def test_nonfinite_freezes_the_carry_too():
    good, _ = update(SPEC, HPARAMS, start(SPEC))
    broken = good._replace(params=jax.tree.map(lambda leaf: leaf * jnp.inf, good.params))
    state, _ = update(SPEC, HPARAMS, broken)
    assert not state.ok
    assert_same(state.carry, good.carry)
