"""Measures sequences of any length, taken chunk by chunk.

Where a task draws piece by piece, each chunk is drawn on the device in the program that measures it, so that
memory does not grow with the length. Others are drawn whole, and cut.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.evaluation.intervals import Estimate, estimates
from experiments.evaluation.positions import last_accuracy, scaled_accuracy
from r3nn import training

CHUNKS = 64  # of one call of the device where it draws them: between two calls a program can be stopped


class Options(NamedTuple):
    """Says how much to evaluate, and in what pieces."""

    sequences: int = 1024  # N, of each length
    batch: int = 128  # sequences at a time; the numbers do not depend on it
    chunk: int = 256  # steps that are taken at once; nor on this
    seed: int = 0  # of the sequences


samples = jax.jit(lambda streamed, *arguments: streamed.draw(*arguments), static_argnums=(0, 5))
start = jax.jit(lambda streamed, *arguments: streamed.start(*arguments), static_argnums=(0, 3))


class Found(NamedTuple):
    """Holds what is known of B sequences so far."""

    tally: Any  # the learner's, leaves [B, ...]
    last: Any  # a `training.Last`, or ()


class Subject(NamedTuple):
    """Holds what is measured at several lengths: learned parameters, and the sequences they are tried on."""

    streamed: training.Streamed
    params: Any
    shared: Any = ()  # `Carry.shared` of the run
    arrays: Any = None  # the learner's finite data


def measure(
    subject: Subject, length: int, longest: int, options: Options, chance: float | None = None
) -> dict[str, Estimate]:
    """Computes every metric of the learner over N sequences of one length. longest: the greatest length to
    come. chance: what accuracy is scaled by; None: there is no scaled_accuracy."""
    key = jax.random.fold_in(training.stream(options.seed, training.TEST), length)
    by_piece = subject.streamed.block is not None
    steps = room(length, longest, options.chunk)
    parts = []
    for first in range(0, options.sequences, options.batch):
        rows = np.arange(first, first + options.batch)
        if by_piece:
            found = drawn(subject, key, rows, length, options.chunk)
        else:
            data = samples(subject.streamed, subject.arrays, key, rows, np.int32(length), steps)
            found = stream(subject, jax.tree.map(np.asarray, data), length, options.chunk)
        parts.append(jax.tree.map(np.asarray, found))
    found = jax.tree.map(lambda *parts: np.concatenate(parts)[: options.sequences], *parts)
    row = estimates(subject.streamed, found.tally, length)
    return {**row, **last_accuracy(found.last), **scaled_accuracy(row, chance)}


def stream(subject: Subject, data: Any, length: int, chunk: int) -> Found:
    """Takes drawn sequences [B, T, ...], T whole chunks, chunk by chunk up to their length."""
    streamed, params, shared, _ = subject
    carry, found = start(streamed, params, shared, len(jax.tree.leaves(data)[0])), None
    for first in range(0, length, chunk):
        piece = jax.tree.map(lambda leaf, first=first: leaf[:, first : first + chunk], data)
        now, carry = _advance(streamed, params, carry, piece)
        found = now if found is None else _join(found, now)
    return found


def drawn(subject: Subject, key: jax.Array, rows: np.ndarray, length: int, chunk: int) -> Found:
    """Draws sequences of these numbers [B] chunk by chunk, and takes each chunk as it comes."""
    streamed, params, shared, arrays = subject
    block = streamed.block
    chunk = -(-chunk // block) * block
    rows, length, count = jnp.asarray(rows, jnp.int32), np.int32(length), -(-length // chunk)
    state = _begin(streamed, params, shared, arrays, key, rows, length, chunk)
    for first in range(0, count, CHUNKS):
        bounds = np.int32(first), np.int32(min(first + CHUNKS, count))
        state = _run(streamed, params, arrays, key, rows, length, chunk, bounds, state)
        jax.block_until_ready(state)  # else many calls wait in a queue, which nothing stops
    return state[-1]


@functools.partial(jax.jit, static_argnums=(0, 7))
def _begin(streamed, params, shared, arrays, key, rows, length, chunk: int):
    """Returns what is carried before the first chunk: (of drawing, of the model, `Found`)."""
    source, carry = streamed.before(rows), streamed.start(params, shared, len(rows))
    piece = jax.eval_shape(
        lambda source: streamed.piece(arrays, key, rows, length, jnp.int32(0), chunk, source)[1], source
    )
    found, _ = jax.eval_shape(functools.partial(_advance, streamed), params, carry, piece)
    return source, carry, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), found)


@functools.partial(jax.jit, static_argnums=(0, 6))
def _run(streamed, params, arrays, key, rows, length, chunk: int, bounds, state):
    """Takes the chunks of these numbers, first to last: traced, so that one program serves all lengths."""

    def one(number, state):
        source, carry, found = state
        source, piece = streamed.piece(arrays, key, rows, length, number * chunk, chunk, source)
        now, carry = _advance(streamed, params, carry, piece)
        return source, carry, _join(found, now)

    return lax.fori_loop(*bounds, one, state)


@functools.partial(jax.jit, static_argnums=0)
def _advance(streamed, params, carry, piece) -> tuple[Found, Any]:
    tally, last, carry = streamed.measure_last(params, carry, piece)
    return Found(tally, last), carry


@jax.jit
def _join(found: Found, now: Found) -> Found:
    """Adds up the tallies; the last counted step is that of the later piece, where it counts any."""
    last = now.last
    if last:
        last = last._replace(
            there=last.there | found.last.there, right=jnp.where(last.there, last.right, found.last.right)
        )
    return Found(jax.tree.map(jnp.add, found.tally, now.tally), last)


def room(length: int, longest: int, chunk: int) -> int:
    """Counts the steps to draw for a length: whole chunks, and few different numbers of them.

    Each different number is one more program to compile, which takes long where random numbers are drawn;
    each step too many is wasted.
    """
    chunks = 1
    while chunks * chunk < length:
        chunks *= 16
    return min(chunks, -(-longest // chunk)) * chunk


def memory_drawn(subject: Subject, longest: int, options: Options) -> int:
    """Counts the bytes of a batch of data: of a chunk, where they are drawn chunk by chunk, else of the
    longest sequences; and, as measured, up to twice as much on the way of drawing them."""
    block = subject.streamed.block
    steps = room(longest, longest, options.chunk) if block is None else -(-options.chunk // block) * block
    few = subject.streamed.min_length
    one = lambda key: subject.streamed.draw(subject.arrays, key, jnp.arange(1), jnp.int32(few), few)
    leaves = jax.tree.leaves(jax.eval_shape(one, jax.random.key(0)))
    return 3 * options.batch * steps * sum(leaf.size * leaf.dtype.itemsize for leaf in leaves) // few
