"""Gathers arrays that are split over the processes, and broadcasts those of process 0."""

from typing import Any

import jax
import jax._src.clusters
import jax._src.distributed
import numpy as np
from jax.experimental import multihost_utils

from experiments.processes.membership import first, several


def gathered(tree: Any) -> Any:
    """Returns a tree's arrays as NumPy's, whole, in every process: a collective where they are split."""
    if not several():
        return tree
    whole = lambda x: (
        np.asarray(x) if x.is_fully_replicated else multihost_utils.process_allgather(x, tiled=True)
    )
    return jax.tree.map(whole, tree)


def from_first(tree: Any, like: Any) -> Any:
    """Returns process 0's arrays in all processes, with the shardings of `like`; bit by bit, a NaN too.

    tree: only process 0's counts. like: shapes, dtypes and shardings, the same in all processes.
    """
    leaves, structure = jax.tree.flatten(like)
    sizes = [leaf.size * leaf.dtype.itemsize for leaf in leaves]
    if first():
        data = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree))
    else:
        data = bytes(sum(sizes))
    if several():
        data = multihost_utils.broadcast_one_to_all(np.frombuffer(data, np.uint8)).tobytes()
    ends = np.cumsum(sizes, dtype=int)
    parts = [data[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    return structure.unflatten([_placed(*pair) for pair in zip(parts, leaves, strict=True)])


def _placed(data: bytes, like: Any) -> jax.Array:
    whole = np.frombuffer(data, like.dtype).reshape(like.shape)
    return jax.make_array_from_callback(like.shape, like.sharding, lambda index: whole[index])
