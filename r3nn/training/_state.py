"""What a run carries from update to update, and where it lies on several devices."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from r3nn.training import _devices as devices
from r3nn.training._data import Position
from r3nn.training._optimizer import optimizer, outer
from r3nn.training._spec import HParams, Spec

Array = jax.Array


class Carry(NamedTuple):
    """What truncated backpropagation carries from piece to piece."""

    at: Position
    body: Any  # the model's carry behind the last piece, [B]


class Local(NamedTuple):
    """The optimizers' states where each device trains a replica of its own (`Spec.sync_every` above 1)."""

    inner: Any  # of each replica, [devices, ...]
    outer: Any  # of the average


class TrainState(NamedTuple):
    """What a run carries from update to update, and what a checkpoint holds."""

    params: Any
    opt_state: Any  # the optimizer's, or `Local`
    step: Array  # int32 [], updates completed
    carry: Carry | None  # None: each update starts afresh
    ok: Array  # bool []; False: `step` met a non-finite loss or gradient, and nothing changed since


def start(spec: Spec, hparams: HParams, params) -> TrainState:
    """The state before the first update."""
    opt_state = optimizer(spec, hparams).init(params)
    if spec.sync_every > 1:
        each = lambda leaf: jnp.broadcast_to(leaf, (spec.devices, *jnp.shape(leaf)))
        opt_state = Local(jax.tree.map(each, opt_state), outer(hparams).init(params))
    carry = None
    if spec.tbptt:
        at = Position(jnp.zeros(spec.batch, jnp.int32), jnp.zeros(spec.batch, jnp.int32))
        carry = Carry(at, spec.model.start(params, (spec.batch,)))
    return TrainState(params, opt_state, jnp.int32(0), carry, jnp.bool_(True))


def placed(spec: Spec, shapes: TrainState) -> TrainState:
    """Shapes of a state with the shardings that it has on `spec.devices` devices."""
    return devices.placed(spec.devices, shapes, specs(spec, shapes))


def specs(spec: Spec, state: TrainState) -> TrainState:
    """PartitionSpecs of a state, a prefix tree: what rows or replicas have is split, the rest everywhere."""
    carry = None
    if state.carry is not None:
        at = Position(devices.ROWS, devices.ROWS)
        carry = Carry(at, devices.split(batch_axes(spec, state.params)))
    opt_state = Local(devices.ROWS, devices.SAME) if spec.sync_every > 1 else devices.SAME
    return TrainState(devices.SAME, opt_state, devices.SAME, carry, devices.SAME)


def batch_axes(spec: Spec, params) -> Any:
    """The batch axis of each leaf of the model's carry: where it grows with the batch."""
    shapes = lambda size: jax.eval_shape(lambda params: spec.model.start(params, (size,)), params)
    axis = lambda two, three: next(i for i, n in enumerate(two.shape) if n != three.shape[i])
    return jax.tree.map(axis, shapes(2), shapes(3))
