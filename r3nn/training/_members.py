"""Many runs of one architecture side by side in one program.

Members share a `Spec` and differ in `HParams` alone, the seed among them. All that is theirs has a leading
axis [M]: split over devices, so that each member lies on one of them, and within a device taken all at once
(`vmap`) or one after another (`lax.map`), as `at_once` says. A device that takes them at once fills up with
small members; a CPU is slower so, because XLA computes batched products one by one, past its caches.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from r3nn.training._evaluate import evaluate
from r3nn.training._spec import HParams, Spec
from r3nn.training._state import TrainState
from r3nn.training._update import updates

Array = jax.Array
AXIS = "members"


def member_updates(
    spec: Spec,
    hparams: HParams,
    states: TrainState,
    active: Array,
    count: int,
    devices: int = 1,
    at_once: bool = False,
) -> tuple[TrainState, dict[str, Array]]:
    """`updates` of each member that is active: (states [M], metrics [M, count]).

    active: bool [M]; the others keep their state, have metrics of zeros, and cost nothing where members are
    taken one after another. devices: of this host, which must divide M. Raises: ValueError.
    """
    one = lambda hparams, state: updates(spec, hparams, state, count)
    keep = lambda hparams, state: (state, _zeros(one, hparams, state)[1])
    return _each(spec, one, keep, devices, at_once)(active, hparams, states)


def member_evaluate(
    spec: Spec,
    params: Any,
    active: Array,
    key: Array,
    batch: int,
    length: int,
    devices: int = 1,
    at_once: bool = False,
) -> dict[str, Array]:
    """`evaluate` of the parameters of each member that is active, on the same sequences: metrics [M].

    Those of the others are zeros. devices, at_once: as of `member_updates`. Raises: ValueError.
    """
    one = lambda params, key: evaluate(spec, params, key, batch, length)
    keys = jnp.broadcast_to(key, active.shape)
    return _each(spec, one, lambda *inputs: _zeros(one, *inputs), devices, at_once)(active, params, keys)


def member_sharding(devices: int) -> NamedSharding:
    """Of arrays [M, ...] over the first devices of this host. Raises: ValueError where it has fewer."""
    return NamedSharding(_mesh(devices), PartitionSpec(AXIS))


def _mesh(devices: int) -> Mesh:
    there = jax.local_devices()
    if devices > len(there):
        raise ValueError(f"devices={devices}: must be at most {len(there)}, which this host has.")
    return jax.make_mesh((devices,), (AXIS,), axis_types=(AxisType.Auto,), devices=there[:devices])


def _each(spec: Spec, one: Callable, keep: Callable, devices: int, at_once: bool) -> Callable:
    """(active [M], *arguments [M]) -> what `one` says of each active member, and `keep` of each other."""
    if spec.devices != 1:
        raise ValueError(f"spec.devices={spec.devices}: a member lies on one device; it must be 1.")

    def share(active, *arguments):
        if at_once:
            return _choose(active, jax.vmap(one)(*arguments), jax.vmap(keep)(*arguments))
        return lax.map(lambda member: lax.cond(member[0], one, keep, *member[1:]), (active, *arguments))

    members = PartitionSpec(AXIS)
    # Without `check_vma`: nothing here is the same on two devices, and no sum joins them.
    return jax.shard_map(share, mesh=_mesh(devices), in_specs=members, out_specs=members, check_vma=False)


def _choose(active: Array, new: Any, old: Any) -> Any:
    choose = lambda new, old: jnp.where(active.reshape(-1, *[1] * (new.ndim - 1)), new, old)
    return jax.tree.map(choose, new, old)


def _zeros(function: Callable, *arguments: Any) -> Any:
    """Zeros in place of what a function returns."""
    shapes = jax.eval_shape(function, *arguments)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
