"""Splits the batch over devices: each runs the program on its rows, and one sum joins them.

The devices are those of this host, or of all processes where several run.

A function under `over` sees one device's share. It names its rows by `rows`, and what must come from all
devices goes through one `total`, behind every loop over time. On one device none of this changes anything.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

AXIS = "batch"
SAME, ROWS = PartitionSpec(), PartitionSpec(AXIS)  # the same on every device; split along axis 0


def over(devices: int, function: Callable, ins: Any, outs: Any) -> Callable:
    """Runs `function` on so many devices; ins, outs: trees of PartitionSpecs, as in `shard_map`."""
    if devices == 1:
        return function
    # Without `check_vma`: each device's gradients are its own until `total` joins them, and what is drawn may
    # scan from constants, which do not vary over the devices as the rows do.
    return jax.shard_map(function, mesh=mesh(devices), in_specs=ins, out_specs=outs, check_vma=False)


def mesh(devices: int) -> Mesh:
    """Makes a mesh of the first `devices` devices of this host, or of as many of each process where several
    run.

    Raises: ValueError where there are fewer.
    """
    there = jax.local_devices() if jax.process_count() == 1 else _of_each_process(devices)
    if devices > len(there):
        raise ValueError(f"devices={devices}: must be at most {len(there)}, which this host has.")
    return jax.make_mesh((devices,), (AXIS,), axis_types=(AxisType.Auto,), devices=there[:devices])


def _of_each_process(devices: int) -> list[jax.Device]:
    """Takes an equal share of so many devices from each process, in the order of the processes."""
    processes = jax.process_count()
    if devices % processes:
        raise ValueError(f"devices={devices}: must be a multiple of {processes}, the number of processes.")
    share = devices // processes
    return [device for process in range(processes) for device in jax.local_devices(process)[:share]]


def rows(devices: int, batch: int) -> jax.Array:
    """Returns the numbers of this device's rows of a batch, int32 [batch / devices]."""
    share = batch // devices
    first = lax.axis_index(AXIS) * share if devices > 1 else 0
    return first + jnp.arange(share, dtype=jnp.int32)


def total(devices: int, tree: Any) -> Any:
    """Sums over the devices, leaf by leaf."""
    return lax.psum(tree, AXIS) if devices > 1 else tree


def least(devices: int, x: jax.Array) -> jax.Array:
    """Takes the least over the devices."""
    return lax.pmin(x, AXIS) if devices > 1 else x


def spread(devices: int, tree: Any) -> Any:
    """Puts leaves [batch / devices] of this device among zeros, [batch]: their `total` is the whole
    batch's."""
    if devices == 1:
        return tree

    def among_zeros(leaf):
        share = len(leaf)
        zeros = jnp.zeros((share * devices, *leaf.shape[1:]), leaf.dtype)
        return lax.dynamic_update_slice_in_dim(zeros, leaf, lax.axis_index(AXIS) * share, 0)

    return jax.tree.map(among_zeros, tree)


def placed(devices: int, shapes: Any, specs: Any) -> Any:
    """Gives shapes the shardings that arrays of them have; specs: a prefix tree of PartitionSpecs."""
    if devices == 1:
        here = SingleDeviceSharding(jax.local_devices()[0])
        shardings = jax.tree.map(lambda _: here, specs)
    else:
        on = mesh(devices)
        shardings = jax.tree.map(lambda spec: NamedSharding(on, spec), specs)
    placing = lambda place: lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)
    return jax.tree.map(lambda place, part: jax.tree.map(placing(place), part), shardings, shapes)
