"""What the oracles of tasks look at: sequences of two lengths, as lists."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


@functools.cache
def rows(task, short=9, long=22, count=40, seed=0):
    """(length, inputs, targets, mask), of each sequence up to its own end; lengths alternate."""
    lengths = np.array([short, long], np.int32)[np.arange(count) % 2]
    batch = task.sample(jax.random.key(seed), count, lengths, long)
    own = np.asarray(batch.valid).sum(axis=1)
    return [
        (n, *(np.asarray(leaf)[i, : own[i]].tolist() for leaf in batch[:3]))
        for i, n in enumerate(lengths.tolist())
    ]


def asked(targets, mask):
    """The targets that count."""
    return [y for y, counts in zip(targets, mask, strict=True) if counts]


def answers(task, cases, size=14):
    """What a task of slots answers to words, as far as it counts; in one program."""
    answer = jax.jit(lambda symbols, n: task.answer(symbols, n, size))
    for word in cases:
        padded = jnp.array(word + [0] * (size - len(word)), jnp.int32)
        found, count = answer(padded, jnp.int32(len(word)))
        yield found[: int(count)].tolist()
