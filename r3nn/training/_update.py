"""One update, and many in one call."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from r3nn.training import _devices as devices
from r3nn.training import _local as local
from r3nn.training._gradients import Finite, gradients, learn, run, share_of
from r3nn.training._spec import HParams, Spec
from r3nn.training._state import TrainState, specs

Array = jax.Array


def _update(spec: Spec, hparams: HParams, state: TrainState) -> tuple[TrainState, dict[str, Array]]:
    """`update`, as each device does it."""
    value, metrics, grads, carry = gradients(spec, hparams, state)
    new, norm = learn(spec, hparams, state, value, grads, metrics["counted"], carry)
    return new, {"loss": value, "grad_norm": norm, **metrics}


def _over(spec: Spec, function, state: TrainState):
    """A function (hparams, state) -> (state, metrics) on all devices."""
    placed = specs(spec, state)
    return devices.over(spec.devices, function, (devices.SAME, placed), (placed, devices.SAME))


def update(spec: Spec, hparams: HParams, state: TrainState) -> tuple[TrainState, dict[str, Array]]:
    """One update; from the first non-finite loss or gradient on, none: `ok` is False and `step` names it.

    Where no step of the data counts (a piece of truncated backpropagation may have none), the carry goes on
    and `step` too, but the optimizer does not act: parameters, its moments and its schedule stay.
    Metrics: loss, grad_norm, the task's, and counted, the steps that the loss is a mean over.
    Raises: ValueError under `Spec.sync_every` above 1, whose updates come so many at a time: take `updates`.
    """
    if spec.sync_every > 1:
        raise ValueError(f"sync_every={spec.sync_every}: must be 1 for a single update.")
    return _over(spec, partial(_update, spec), state)(hparams, state)


def updates(spec: Spec, hparams: HParams, state: TrainState, count: int):
    """`count` updates in one scan -> (state, metrics of each, [count]).

    Raises: ValueError where `count` is no multiple of `Spec.sync_every`.
    """
    if count % spec.sync_every:
        raise ValueError(f"count={count}: must be a multiple of sync_every={spec.sync_every}.")
    if spec.sync_every > 1:
        return _rounds(spec, hparams, state, count // spec.sync_every)
    scan = lambda hparams, state: lax.scan(lambda s, _: _update(spec, hparams, s), state, length=count)
    return _over(spec, scan, state)(hparams, state)


def _rounds(spec: Spec, hparams: HParams, state: TrainState, count: int):
    """`count` rounds of local updates, as `updates` gives them."""
    scan = lambda hparams, state: lax.scan(lambda s, _: local.round_of(spec, hparams, s), state, length=count)
    state, metrics = _over(spec, scan, state)(hparams, state)
    return state, jax.tree.map(lambda leaf: leaf.reshape(-1), metrics)


def diagnose(spec: Spec, hparams: HParams, state: TrainState) -> Finite:
    """What was finite in the update that `state` is frozen before: its batch follows from (seed, step)."""
    ins, outs = (devices.SAME, specs(spec, state)), Finite(devices.split(1), devices.SAME, devices.SAME)
    one = local.diagnose if spec.sync_every > 1 else _diagnose
    return devices.over(spec.devices, partial(one, spec), ins, outs)(hparams, state)


def _diagnose(spec: Spec, hparams: HParams, state: TrainState) -> Finite:
    _, ys = run(spec, state.params, share_of(spec, hparams.seed, state))
    _, _, grads, _ = gradients(spec, hparams, state)
    good = jax.tree.map(lambda g: jnp.isfinite(g).all(), grads)
    return Finite(jnp.isfinite(ys).all(-1), good, state.step)
