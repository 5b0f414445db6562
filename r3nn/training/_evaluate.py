"""Metrics on fresh sequences, whole or in pieces; free-running and without noise."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from r3nn.tasks import Batch
from r3nn.training import _devices as devices
from r3nn.training._data import last_step, stream
from r3nn.training._forward import predictions
from r3nn.training._spec import Spec

Array = jax.Array


def evaluate(spec: Spec, params, key: Array, batch: int, length: int) -> dict[str, Array]:
    """The task's metrics on `batch` fresh sequences of one length, an equal share on each device."""
    whole = dataclasses.replace(spec, min_length=None, max_length=length, tbptt=0)
    room = -(-batch // spec.devices) * spec.devices  # rows, some of them perhaps of no use

    def share(params, key):
        rows = devices.rows(spec.devices, room)
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, rows)
        data = spec.task.draw(keys, length, length)
        ys = predictions(whole, params, data)[-1]
        return spec.task.tally(ys, last_step(data) if spec.predict_last else data)

    on_all = devices.over(spec.devices, share, (devices.SAME, devices.SAME), devices.ROWS)
    return spec.task.metrics(jax.tree.map(lambda leaf: leaf[:batch], on_all(params, key)))


class Stream(NamedTuple):
    """Where an evaluation in pieces stands: the body's carry, and the sums so far."""

    carry: Any
    tally: Any


def evaluate_chunk(spec: Spec, params, at: Stream, piece: Batch) -> Stream:
    """The next piece [B, C, ...] of long sequences: memory does not grow with their length."""
    xs, valid = (jnp.swapaxes(leaf, 0, 1) for leaf in (piece.inputs, piece.valid))
    carry, ys = spec.model.chunk(params, at.carry, xs, valid)
    counted = last_step(piece) if spec.predict_last else piece
    tally = spec.task.tally(jnp.swapaxes(ys, 0, 1), counted)
    return Stream(carry, jax.tree.map(jnp.add, at.tally, tally))


def start_stream(spec: Spec, params, batch: int) -> Stream:
    """Before the first piece."""
    carry = spec.model.start(params, (batch,))
    shape = jax.eval_shape(
        lambda key: spec.task.sample(key, batch, spec.max_length, spec.max_length), stream(0, 0)
    )
    out = jax.ShapeDtypeStruct((batch, spec.max_length, spec.task.out_size), jnp.float32)
    tally = jax.eval_shape(spec.task.tally, out, shape)
    return Stream(carry, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), tally))
