"""Defines what a run carries from update to update, and where it lies on several devices."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from r3nn.training import _devices as devices
from r3nn.training._optimizer import optimizer, outer
from r3nn.training._spec import HParams, Spec
from r3nn.training.learner import Carry

Array = jax.Array


class Local(NamedTuple):
    """Holds the optimizers' states where each device trains a replica of its own (`Spec.sync_every` above
    1)."""

    inner: Any  # of each replica, [devices, ...]
    outer: Any  # of the average


class TrainState(NamedTuple):
    """Holds what a run carries from update to update, and what a checkpoint saves."""

    params: Any
    opt_state: Any  # the optimizer's, or `Local`
    step: Array  # int32 [], updates completed
    carry: Carry  # the learner's
    ok: Array  # bool []; False: `step` met a non-finite loss or gradient, and nothing changed since


def start(spec: Spec, hparams: HParams, params) -> TrainState:
    """Returns the state before the first update."""
    opt_state = optimizer(spec, hparams).init(params)
    if spec.sync_every > 1:
        each = lambda leaf: jnp.broadcast_to(leaf, (spec.devices, *jnp.shape(leaf)))
        opt_state = Local(jax.tree.map(each, opt_state), outer(hparams).init(params))
    carry = spec.learner.start(params, hparams.seed, jnp.arange(spec.batch, dtype=jnp.int32))
    return TrainState(params, opt_state, jnp.int32(0), carry, jnp.bool_(True))


def placed(spec: Spec, shapes: TrainState) -> TrainState:
    """Gives shapes of a state the shardings that it has on `spec.devices` devices."""
    return devices.placed(spec.devices, shapes, specs(spec))


def specs(spec: Spec) -> TrainState:
    """Returns PartitionSpecs of a state, a prefix tree: what rows or replicas have is split, the rest
    everywhere."""
    opt_state = Local(devices.ROWS, devices.SAME) if spec.sync_every > 1 else devices.SAME
    carry = Carry(devices.ROWS, devices.SAME)
    return TrainState(devices.SAME, opt_state, devices.SAME, carry, devices.SAME)
