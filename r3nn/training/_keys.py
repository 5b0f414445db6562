"""Makes the random numbers of a run: streams under one seed, and a key for each row."""

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array
INIT, TRAIN, LENGTHS, HELD_OUT, TEST, NOISE = range(6)  # streams of random numbers under one seed


def stream(seed, name: int) -> Array:
    """Returns the PRNG key of one stream (INIT, TRAIN, LENGTHS, HELD_OUT, TEST, NOISE) under a seed."""
    return jax.random.fold_in(jax.random.key(seed), name)


def row_keys(key: Array, numbers, rows: Array) -> Array:
    """Makes a PRNG key for each row, [b]: of (number, row). numbers: int [], one for all rows, or [b]."""
    of_row = lambda number, row: jax.random.fold_in(jax.random.fold_in(key, number), row)
    return jax.vmap(of_row, in_axes=(0 if jnp.ndim(numbers) else None, 0))(numbers, rows)


def shuffled(key: Array, index: Array, size: int) -> Array:
    """Returns the place, int32 [], to which a random permutation of range(size) takes an index. The key
    decides the permutation.

    Each place is computed by itself, so that an epoch of a large data set needs no sorted array of its rows:
    a Feistel network permutes the numbers below a power of 4, and a number that lands at `size` or above goes
    through it again.
    Source: Black & Rogaway 2002, "Ciphers with Arbitrary Finite Domains" (cycle walking).
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low = jnp.uint32((1 << half) - 1)
    rounds = jax.random.bits(key, (4,), jnp.uint32)

    def once(x):
        left, right = x >> half, x & low
        for secret in rounds:
            left, right = right, left ^ (_mixed(right ^ secret) & low)
        return left << half | right

    return lax.while_loop(lambda x: x >= size, once, once(index.astype(jnp.uint32))).astype(jnp.int32)


def _mixed(x: Array) -> Array:
    """Hashes uint32: the finaliser of MurmurHash3 (Appleby, public domain)."""
    x = (x ^ x >> 16) * jnp.uint32(0x85EBCA6B)
    x = (x ^ x >> 13) * jnp.uint32(0xC2B2AE35)
    return x ^ x >> 16
