"""Takes a task's sequences of any length through a model, piece by piece."""

import dataclasses

import jax
import jax.numpy as jnp

from r3nn.tasks import Batch
from r3nn.training.learner import Last, Streamed

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Pieces(Streamed):
    """Streams the sequences of a `Supervised`, free-running and without noise.

    A piece is judged at the steps of the learner's `counted`, as a batch in training is; a subclass that
    takes other predictions than those of its model (by `run`) gives a `streamed` of its own.
    """

    def draw(self, arrays, key: Array, rows: Array, length: Array, steps: int) -> Batch:
        """Draws fresh sequences, [B, steps, ...]."""
        return self.learner.task.draw(_keys(key, rows), length, steps)

    @property
    def block(self) -> int | None:
        """Returns the task's block."""
        return self.learner.task.block

    def before(self, rows: Array) -> Array:
        """Returns the start state of the task's machine, int32 [B]."""
        return jnp.full(rows.shape, self.learner.task.automaton().start, jnp.int32)

    def piece(self, arrays, key: Array, rows: Array, length: Array, at: Array, count: int, drawn: Array):
        """Draws steps of fresh sequences -> (the machine's states behind them [B], them)."""
        one = lambda key, state: self.learner.task.piece(key, state, at, count, length)
        drawn, (inputs, targets, mask) = jax.vmap(one)(_keys(key, rows), drawn)
        valid = jnp.broadcast_to(
            at + jnp.arange(count, dtype=jnp.int32) < self.learner.task.own(length), mask.shape
        )
        clear = lambda leaf: jnp.where(valid, leaf, 0)  # what `draw` does
        return drawn, Batch(clear(inputs), clear(targets), mask & valid, valid)

    def start(self, params, shared, size: int):
        """Returns the model's carry before the first step of `size` sequences."""
        return self.learner.model.start(params, (size,))

    def measure(self, params, carry, piece: Batch):
        """Measures a piece [B, C, ...] -> (the task's tally, the model's carry behind it)."""
        tally, _, carry = self.measure_last(params, carry, piece)
        return tally, carry

    def measure_last(self, params, carry, piece: Batch):
        """Does as `measure`, with the last counted step of a classification."""
        xs, valid = (jnp.swapaxes(leaf, 0, 1) for leaf in (piece.inputs, piece.valid))
        carry, ys = self.learner.model.chunk_depths(params, carry, xs, valid, None, None)
        ys, counted = jnp.swapaxes(ys[:, -1], 0, 1), self.learner.at_every_step.counted(piece)
        classes = self.learner.task.kind == "classification" and counted.targets.ndim == 2
        last = _last(ys, counted) if classes else ()
        return self.learner.task.tally(ys, counted), last, carry

    def baseline(self, length: int) -> dict[str, float]:
        """Returns the task's metrics for the best guess without the inputs, at this length."""
        return self.learner.task.baseline(length)


def _keys(key: Array, rows: Array) -> Array:
    """Makes the key of each sequence, [B]."""
    one = lambda row: jax.random.fold_in(jax.random.fold_in(key, row), 0)
    return jax.vmap(one)(rows)


def _last(logits: Array, batch: Batch) -> Last:
    """Finds the last counted step of each row, and whether the likeliest class there is the target."""
    steps = jnp.arange(batch.mask.shape[1], dtype=jnp.int32)
    at = jnp.where(batch.mask, steps, 0).max(axis=1)[:, None]
    there = jnp.take_along_axis(logits, at[..., None], axis=1)[:, 0]
    target = jnp.take_along_axis(batch.targets, at, axis=1)[:, 0]
    right = (there.argmax(axis=-1).astype(target.dtype) == target) & ~jnp.isnan(there).any(axis=-1)
    return Last(batch.mask.any(axis=1), right)
