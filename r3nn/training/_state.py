"""What a run carries from update to update, and where it lies on several devices."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from r3nn.training import _devices as devices
from r3nn.training._data import Position
from r3nn.training._optimizer import optimizer
from r3nn.training._spec import HParams, Spec

Array = jax.Array


class Carry(NamedTuple):
    """What truncated backpropagation carries from piece to piece."""

    at: Position
    body: Any  # the model's carry behind the last piece, [B]


class TrainState(NamedTuple):
    """What a run carries from update to update, and what a checkpoint holds."""

    params: Any
    opt_state: Any
    step: Array  # int32 [], updates completed
    carry: Carry | None  # None: each update starts afresh
    ok: Array  # bool []; False: `step` met a non-finite loss or gradient, and nothing changed since


def start(spec: Spec, hparams: HParams, params) -> TrainState:
    """The state before the first update."""
    opt_state = optimizer(spec, hparams).init(params)
    carry = None
    if spec.tbptt:
        at = Position(jnp.zeros(spec.batch, jnp.int32), jnp.zeros(spec.batch, jnp.int32))
        carry = Carry(at, spec.model.start(params, (spec.batch,)))
    return TrainState(params, opt_state, jnp.int32(0), carry, jnp.bool_(True))


def placed(spec: Spec, shapes: TrainState) -> TrainState:
    """Shapes of a state with the shardings that it has on `spec.devices` devices."""
    return devices.placed(spec.devices, shapes, specs(spec, shapes))


def specs(spec: Spec, state: TrainState) -> TrainState:
    """PartitionSpecs of a state, a prefix tree: what belongs to rows is split, the rest is everywhere."""
    carry = None
    if state.carry is not None:
        at = Position(devices.ROWS, devices.ROWS)
        carry = Carry(at, devices.split(batch_axes(spec, state.params)))
    return TrainState(devices.SAME, devices.SAME, devices.SAME, carry, devices.SAME)


def batch_axes(spec: Spec, params) -> Any:
    """The batch axis of each leaf of the model's carry: where it grows with the batch."""
    shapes = lambda size: jax.eval_shape(lambda params: spec.model.start(params, (size,)), params)
    axis = lambda two, three: next(i for i, n in enumerate(two.shape) if n != three.shape[i])
    return jax.tree.map(axis, shapes(2), shapes(3))
