"""Measures a learner on fixed rows of held-out or test data."""

import jax
import jax.numpy as jnp
from jax import lax

from r3nn.training import _devices as devices
from r3nn.training._spec import Spec
from r3nn.training.learner import Carry, Split

Array = jax.Array


def evaluate(spec: Spec, params, shared, batch: int, split: Split, arrays=None) -> dict[str, Array]:
    """Computes the learner's metrics on the `batch` rows of a split, an equal share on each device.

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
