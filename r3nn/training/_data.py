"""The data of an update: whole sequences, or the next piece of each row's sequence.

Row b of the batch is a stream of sequences, number 0, 1, ...; what number n holds follows from (seed, n, b)
alone. Whole sequences: update n takes number n of every row. Truncated backpropagation: an update takes the
next `Spec.piece` steps of each row, and a row whose sequence has ended starts its next one with the next
update, so rows of different lengths part. Where each stands then follows from (seed, step), and is carried;
its sequence is not: each piece draws it again, whole. So the data take memory for B x T steps, however short
the piece of K steps is, and a sequence is drawn in the time of T^2 / K steps: little beside its training as
long as to train a step takes far more than T / K times as long as to draw one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from r3nn.tasks import Batch
from r3nn.training._spec import Spec

Array = jax.Array
INIT, TRAIN, LENGTHS, HELD_OUT, TEST, NOISE = range(6)  # streams of random numbers under one seed


def stream(seed, name: int) -> Array:
    """The PRNG key of one stream (INIT, TRAIN, LENGTHS, HELD_OUT, TEST, NOISE) under a seed."""
    return jax.random.fold_in(jax.random.key(seed), name)


def row_keys(key: Array, numbers, rows: Array) -> Array:
    """A PRNG key for each row's sequence, [b]; numbers: one for all, or [b]."""
    of_row = lambda number, row: jax.random.fold_in(jax.random.fold_in(key, number), row)
    return jax.vmap(of_row, in_axes=(0 if jnp.ndim(numbers) else None, 0))(numbers, rows)


def batch_at(spec: Spec, seed, numbers, rows=None) -> Batch:
    """Whole sequences [b, T, ...], of each row the one of its number: a pure function of (seed, number, row).

    numbers: int [], one for all rows, such as the step; or [b]. rows: int [b]; None: all of the batch.
    """
    rows = jnp.arange(spec.batch, dtype=jnp.int32) if rows is None else rows
    keys = row_keys(stream(seed, TRAIN), numbers, rows)
    return spec.task.draw(keys, _lengths(spec, seed, numbers, rows), spec.max_length)


def _lengths(spec: Spec, seed, numbers, rows):
    if spec.shortest == spec.max_length:
        return spec.max_length
    key, bounds = stream(seed, LENGTHS), (spec.shortest, spec.max_length + 1)

    def of_row(number, row):
        return jax.random.randint(jax.random.fold_in(key, number), (spec.batch,), *bounds)[row]

    return jax.vmap(of_row, in_axes=(0 if jnp.ndim(numbers) else None, 0))(numbers, rows)


class Position(NamedTuple):
    """Where the rows stand in their streams."""

    sequence: Array  # int32 [b], the number of the sequence
    done: Array  # int32 [b], steps of it that updates have taken


def piece_at(spec: Spec, seed, at: Position, rows=None) -> tuple[Batch, Position]:
    """The next piece [b, K, ...] of each row's sequence, K = spec.piece; and where the rows then stand.

    Draws the sequences whole, [b, T, ...], and cuts: time and memory for b x T steps.
    """
    whole = batch_at(spec, seed, at.sequence, rows)
    missing = -spec.max_length % spec.piece

    def cut(leaf):
        leaf = jnp.pad(leaf, [(0, 0), (0, missing)] + [(0, 0)] * (leaf.ndim - 2))
        return jax.vmap(lambda row, done: lax.dynamic_slice_in_dim(row, done, spec.piece))(leaf, at.done)

    done = at.done + spec.piece
    ended = done >= whole.valid.sum(axis=1)
    behind = Position(at.sequence + ended, jnp.where(ended, 0, done))
    return Batch(*map(cut, whole)), behind


def last_step(batch: Batch) -> Batch:
    """Each sequence's last step alone, [B, 1, ...]."""
    last = batch.valid.sum(axis=1) - 1

    def pick(leaf):
        index = last.reshape(-1, *[1] * (leaf.ndim - 1))
        return jnp.take_along_axis(leaf, index, axis=1)

    return Batch(*map(pick, batch))
