"""Metrics on fixed rows of held-out or test data, and on sequences in pieces."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from r3nn.tasks import Batch
from r3nn.training import _devices as devices
from r3nn.training._keys import stream
from r3nn.training._spec import Spec
from r3nn.training.learner import Carry, Split
from r3nn.training.supervised import Supervised

Array = jax.Array


def evaluate(spec: Spec, params, shared, batch: int, split: Split, arrays=None) -> dict[str, Array]:
    """The learner's metrics on the `batch` rows of a split, an equal share on each device.

    shared: `Carry.shared` of the state. The rows are the same whatever the seed. A finite split's rows are
    each measured once, whatever `batch` is.
    """
    learner, seed = spec.learner, jnp.uint32(0)
    rows = learner.size(split) or batch
    calls = -(-rows // batch)
    room = -(-rows // (calls * spec.devices))  # rows of a device in each call, some of them perhaps of no use

    def share(params, shared, arrays):
        def measure(mine):
            mine = jnp.minimum(mine, rows - 1)
            carry = Carry(learner.start(params, seed, mine).rows, shared)
            data = learner.draw(split, seed, jnp.int32(0), mine, carry, arrays)
            return learner.measure(params, carry, data)[0]

        mine = devices.rows(spec.devices, calls * room * spec.devices)
        if calls == 1:
            return measure(mine)
        tally = lax.map(measure, mine.reshape(calls, room))
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tally)

    on_all = devices.over(spec.devices, share, 3 * (devices.SAME,), devices.ROWS)
    return learner.metrics(jax.tree.map(lambda leaf: leaf[:rows], on_all(params, shared, arrays)))


class Stream(NamedTuple):
    """Where an evaluation in pieces stands: the body's carry, and the sums so far."""

    carry: Any
    tally: Any


def evaluate_chunk(learner: Supervised, params, at: Stream, piece: Batch) -> Stream:
    """The next piece [B, C, ...] of long sequences: memory does not grow with their length."""
    xs, valid = (jnp.swapaxes(leaf, 0, 1) for leaf in (piece.inputs, piece.valid))
    carry, ys = learner.model.chunk_depths(params, at.carry, xs, valid, None, None)
    tally = learner.task.tally(jnp.swapaxes(ys[:, -1], 0, 1), learner.counted(piece))
    return Stream(carry, jax.tree.map(jnp.add, at.tally, tally))


def start_stream(learner: Supervised, params, batch: int) -> Stream:
    """Before the first piece."""
    carry, task, length = learner.model.start(params, (batch,)), learner.task, learner.length
    shape = jax.eval_shape(lambda key: task.sample(key, batch, length, length), stream(0, 0))
    out = jax.ShapeDtypeStruct((batch, length, task.out_size), jnp.float32)
    tally = jax.eval_shape(task.tally, out, shape)
    return Stream(carry, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), tally))
