"""Makes one update, and many in one call."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from r3nn.training import _devices as devices
from r3nn.training import _local as local
from r3nn.training._gradients import Finite, drawn, gradients, learn, looked, mean, metrics, my_rows
from r3nn.training._optimizer import optimizer
from r3nn.training._spec import HParams, Spec
from r3nn.training._state import TrainState, specs
from r3nn.training.learner import Carry

Array = jax.Array


def _update(spec: Spec, hparams: HParams, arrays, state: TrainState) -> tuple[TrainState, dict[str, Array]]:
    """Makes one update, as each device does it."""
    found, rows = gradients(spec, hparams, state, arrays)
    new, norm = learn(spec, hparams, state, found, Carry(rows, state.carry.shared))
    shared = spec.learner.after(hparams.own, state.carry.shared, new.params, local.summed(found.tally))
    new = new._replace(carry=Carry(new.carry.rows, local.where(new.ok, shared, state.carry.shared)))
    return new, metrics(spec, found, norm) | spec.learner.told(state.carry.shared)


def _over(spec: Spec, function):
    """Runs a function (hparams, arrays, state) -> (state, metrics) on all devices."""
    placed = specs(spec)
    return devices.over(spec.devices, function, (devices.SAME, devices.SAME, placed), (placed, devices.SAME))


def update(
    spec: Spec, hparams: HParams, state: TrainState, arrays=None
) -> tuple[TrainState, dict[str, Array]]:
    """Makes one update; from the first non-finite loss or gradient on, none: `ok` is False and `step` names
    it.

    arrays: the learner's finite data, `spec.learner.arrays()`. Where nothing counts (a piece of truncated
    backpropagation may have no step that does), the carry goes on and `step` too, but the optimizer does not
    act: parameters, its moments and its schedule stay. Metrics: loss, grad_norm, the learner's, and counted,
    the number of steps or rows that the loss is a mean over. Raises: ValueError under `Spec.sync_every` above
    1, where updates are made in rounds: take `updates`.
    """
    if spec.sync_every > 1:
        raise ValueError(f"sync_every={spec.sync_every}: must be 1 for a single update.")
    return _over(spec, partial(_update, spec))(hparams, arrays, state)


def updates(spec: Spec, hparams: HParams, state: TrainState, count: int, arrays=None):
    """Makes `count` updates in one scan -> (state, metrics of each, [count]).

    Raises: ValueError where `count` is no multiple of `Spec.sync_every`.
    """
    if count % spec.sync_every:
        raise ValueError(f"count={count}: must be a multiple of sync_every={spec.sync_every}.")
    one = _update if spec.sync_every == 1 else local.round_of

    def scan(hparams, arrays, state):
        step = lambda state, _: one(spec, hparams, arrays, state)
        return lax.scan(step, state, length=count // spec.sync_every)

    state, numbers = _over(spec, scan)(hparams, arrays, state)
    return state, jax.tree.map(lambda leaf: leaf.reshape(-1), numbers)


def probe(spec: Spec, hparams: HParams, state: TrainState, arrays=None) -> dict[str, Any]:
    """Computes what each of the learner's probes says of the next update, the one that `state` stands before;
    does not make it.

    The gradients are summed over the devices, and the batch is whole; where each device trains a replica of
    its own, the optimizer is the first one's.
    """
    if spec.sync_every > 1:
        state = state._replace(opt_state=jax.tree.map(lambda leaf: leaf[0], state.opt_state.inner))
        spec = dataclasses.replace(spec, sync_every=1)

    def backward(hparams, arrays, state):
        found, _ = gradients(spec, hparams, state, arrays)
        return mean(found)[1], found.tally

    ins = (devices.SAME, devices.SAME, specs(spec))
    grads, tally = devices.over(spec.devices, backward, ins, devices.SAME)(hparams, arrays, state)
    changes, _ = optimizer(spec, hparams).update(grads, state.opt_state, state.params)
    alone = dataclasses.replace(spec, devices=1)
    _, batch = drawn(alone, hparams, state, arrays, my_rows(alone), state.carry.rows)
    return {name: look(state.params, grads, changes, batch, tally) for name, look in spec.learner.probes}


def diagnose(spec: Spec, hparams: HParams, state: TrainState, arrays=None) -> Finite:
    """Says what was finite in the update that `state` is frozen before: its batch follows from (seed,
    step)."""
    ins, outs = (devices.SAME, devices.SAME, specs(spec)), Finite(devices.ROWS, devices.SAME, devices.SAME)
    one = local.diagnose if spec.sync_every > 1 else _diagnose
    return devices.over(spec.devices, partial(one, spec), ins, outs)(hparams, arrays, state)


def _diagnose(spec: Spec, hparams: HParams, arrays, state: TrainState) -> Finite:
    found, _ = gradients(spec, hparams, state, arrays)
    good = jax.tree.map(lambda g: jnp.isfinite(g).all(), mean(found)[1])
    return Finite(looked(spec, hparams, state, arrays), good, state.step)
