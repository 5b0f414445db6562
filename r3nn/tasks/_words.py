"""Draws words over an alphabet of V tokens: random ones, and a mixture with those that break a network.

A network that is right on every random word of a length may fail on words that chance never makes: one token
again and again, a period, a token that hardly ever comes. A mixture has, in these shares:

    2/8   random     each token uniform
    2/8   periodic   u v v v ..., |u| <= 5, 1 <= |v| <= 6, tokens uniform
    2/8   sparse     each token from one distribution of the word's own, softmax(c g), g standard Gumbel,
                     c uniform in [1, 6]
    1/8   held       a token stays for a time: a new one comes at a rate of 10^U(-2, 0) a step
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


def blocks(key: jax.Array, at: jax.Array, count: int, draw) -> jax.Array:
    """Draws `count` steps from step `at` on, both multiples of BLOCK: draw(key of a block) -> [BLOCK, ...]."""
    numbers = at // BLOCK + jnp.arange(count // BLOCK, dtype=jnp.int32)
    drawn = jax.vmap(lambda k: draw(jax.random.fold_in(key, k)))(numbers)
    return drawn.reshape(count, *drawn.shape[2:])


def draw_word(key: jax.Array, at: jax.Array, count: int, tokens: int, words: str) -> jax.Array:
    """Draws steps at .. at + count of a word, int32 [count] in [0, tokens). words: one of WORDS."""
    own, stepwise = jax.random.split(key)
    uniform = lambda key: jax.random.randint(key, (BLOCK,), 0, tokens, jnp.int32)
    if words == "random":
        return blocks(stepwise, at, count, uniform)
    kind, few, lengths, shape, sharpness, rate = jax.random.split(own, 6)
    few = jax.random.randint(few, (2 * _LONGEST,), 0, tokens, jnp.int32)  # tokens of u, then of v
    before, period = jax.random.randint(lengths, (2,), jnp.array([0, 1]), jnp.array([6, 7]), jnp.int32)
    sharpness = jax.random.uniform(sharpness, (), jnp.float32, 1, 6)
    logits = sharpness * jax.random.gumbel(shape, (tokens,), jnp.float32)
    rate = 10 ** jax.random.uniform(rate, (), jnp.float32, -2, 0)
    t = at + jnp.arange(count, dtype=jnp.int32)

    def block(key):
        keys = jax.random.split(key, 3)
        random = uniform(keys[0])
        sparse = jax.random.categorical(keys[1], logits, shape=(BLOCK,)).astype(jnp.int32)
        fresh = jax.random.bernoulli(keys[2], rate, (BLOCK,)).at[0].set(True)
        since = lax.cummax(jnp.where(fresh, jnp.arange(BLOCK, dtype=jnp.int32), 0))
        return jnp.stack([random, sparse, random[since]], axis=-1)

    random, sparse, held = jnp.moveaxis(blocks(stepwise, at, count, block), -1, 0)
    periodic = few[jnp.where(t < before, t, _LONGEST + (t - before) % period)]
    single = jnp.where(t < before % 4, few[jnp.minimum(t, 3)], few[_LONGEST])
    each = [random, random, periodic, periodic, sparse, sparse, held, single]
    number = jax.random.randint(kind, (), 0, _KINDS, jnp.int32)
    return jnp.stack(each)[number]
