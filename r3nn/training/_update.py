"""One update, and many in one call."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from r3nn.tasks import Batch
from r3nn.time import Noise
from r3nn.training import _devices as devices
from r3nn.training._data import NOISE, Position, batch_at, piece_at, row_keys, stream
from r3nn.training._forward import predict, scores, tally_of
from r3nn.training._optimizer import optimizer
from r3nn.training._spec import HParams, Spec
from r3nn.training._state import Carry, TrainState, batch_axes, specs

Array = jax.Array


class _Share(NamedTuple):
    """One device's part of an update's data, and what it goes on from."""

    batch: Batch  # [B / devices]
    body: Any  # the model's carry before it, None at the start of every row's sequence
    fresh: Array | None  # bool [B / devices], the rows that start afresh nevertheless
    noise: Noise | None  # for PRNG keys [B / devices]
    behind: Position | None


def _share(spec: Spec, seed, state: TrainState) -> _Share:
    rows = devices.rows(spec.devices, spec.batch)
    numbers = state.step if state.carry is None else state.carry.at.sequence
    noisy = getattr(spec.model, "noisy", False)
    keys = row_keys(stream(seed, NOISE), numbers, rows) if noisy else None
    if state.carry is None:
        noise = Noise(keys) if noisy else None
        return _Share(batch_at(spec, seed, numbers, rows), None, None, noise, None)
    at, body = state.carry
    batch, behind = piece_at(spec, seed, at, rows)
    return _Share(batch, body, at.done == 0, Noise(keys, at.done) if noisy else None, behind)


def _begin(spec: Spec, params, share: _Share):
    """The model's carry before the share's first step."""
    body = spec.model.start(params, (len(share.batch.valid),))
    if share.fresh is None:
        return body

    def choose(axis, first, carried):
        fresh = share.fresh.reshape(-1, *[1] * (first.ndim - axis - 1))
        return jnp.where(fresh, first, carried)

    return jax.tree.map(choose, batch_axes(spec, params), body, share.body)


def _run(spec: Spec, params, share: _Share):
    carry = _begin(spec, params, share)
    return predict(spec, params, carry, share.batch, spec.teacher_forcing, share.noise)


def gradients(spec: Spec, hparams: HParams, state: TrainState):
    """(loss, metrics, gradients, carry behind) of the next update, on its own batch.

    Each device sums over its rows; one sum over the devices, behind all loops, makes these the means over the
    counted steps of the whole batch.
    On several devices this stands inside `shard_map`, where `update` calls it.
    """
    share = _share(spec, hparams.seed, state)

    def summed(params):
        body, ys = _run(spec, params, share)
        value, tally = tally_of(spec, hparams, ys, share.batch)
        return value, (tally, body)

    params = devices.vary(spec.devices, state.params)
    (value, (tally, body)), grads = jax.value_and_grad(summed, has_aux=True)(params)
    parts = value, grads, devices.spread(spec.devices, tally)
    value, grads, tally = devices.total(spec.devices, parts)
    counted = tally.count.sum()
    grads = jax.tree.map(lambda g: g / jnp.maximum(counted, 1).astype(g.dtype), grads)
    carry = None if share.behind is None else Carry(share.behind, body)
    value, metrics = scores(spec, value, tally)
    return value, {**metrics, "counted": counted}, grads, carry


def _update(spec: Spec, hparams: HParams, state: TrainState) -> tuple[TrainState, dict[str, Array]]:
    """`update`, as each device does it."""
    value, metrics, grads, carry = gradients(spec, hparams, state)
    norm = optax.tree.norm(grads)
    ok = state.ok & jnp.isfinite(value) & jnp.isfinite(norm)
    changes, opt_state = optimizer(spec, hparams).update(grads, state.opt_state, state.params)
    learned = optax.apply_updates(state.params, changes), opt_state
    learned = _where(metrics["counted"] > 0, learned, (state.params, state.opt_state))
    new = TrainState(*learned, state.step + 1, carry, ok)
    return _where(ok, new, state._replace(ok=ok)), {"loss": value, "grad_norm": norm, **metrics}


def _where(condition: Array, tree: Any, other: Any) -> Any:
    return jax.tree.map(partial(jnp.where, condition), tree, other)


def _over(spec: Spec, function, state: TrainState):
    """A function (hparams, state) -> (state, metrics) on all devices."""
    placed = specs(spec, state)
    return devices.over(spec.devices, function, (devices.SAME, placed), (placed, devices.SAME))


def update(spec: Spec, hparams: HParams, state: TrainState) -> tuple[TrainState, dict[str, Array]]:
    """One update; from the first non-finite loss or gradient on, none: `ok` is False and `step` names it.

    Where no step of the data counts (a piece of truncated backpropagation may have none), the carry goes on
    and `step` too, but the optimizer does not act: parameters, its moments and its schedule stay.
    Metrics: loss, grad_norm, the task's, and counted, the steps that the loss is a mean over.
    """
    return _over(spec, partial(_update, spec), state)(hparams, state)


def updates(spec: Spec, hparams: HParams, state: TrainState, count: int):
    """`count` updates in one scan -> (state, metrics of each, [count])."""
    scan = lambda hparams, state: lax.scan(lambda s, _: _update(spec, hparams, s), state, length=count)
    return _over(spec, scan, state)(hparams, state)


class Finite(NamedTuple):
    """Which numbers of an update are finite."""

    predictions: Array  # bool [L, B, T] (T = 1 under predict_last)
    gradients: Any  # bool [] for each parameter


def diagnose(spec: Spec, hparams: HParams, state: TrainState) -> Finite:
    """What was finite in the update that `state` is frozen before: its batch follows from (seed, step)."""
    ins, outs = (devices.SAME, specs(spec, state)), Finite(devices.split(1), devices.SAME)
    return devices.over(spec.devices, partial(_diagnose, spec), ins, outs)(hparams, state)


def _diagnose(spec: Spec, hparams: HParams, state: TrainState) -> Finite:
    _, ys = _run(spec, state.params, _share(spec, hparams.seed, state))
    _, _, grads, _ = gradients(spec, hparams, state)
    return Finite(jnp.isfinite(ys).all(-1), jax.tree.map(lambda g: jnp.isfinite(g).all(), grads))
