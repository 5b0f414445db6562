"""Trains many runs of one architecture side by side in one program.

Members share a `Spec` and differ in `HParams` alone, the seed among them. Their arrays have a leading axis
[M]: split over devices, so that each member lies on one of them, and within a device taken all at once
(`vmap`) or one after another (`lax.map`), as `at_once` says. On an accelerator, many small members at once
fill the device; a CPU is slower that way, because XLA computes batched products one by one, past its caches.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from r3nn.training._evaluate import evaluate
from r3nn.training._spec import HParams, Spec
from r3nn.training._state import TrainState
from r3nn.training._update import probe, updates
from r3nn.training.learner import Split

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
    arrays: Any = None,
) -> tuple[TrainState, dict[str, Array]]:
    """Makes `updates` of each member that is active -> (states [M], metrics [M, count]).

    active: bool [M]; the others keep their state, have metrics of zeros, and cost nothing where members are
    taken one after another. devices: of this host, which must divide M. arrays: the same for all members.
    Raises: ValueError.
    """
    one = lambda arrays, hparams, state: updates(spec, hparams, state, count, arrays)
    keep = lambda arrays, hparams, state: (state, _zeros(one, arrays, hparams, state)[1])
    return _each(spec, one, keep, devices, at_once)(arrays, active, hparams, states)


def member_evaluate(
    spec: Spec,
    params: Any,
    shared: Any,
    active: Array,
    batch: int,
    split: Split,
    devices: int = 1,
    at_once: bool = False,
    arrays: Any = None,
) -> dict[str, Array]:
    """Does as `evaluate`, for the parameters of each member that is active, on the same rows -> metrics [M].

    Metrics of the other members are zeros. devices, at_once, arrays: as of `member_updates`. Raises:
    ValueError.
    """
    one = lambda arrays, params, shared: evaluate(spec, params, shared, batch, split, arrays)
    return _each(spec, one, lambda *inputs: _zeros(one, *inputs), devices, at_once)(
        arrays, active, params, shared
    )


def member_probe(
    spec: Spec, hparams: HParams, states: TrainState, active: Array, devices=1, at_once=False, arrays=None
) -> dict[str, Any]:
    """Does as `probe`, for each member that is active: leaves [M, ...]; those of the others are zeros.

    devices, at_once, arrays: as of `member_updates`. Raises: ValueError.
    """
    one = lambda arrays, hparams, state: probe(spec, hparams, state, arrays)
    return _each(spec, one, lambda *inputs: _zeros(one, *inputs), devices, at_once)(
        arrays, active, hparams, states
    )


def member_sharding(devices: int) -> NamedSharding:
    """Returns the sharding of arrays [M, ...] over the first devices of this host. Raises: ValueError where
    it has fewer."""
    return NamedSharding(_mesh(devices), PartitionSpec(AXIS))


def _mesh(devices: int) -> Mesh:
    there = jax.local_devices()
    if devices > len(there):
        raise ValueError(f"devices={devices}: must be at most {len(there)}, which this host has.")
    return jax.make_mesh((devices,), (AXIS,), axis_types=(AxisType.Auto,), devices=there[:devices])


def _each(spec: Spec, one: Callable, keep: Callable, devices: int, at_once: bool) -> Callable:
    """Makes a function (arrays, active [M], *arguments [M]) -> what `one` returns for each active member,
    `keep` for each other."""
    if spec.devices != 1:
        raise ValueError(f"spec.devices={spec.devices}: a member lies on one device; it must be 1.")

    def share(arrays, active, *arguments):
        new, old = partial(one, arrays), partial(keep, arrays)
        if at_once:
            return _choose(active, jax.vmap(new)(*arguments), jax.vmap(old)(*arguments))
        return lax.map(lambda member: lax.cond(member[0], new, old, *member[1:]), (active, *arguments))

    def on_all(arrays, active, *arguments):
        ins = (PartitionSpec(), *(1 + len(arguments)) * (PartitionSpec(AXIS),))
        # Without `check_vma`: nothing but `arrays` is the same on two devices, and no sum joins them.
        each = jax.shard_map(
            share, mesh=_mesh(devices), in_specs=ins, out_specs=PartitionSpec(AXIS), check_vma=False
        )
        return each(arrays, active, *arguments)

    return on_all


def _choose(active: Array, new: Any, old: Any) -> Any:
    choose = lambda new, old: jnp.where(active.reshape(-1, *[1] * (new.ndim - 1)), new, old)
    return jax.tree.map(choose, new, old)


def _zeros(function: Callable, *arguments: Any) -> Any:
    """Makes zeros in the place of what a function returns."""
    shapes = jax.eval_shape(function, *arguments)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
