"""Draws noise by keys that are data: they go with the inputs, and a cell's `project` draws from them.

So a step stays deterministic: recomputation, Newton's iterations, blocks, orders of depth and any number of
devices all see the same noise.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from r3nn._serialize import serializable


class Keyed(NamedTuple):
    """Holds what a noisy cell gets as x: the input [..., D], and PRNG keys [...] to draw from.

    step: a new key at each step: fold_in(one half of the sequence's key, t), where t counts from the first
      step of all.
    sequence: a new key at each reset: fold_in(the other half, index of the segment's first step); None where
      a cell is called for one step alone, whose segment is not known.
    """

    x: jax.Array
    step: jax.Array
    sequence: jax.Array | None


@serializable
class Noise(NamedTuple):
    """Given as `key` of `unroll`, lets a piece of longer sequences draw what it would draw within the whole.

    key: one PRNG key, or one per sequence [*batch]. time: the steps before this piece. start: the first step
    of the segment in which the piece begins. int32 [] or [*batch]; 0 for the first piece.
    """

    key: Any
    time: Any = 0
    start: Any = 0

    def after(self, length, reset=None) -> "Noise":
        """Returns the `Noise` of the next piece, behind one of `length` steps with these resets, bool
        [length, *batch]."""
        start = self.start
        if reset is not None and length:
            start = _starts(self, reset)[-1]
        return Noise(self.key, self.time + length, start)


def keyed(key, xs, reset=None, axis_name=None) -> Keyed:
    """Gives inputs xs [T, *batch, D] their keys. reset: bool [T, *batch], in the order of time, or None.

    axis_name: the mesh axis over which time is sharded: each shard draws what the whole would.
    Raises: TypeError, ValueError for what is no key, or keys of another batch; for resets with axis_name.
    """
    noise = key if isinstance(key, Noise) else Noise(key)
    if axis_name is not None:
        if reset is not None:
            raise ValueError(f"axis_name={axis_name!r}: time over devices takes no reset with noise (key).")
        noise = noise.after(lax.axis_index(axis_name) * xs.shape[0])
    shape = xs.shape[:-1]
    of_sequence = _per_sequence(noise.key, shape[1:])
    start = noise.start if reset is None else _starts(noise, reset)
    time = jnp.broadcast_to(_times(noise, shape), shape)
    step, sequence = fold(of_sequence, 0), fold(of_sequence, 1)
    return Keyed(xs, fold(step, time), fold(sequence, jnp.broadcast_to(start, shape)))


def _times(noise, shape):
    steps = jnp.arange(shape[0], dtype=jnp.int32)
    return jnp.asarray(noise.time, jnp.int32) + jnp.expand_dims(steps, range(1, len(shape)))


def _starts(noise, reset):
    here = jnp.where(reset, _times(noise, reset.shape), 0)
    return lax.cummax(jnp.maximum(here, jnp.asarray(noise.start, jnp.int32)), axis=0)


def _per_sequence(key, batch):
    if not jnp.issubdtype(jnp.result_type(key), jax.dtypes.prng_key):
        raise TypeError(f"key is {jax.typeof(key)}: must be jax.random.key(seed), or one per sequence.")
    if key.shape not in ((), batch):
        raise ValueError(f"key has shape {key.shape}: must be one key, or one per sequence, {batch}.")
    return key if key.shape == batch else fold(key, jnp.arange(math.prod(batch)).reshape(batch))


def fold(keys, number):
    """Folds numbers into keys by `jax.random.fold_in`; both have any shapes that broadcast. keys=None gives
    None."""
    if keys is None:
        return None
    shape = jnp.broadcast_shapes(keys.shape, jnp.shape(number))
    flat = lambda leaf: jnp.broadcast_to(leaf, shape).reshape(-1)
    return jax.vmap(jax.random.fold_in)(flat(keys), flat(jnp.asarray(number, jnp.int32))).reshape(shape)


def part(cell, x, index=None):
    """Returns what a part of a composition gets as x: with keys folded by its index, or without keys unless
    it is noisy."""
    if not isinstance(x, Keyed):
        return x
    if not cell.noisy:
        return x.x
    return x if index is None else Keyed(x.x, fold(x.step, index), fold(x.sequence, index))


def bare(x):
    """Returns x without its keys."""
    return x.x if isinstance(x, Keyed) else x


def put(x, value):
    """Returns `value` in the place of x, with x's keys where it has some."""
    return x._replace(x=value) if isinstance(x, Keyed) else value


def bernoulli(keys, probability: float, size: int, dtype):
    """Draws 1 with this probability, else 0: [*keys.shape, size]. The draws are the same whatever the dtype.

    Raises: ValueError for keys=None, those of the sequence at a step on its own.
    """
    if keys is None:
        raise ValueError(
            "noise that is drawn once a sequence (variational_dropout) cannot be drawn step by step: take "
            "r3nn's RNN in place of Flax's, or give step t key=Noise(key, t)."
        )
    return (_drawn(jax.random.uniform, keys, (size,)) < probability).astype(dtype)


def normal(keys, shape: tuple[int, ...], dtype):
    """Draws from N(0, 1): [*keys.shape, *shape]. The draws are the same whatever the dtype, up to
    rounding."""
    return _drawn(jax.random.normal, keys, shape).astype(dtype)


def _drawn(draw, keys, shape):
    """Draws this shape by each key, in float32."""
    drawn = jax.vmap(lambda key: draw(key, shape, jnp.float32))(keys.reshape(-1))
    return drawn.reshape(*keys.shape, *shape)
