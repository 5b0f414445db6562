"""Trains a model on a task, as a learner: on whole sequences, or by truncated backpropagation through time.

Row b of the batch is a stream of sequences, number 0, 1, ...; what number n holds follows from (seed, n, b)
alone. Whole sequences: update n takes number n of every row. Truncated backpropagation: an update takes the
next `piece` steps of each row, and a row whose sequence has ended starts its next one with the next update,
so that rows are soon at different places of their sequences. `Carry.rows` says where each row stands, which
follows from (seed, step). It does not hold the row's sequence: each update draws it again, whole. So the data
take memory for B x T steps, however short the piece of K steps is, and a sequence is drawn in the time of T^2
/ K steps: little beside its training as long as to train a step takes far more than T / K times as long as to
draw one.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import lax

from r3nn._lookup import FieldError, check_int
from r3nn.tasks import Batch, Task
from r3nn.time import Noise
from r3nn.training._keys import HELD_OUT, LENGTHS, NOISE, TEST, TRAIN, row_keys, shuffled, stream
from r3nn.training._pieces import Pieces
from r3nn.training.learner import Carry, Learner

WRITTEN_OUT = 8  # losses of depths; more are one vectorized program, whose size does not grow with them

Array = jax.Array


class Trainable(Protocol):
    """What `Supervised` trains is `r3nn.model.Model`, or anything with these methods.

    Where its attribute `noisy` is true, training also passes key=, a `Noise` of keys [B]. Where predict is
    "last" or "mean", it makes one prediction, [1, L, B, O], for the sequence, or for what there is of it so
    far. Where it is "counted", the loss takes `hidden` and `predictions`, as of `Model`, for `chunk_depths`.
    """

    def init(self, key: Array) -> Any:
        """Draws fresh parameters, a tree of arrays, with a PRNG key."""

    def start(self, params, batch_shape: tuple[int, ...]):
        """Returns the carry before the first step."""

    def chunk_depths(self, params, carry, xs, mask=None, reset=None, targets=None):
        """Runs further steps, time-major -> (carry, predictions at every depth [T, L, B, O])."""


class Own(NamedTuple):
    """Holds traced scalars of `Supervised`."""

    depth_weight: Any = 1.0  # of each shallower depth's loss, where the deepest's weighs 1


class Position(NamedTuple):
    """Says where the rows stand in their streams."""

    sequence: Array  # int32 [b], the number of the sequence
    done: Array  # int32 [b], steps of it that updates have taken


class Piece(NamedTuple):
    """Holds what an update takes of each row."""

    batch: Batch  # [b, T, ...], or [b, K, ...] of truncated backpropagation
    fresh: Array | None = None  # bool [b], the rows at the start of a sequence; None: all of them
    noise: Noise | None = None  # of PRNG keys [b]
    behind: Position | None = None  # where the rows then stand


@dataclasses.dataclass(frozen=True)
class Supervised(Learner):
    """Trains a model on a task.

    model: what is trained. task: what on. length: T, steps of a sequence. min_length: above 0, lengths are
    drawn uniformly from min_length .. length, those of all `batch` rows at once. batch: rows of an update; 0
    will do where lengths do not vary and the data are not finite. tbptt: above 0, steps of an update of
    truncated backpropagation. teacher_forcing: true outputs feed back in training.
    """

    model: Trainable
    task: Task
    length: int
    min_length: int = 0
    batch: int = 0
    tbptt: int = 0
    teacher_forcing: bool = False

    own = Own()

    def __post_init__(self):
        check_int("length", self.length, self.task.min_length)
        check_int("min_length", self.shortest, self.task.min_length, self.length)
        check_int("batch", self.batch, 1 if self.min_length else 0)
        check_int("tbptt", self.tbptt, 0)
        if self._at_counted and self.task.counted(self.length) is None:
            why = f"{type(self.task).__name__} does not say how many steps count at most; it must be 'every'."
            raise FieldError("predict", f"predict='counted': {why}")
        if self.task.finite:
            self._check_rows()

    def _check_rows(self):
        """Raises FieldError where finite data cannot be taken as the fields ask."""
        check_int("batch", self.batch, 1)
        if self.min_length:
            must = "must be 0, as the task has finite data, whose sequences have lengths of their own"
            raise FieldError("min_length", f"min_length={self.min_length}: {must}.")
        for split in ("train", "held_out", "test"):
            if not self.task.rows(split, self.length):
                short = f"the {split.replace('_', '-')} split is shorter"
                raise FieldError("length", f"length={self.length}: must be less, as {short}.")

    @property
    def metric(self) -> str:
        """Names the task's headline metric."""
        return self.task.metric

    @property
    def higher_is_better(self) -> bool:
        """Says whether more of the task's metric is better."""
        return self.task.higher_is_better

    @property
    def tie_breaker(self) -> str | None:
        """Names the task's metric that breaks ties."""
        return self.task.tie_breaker

    @property
    def fractions(self) -> tuple[str, ...]:
        """Names the task's metrics that are fractions."""
        return self.task.fractions

    @property
    def shortest(self) -> int:
        """Returns the least length that is drawn."""
        return self.min_length or self.length

    @property
    def piece(self) -> int:
        """Returns K, the steps of one update at most."""
        return min(self.tbptt or self.length, self.length)

    def init(self, key: Array):
        """Draws the model's fresh parameters."""
        return self.model.init(key)

    @property
    def width(self) -> int | None:
        """Returns H of the model, where it says so."""
        return getattr(self.model, "hidden_size", None)

    def baseline(self) -> dict[str, float]:
        """Returns the task's baseline, at this length."""
        return self.task.baseline(self.length)

    # What is carried: under truncated backpropagation alone, positions and the model's carry.

    def start(self, params, seed, rows: Array) -> Carry:
        """Puts every row at the start of its first sequence; whole sequences carry nothing."""
        if not self.tbptt:
            return Carry()
        zeros = jnp.zeros(len(rows), jnp.int32)
        return Carry(
            (Position(zeros, zeros), self._rows_first(params, self.model.start(params, (len(rows),))))
        )

    def _batch_axes(self, params) -> Any:
        """Finds the batch axis of each leaf of the model's carry: the one that grows with the batch."""
        shapes = lambda size: jax.eval_shape(lambda params: self.model.start(params, (size,)), params)
        axis = lambda two, three: next(i for i, n in enumerate(two.shape) if n != three.shape[i])
        return jax.tree.map(axis, shapes(2), shapes(3))

    def _rows_first(self, params, body):
        """Moves the batch axis of the model's carry to the front, where `Carry.rows` has it."""
        return jax.tree.map(lambda axis, leaf: jnp.moveaxis(leaf, axis, 0), self._batch_axes(params), body)

    def _begin(self, params, carry: Carry, piece: Piece):
        """Returns the model's carry before a piece: the initial state, or what the piece before left."""
        body = self.model.start(params, (len(piece.batch.valid),))
        if piece.fresh is None:
            return body

        def choose(axis, first, carried):
            fresh = piece.fresh.reshape(-1, *[1] * (first.ndim - axis - 1))
            return jnp.where(fresh, first, jnp.moveaxis(carried, 0, axis))

        return jax.tree.map(choose, self._batch_axes(params), body, carry.rows[1])

    # Data.

    def arrays(self):
        """Returns the task's finite data, of each split; None where its sequences are drawn."""
        return self.task.arrays()

    def size(self, split) -> int | None:
        """Counts the held-out or test sequences of finite data."""
        return None if split == "train" else self.task.rows(split, self.length)

    def draw(self, split, seed, at, rows: Array, carry: Carry, arrays) -> Piece:
        """Draws the rows' next pieces in training; elsewhere whole sequences, all of the full length."""
        if split != "train":
            return Piece(self._measured(split, seed, rows, arrays))
        if not self.tbptt:
            batch = self.batch_at(seed, at, rows, arrays)
            return Piece(batch, noise=self._noise(seed, at, rows))
        position = carry.rows[0]
        batch, behind = self.piece_at(seed, position, rows, arrays)
        noise = self._noise(seed, position.sequence, rows, position.done)
        return Piece(batch, position.done == 0, noise, behind)

    def _measured(self, split, seed, rows: Array, arrays) -> Batch:
        """Returns the held-out or test sequences of these numbers, whole."""
        if self.task.finite:
            return self.task.take(arrays[split], rows, self.task.room(split, self.length))
        key = stream(seed, {"held_out": HELD_OUT, "test": TEST}[split])
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, rows)
        return self.task.draw(keys, self.length, self.length)

    def _noise(self, seed, numbers, rows: Array, done: Array | None = None) -> Noise | None:
        """Returns the noise of the rows' sequences, of which `done` steps, int32 [b], are through."""
        if not getattr(self.model, "noisy", False):
            return None
        keys = row_keys(stream(seed, NOISE), numbers, rows)
        return Noise(keys) if done is None else Noise(keys, done)

    def batch_at(self, seed, numbers, rows: Array, arrays=None) -> Batch:
        """Draws whole sequences [b, T, ...], of each row the one of its number: a function of (seed, number,
        row).

        Of finite data an epoch is a permutation of the training sequences, which follows from (seed, epoch).
        numbers: int [], one for all rows, such as the updates completed; or [b].
        """
        if self.task.finite:
            taken = self._in_epochs(seed, numbers * self.batch + rows)
            return self.task.take(arrays["train"], taken, self.length)
        lengths = self._lengths(seed, numbers, rows, self.length)
        return self.task.draw(self._row_keys(seed, numbers, rows), lengths, self.length)

    def _in_epochs(self, seed, places: Array) -> Array:
        """Returns which training sequence stands at each place of all epochs, end to end, int32 [b]."""
        size, key = self.task.rows("train", self.length), stream(seed, TRAIN)
        return jax.vmap(lambda i: shuffled(jax.random.fold_in(key, i // size), i % size, size))(places)

    def _row_keys(self, seed, numbers, rows: Array) -> Array:
        return row_keys(stream(seed, TRAIN), numbers, rows)

    def _lengths(self, seed, numbers, rows: Array, longest) -> Array | int:
        """Draws the rows' lengths, from the shortest to the longest, [b]; the longest where they do not
        vary."""
        if self.shortest == self.length:
            return longest
        key, bounds = stream(seed, LENGTHS), (self.shortest, longest + 1)

        def of_row(number, row):
            return jax.random.randint(jax.random.fold_in(key, number), (self.batch,), *bounds)[row]

        return jax.vmap(of_row, in_axes=(0 if jnp.ndim(numbers) else None, 0))(numbers, rows)

    def piece_at(self, seed, at: Position, rows: Array, arrays=None) -> tuple[Batch, Position]:
        """Draws the next piece [b, K, ...] of each row's sequence -> (it, where the rows then stand).

        Draws the sequences whole, [b, T, ...], and cuts: time and memory for b x T steps.
        """
        whole = self.batch_at(seed, at.sequence, rows, arrays)
        missing = -self.length % self.piece

        def cut(leaf):
            leaf = jnp.pad(leaf, [(0, 0), (0, missing)] + [(0, 0)] * (leaf.ndim - 2))
            return jax.vmap(lambda row, done: lax.dynamic_slice_in_dim(row, done, self.piece))(leaf, at.done)

        done = at.done + self.piece
        ended = done >= whole.valid.sum(axis=1)
        behind = Position(at.sequence + ended, jnp.where(ended, 0, done))
        return Batch(*map(cut, whole)), behind

    # Loss and metrics.

    @property
    def _at_counted(self) -> bool:
        """Says whether predictions are made at counted steps alone."""
        return getattr(self.model, "predict", "every") == "counted"

    @property
    def at_every_step(self) -> "Supervised":
        """Returns the same learner with a model that predicts at every step where this one's does at counted
        steps alone, so that a place among the predictions is one in time."""
        if not self._at_counted:
            return self
        return dataclasses.replace(self, model=dataclasses.replace(self.model, predict="every"))

    def run(self, params, carry: Carry, piece: Piece, teacher_forcing: bool = False):
        """Runs the model on a piece -> (its carry behind the piece, predictions [L, b, T, O]).

        Of a model with predict="counted" they are [L, b, N, O], at the steps of `counted`.
        """
        batch, body = piece.batch, self._begin(params, carry, piece)
        xs, targets, valid = (jnp.swapaxes(leaf, 0, 1) for leaf in (batch.inputs, batch.targets, batch.valid))
        padded = self.shortest < self.length or self.length % self.piece > 0 or self.task.own_lengths
        mask = valid if padded or len(xs) > self.shortest else None
        options = {} if piece.noise is None else {"key": piece.noise}
        fed = targets if teacher_forcing else None
        if self._at_counted:
            body, outputs = self.model.hidden(params, body, xs, mask, None, fed, **options)
            ys = self.model.predictions(params, body, self._taken(batch, outputs))
        else:
            body, ys = self.model.chunk_depths(params, body, xs, mask, None, fed, **options)
        return body, jnp.transpose(ys, (1, 2, 0, 3))

    def _most_counted(self, batch: Batch) -> int:
        """Returns N, the most steps of a row of this batch that count."""
        return min(self.task.counted(self.length), batch.mask.shape[1])

    def _taken(self, batch: Batch, outputs: Array) -> Array:
        """Takes the counted steps of the body's outputs: [T, (L,) b, H] -> [N, (L,) b, H]."""
        if (most := self._most_counted(batch)) == len(outputs):
            return outputs
        steps = counted_steps(batch, most).T
        steps = steps.reshape(most, *[1] * (outputs.ndim - 3), -1, 1)
        return jnp.take_along_axis(outputs, steps, axis=0)

    def predictions(self, params, batch: Batch, teacher_forcing: bool = False) -> Array:
        """Predicts at every depth, as `run` does, from the start of each sequence, without noise."""
        return self.run(params, Carry(), Piece(batch), teacher_forcing)[1]

    def counted(self, batch: Batch) -> Batch:
        """Takes the steps that the predictions of `run` are judged by: those of `predicted`, or, of a model
        with predict="counted", the at most N of each row that count, [b, N, ...]."""
        if not self._at_counted or (most := self._most_counted(batch)) == batch.mask.shape[1]:
            return self.predicted(batch)
        steps = counted_steps(batch, most)
        there = jnp.arange(most) < batch.mask.sum(axis=1)[:, None]
        taken = _take(batch, steps)
        return taken._replace(mask=there, valid=taken.valid & there)

    def predicted(self, batch: Batch) -> Batch:
        """Takes the steps at which the model itself predicts: all, or each sequence's last, where there is
        but one.

        In a piece, the last is the last valid step, and it counts where the sequence ends with it. This is
        for tasks that count their last step alone. A mean is then that of the whole sequence, its gradient
        the last piece's.
        """
        once = getattr(self.model, "predict", "every") in ("last", "mean")
        return last_step(batch) if once else batch

    def loss(self, own: Own, params, carry: Carry, piece: Piece):
        """Computes one term: the deepest prediction's loss and, weighted, that of every other depth.

        own: that of a subclass may lack depth_weight, which is then 1.
        """
        depth_weight = getattr(own, "depth_weight", Supervised.own.depth_weight)
        body, ys = self.run(params, carry, piece, self.teacher_forcing)
        tally = lambda y: self.task.tally(y, self.counted(piece.batch))
        deepest, shallower = tally(ys[-1]), len(ys) - 1
        weighted = deepest.loss.sum() + depth_weight * _summed(lambda y: tally(y).loss.sum(), ys[:-1])
        summed = weighted / (1 + depth_weight * shallower)
        rows = (piece.behind, self._rows_first(params, body)) if self.tbptt else ()
        return {"loss": (1.0, summed, deepest.count.sum())}, deepest, rows

    def measure(self, params, carry: Carry, piece: Piece):
        """Tallies the deepest predictions, free-running."""
        _, ys = self.run(params, carry, piece)
        return self.task.tally(ys[-1], self.counted(piece.batch)), carry.rows

    def metrics(self, tally) -> dict[str, Array]:
        """Computes the task's metrics, floating scalars by name, of a tally of leaves [N]."""
        return self.task.metrics(tally)

    def streamed(self) -> Pieces | None:
        """Returns the task's sequences, of any length that it has; None of finite data."""
        if self.task.finite:
            return None
        return Pieces(self, (self.shortest, self.length), self.task.min_length)

    def look(self, params, carry: Carry, piece: Piece) -> dict[str, Array]:
        """Returns the predictions at every step, [b, T, L, O]."""
        _, ys = self.at_every_step.run(params, carry, piece, self.teacher_forcing)
        return {"predictions": jnp.transpose(ys, (1, 2, 0, 3))}


def _summed(loss: Callable[[Array], Array], ys: Array) -> Array | int:
    """Sums the losses of ys [L, ...]: a few are written out, many are one vectorized program."""
    if len(ys) <= WRITTEN_OUT:
        return sum(map(loss, ys))
    return jax.vmap(loss)(ys).sum()


def last_step(batch: Batch) -> Batch:
    """Takes each sequence's last step alone, [b, 1, ...]."""
    return _take(batch, batch.valid.sum(axis=1, keepdims=True) - 1)


def counted_steps(batch: Batch, most: int) -> Array:
    """Finds the counted steps of each row, in order, int32 [b, most]; a row with fewer ends in its last
    step, again and again."""
    so_far = jnp.cumsum(batch.mask, axis=1, dtype=jnp.int32)
    numbers = jnp.arange(1, most + 1, dtype=jnp.int32)
    steps = jax.vmap(lambda row: jnp.searchsorted(row, numbers))(so_far)
    return jnp.minimum(steps, batch.mask.shape[1] - 1)


def _take(batch: Batch, steps: Array) -> Batch:
    """Takes some steps of each row, int [b, n]: [b, T, ...] -> [b, n, ...]."""

    def pick(leaf):
        return jnp.take_along_axis(leaf, steps.reshape(*steps.shape, *[1] * (leaf.ndim - 2)), axis=1)

    return Batch(*map(pick, batch))
