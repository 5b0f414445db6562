"""Loops over blocks of time."""

import jax
import jax.numpy as jnp
from jax import lax

from r3nn.time.arrays.trees import known, length_of


def scan_chunks(body, carry, xs, per_chunk, chunk: int, reverse: bool):
    """`lax.scan` over blocks of `chunk` steps, and the rest in a block of its own.

    body(carry, block of xs [C, ...], entry of per_chunk) -> (carry, (ys [C, ...], per block)); inside a
    block, steps keep their order in time. Returns: (carry, (ys [T, ...], per block [blocks, ...])).
    """
    count, rest = divmod(length_of(xs), chunk)

    def run_many(carry):
        blocks = jax.tree.map(lambda x: x[: count * chunk].reshape(count, chunk, *x.shape[1:]), xs)
        entries = jax.tree.map(lambda x: x[:count], per_chunk)
        carry, (ys, each) = lax.scan(lambda c, b: body(c, *b), carry, (blocks, entries), reverse=reverse)
        return carry, (jax.tree.map(lambda y: y.reshape(count * chunk, *y.shape[2:]), ys), each)

    def run_rest(carry):
        block = jax.tree.map(lambda x: x[count * chunk :], xs)
        carry, (ys, each) = body(carry, block, jax.tree.map(lambda x: x[count], per_chunk))
        return carry, (ys, jax.tree.map(lambda x: x[None], each))

    if not rest:
        return run_many(carry)
    if not count:
        return run_rest(carry)
    if reverse:
        carry, last = run_rest(carry)
        carry, first = run_many(carry)
    else:
        carry, first = run_many(carry)
        carry, last = run_rest(carry)
    return carry, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, last)


def chunk_size(length, bytes_per_step):
    """A block whose states take about 512 KiB on a CPU, so that with gates and diagonals it stays in cache
    (accelerators have no such cache: 64 MiB); a divisor of `length` where one is near, so that one
    compiled body does it all. Of an unknown length: all steps; of unknown bytes: 32 steps."""
    if not known(length):
        return length
    target = 2**19 if jax.default_backend() == "cpu" else 2**26
    ideal = max(target // max(1, bytes_per_step), 16) if known(bytes_per_step) else 32
    ideal = min(ideal, 128, length)
    near = [c for c in range(-(-ideal // 2), min(2 * ideal, length) + 1) if length % c == 0]
    return min(near, key=lambda c: abs(c - ideal), default=ideal)


def entries(state, states, chunk: int, reverse: bool):
    """The state on entering each block: `state` [...] for the first that is run, from states [T, ...]."""

    def of_leaf(first, all_):
        if reverse:
            return jnp.concatenate([all_[chunk::chunk], first[None]])
        return jnp.concatenate([first[None], all_[chunk - 1 : -1 : chunk]])

    return jax.tree.map(of_leaf, state, states)


def before(entry, states, reverse: bool):
    """The state before each step of a block: the states shifted by one step, `entry` first."""

    def of_leaf(first, all_):
        parts = [all_[1:], first[None]] if reverse else [first[None], all_[:-1]]
        return jnp.concatenate(parts)

    return jax.tree.map(of_leaf, entry, states)
