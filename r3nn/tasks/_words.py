"""Draws words over an alphabet of V tokens: random ones, and a mixture with those that break a network.

A network that is right on every random word of a length may fail on words that chance never makes: one token
again and again, a period, a token that hardly ever comes. A mixture has, in these shares:

    2/8   random     each token uniform
    2/8   periodic   u v v v ..., |u| <= 5, 1 <= |v| <= 6, tokens uniform
    2/8   sparse     each token from one distribution of the word's own, softmax(c g), g standard Gumbel,
                     c uniform in [1, 6]
    1/8   held       a token stays for a time, 64 steps at most: new ones at a rate of 10^U(-2, 0)
    1/8   single     one token, behind at most three random ones

Block k of BLOCK steps comes from fold_in(key, k), and what holds for a word as a whole from the key alone, so
that words of any length can be drawn piece by piece.
"""

import jax
import jax.numpy as jnp
from jax import lax

BLOCK = 64
WORDS = ("random", "mixed")
_KINDS = 8  # eighths
_LONGEST = 6  # of u and v


def blocks(key: jax.Array, at: jax.Array, count: int, width: int) -> jax.Array:
    """Draws numbers uniform in [0, 1), float32 [count, width], for `count` steps from step `at` on.

    at, count: multiples of BLOCK. Everything is made of one such draw, since each call of JAX's random
    functions adds to the compile time of a program.
    """
    numbers = at // BLOCK + jnp.arange(count // BLOCK, dtype=jnp.int32)
    one = lambda k: jax.random.uniform(jax.random.fold_in(key, k), (BLOCK, width), jnp.float32)
    return jax.vmap(one)(numbers).reshape(count, width)


def draw_word(key: jax.Array, at: jax.Array, count: int, tokens: int, words: str) -> jax.Array:
    """Draws steps at .. at + count of a word, int32 [count] in [0, tokens). words: one of WORDS."""
    token = lambda uniform: jnp.minimum((uniform * tokens).astype(jnp.int32), tokens - 1)
    if words == "random":
        return token(blocks(key, at, count, 1)[:, 0])
    # Of the whole word: its kind, |u|, |v|, c, the rate, the tokens of u and v, g. No block has this number.
    whole = jax.random.uniform(jax.random.fold_in(key, 2**32 - 1), (5 + 2 * _LONGEST + tokens,), jnp.float32)
    (kind, before, period, sharpness, rate), few, shape = jnp.split(whole, [5, 5 + 2 * _LONGEST])
    few, kind = token(few), (kind * _KINDS).astype(jnp.int32)
    before, period = (before * _LONGEST).astype(jnp.int32), 1 + (period * _LONGEST).astype(jnp.int32)
    gumbel = -jnp.log(-jnp.log(jnp.clip(shape, 1e-7, 1 - 1e-7)))
    chances = jnp.cumsum(jax.nn.softmax((1 + 5 * sharpness) * gumbel))
    rate = 10 ** (2 * rate - 2)
    t = at + jnp.arange(count, dtype=jnp.int32)

    first, second, third = blocks(key, at, count, 3).T
    random = token(first)
    sparse = jnp.minimum(jnp.searchsorted(chances, second).astype(jnp.int32), tokens - 1)
    fresh = (third < rate) | (t % BLOCK == 0)
    held = random[lax.cummax(jnp.where(fresh, jnp.arange(count, dtype=jnp.int32), 0))]
    periodic = few[jnp.where(t < before, t, _LONGEST + (t - before) % period)]
    single = jnp.where(t < before % 4, few[jnp.minimum(t, 3)], few[_LONGEST])
    each = [random, random, periodic, periodic, sparse, sparse, held, single]
    return jnp.stack(each)[kind]
