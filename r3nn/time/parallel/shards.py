"""Handles time over devices: inside `shard_map`, each device holds some steps, in order."""

import jax
import jax.numpy as jnp
from jax import lax


def check_axis(axis_name) -> None:
    """Raises ValueError, in one sentence, where there is no such axis."""
    try:
        lax.axis_size(axis_name)
    except NameError as error:
        raise ValueError(
            f"axis_name={axis_name!r}: no axis of that name is split here; call this inside jax.shard_map."
        ) from error


def entry_of(first, last, reverse: bool, axis_name):
    """Returns the state before a shard's first step: `first` on the leading shard, else `last` of the one
    before."""
    here, shards = lax.axis_index(axis_name), lax.axis_size(axis_name)
    leads = here == (shards - 1 if reverse else 0)
    ring = [((i + 1) % shards, i) if reverse else (i, (i + 1) % shards) for i in range(shards)]
    arrived = jax.tree.map(lambda s: lax.ppermute(s, axis_name, ring), last)
    return jax.tree.map(lambda a, b: jnp.where(leads, a, b), first, arrived)


def last_of(states, reverse: bool):
    """Takes from states [T, ...] the one behind the last step."""
    return jax.tree.map(lambda s: s[0 if reverse else -1], states)


def last_of_all(last, reverse: bool, axis_name):
    """Broadcasts the state at the end of all steps from the shard that holds it; axis_name=None: `last` as it
    is."""
    if axis_name is None:
        return last
    holder = lax.axis_index(axis_name) == (0 if reverse else lax.axis_size(axis_name) - 1)
    alone = lambda s: lax.psum(jnp.where(holder, s, jnp.zeros_like(s)), axis_name)
    return jax.tree.map(alone, last)
