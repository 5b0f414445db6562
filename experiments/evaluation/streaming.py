"""Measures sequences of any length, taken chunk by chunk."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.evaluation.intervals import Estimate, estimates
from r3nn import training


class Options(NamedTuple):
    """Says how much to evaluate, and in what pieces."""

    sequences: int = 1024  # N, of each length
    batch: int = 128  # sequences at a time; the numbers do not depend on it
    chunk: int = 256  # steps that are taken at once; nor on this
    seed: int = 0  # of the sequences


samples = jax.jit(lambda streamed, *arguments: streamed.draw(*arguments), static_argnums=(0, 5))
start = jax.jit(lambda streamed, *arguments: streamed.start(*arguments), static_argnums=(0, 3))
advance = jax.jit(lambda streamed, *arguments: streamed.measure(*arguments), static_argnums=0)
add = jax.jit(lambda tally, other: jax.tree.map(jnp.add, tally, other))


class Subject(NamedTuple):
    """Holds what is measured at several lengths: learned parameters, and the sequences they are tried on."""

    streamed: training.Streamed
    params: Any
    shared: Any = ()  # `Carry.shared` of the run
    arrays: Any = None  # the learner's finite data


def measure(subject: Subject, length: int, longest: int, options: Options) -> dict[str, Estimate]:
    """Computes every metric of the learner over N sequences of one length. longest: the greatest length to
    come."""
    key = jax.random.fold_in(training.stream(options.seed, training.TEST), length)
    steps = room(length, longest, options.chunk)
    tallies = []
    for first in range(0, options.sequences, options.batch):
        rows = np.arange(first, first + options.batch)
        data = samples(subject.streamed, subject.arrays, key, rows, np.int32(length), steps)
        tallies.append(stream(subject, jax.tree.map(np.asarray, data), length, options.chunk))
    tally = jax.tree.map(lambda *parts: np.concatenate(parts)[: options.sequences], *tallies)
    return estimates(subject.streamed, tally, length)


def stream(subject: Subject, data: Any, length: int, chunk: int):
    """Tallies sequences [B, T, ...], T whole chunks, chunk by chunk up to their length -> leaves [B]."""
    streamed, params, shared, _ = subject
    carry, tally = start(streamed, params, shared, len(jax.tree.leaves(data)[0])), None
    for first in range(0, length, chunk):
        piece = jax.tree.map(lambda leaf, first=first: leaf[:, first : first + chunk], data)
        found, carry = advance(streamed, params, carry, piece)
        tally = found if tally is None else add(tally, found)
    return tally


def room(length: int, longest: int, chunk: int) -> int:
    """Counts the steps to draw for a length: whole chunks, and few different numbers of them.

    Each different number is one more program to compile, which takes long where random numbers are drawn;
    each step too many is wasted.
    """
    chunks = 1
    while chunks * chunk < length:
        chunks *= 16
    return min(chunks, -(-longest // chunk)) * chunk


def bytes_drawn(subject: Subject, steps: int) -> int:
    """Counts the bytes that drawing so many steps takes: the data, and, as measured, up to twice as much on
    the way."""
    few = subject.streamed.min_length
    one = lambda key: subject.streamed.draw(subject.arrays, key, jnp.arange(1), jnp.int32(few), few)
    drawn = jax.eval_shape(one, jax.random.key(0))
    return 3 * steps * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(drawn)) // few
