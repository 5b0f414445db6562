"""The gradients of an update, and what is learned from them, as one device does it."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from r3nn.tasks import Batch
from r3nn.time import Noise
from r3nn.training import _devices as devices
from r3nn.training._data import NOISE, Position, batch_at, piece_at, row_keys, stream
from r3nn.training._forward import predict, scores, tally_of
from r3nn.training._optimizer import optimizer
from r3nn.training._spec import HParams, Spec
from r3nn.training._state import Carry, TrainState, batch_axes

Array = jax.Array


class _Share(NamedTuple):
    """One device's part of an update's data, and what it goes on from."""

    batch: Batch  # [B / devices]
    body: Any  # the model's carry before it, None at the start of every row's sequence
    fresh: Array | None  # bool [B / devices], the rows that start afresh nevertheless
    noise: Noise | None  # for PRNG keys [B / devices]
    behind: Position | None


def share_of(spec: Spec, seed, state: TrainState) -> _Share:
    """This device's rows of the next update."""
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


def run(spec: Spec, params, share: _Share):
    """(carry behind, predictions [L, b, T, O]) of a share."""
    carry = _begin(spec, params, share)
    return predict(spec, params, carry, share.batch, spec.teacher_forcing, share.noise)


def sums(spec: Spec, hparams: HParams, state: TrainState, params):
    """(loss, tally, gradients, carry behind) of the next update, summed over this device's rows alone."""
    share = share_of(spec, hparams.seed, state)

    def summed(params):
        body, ys = run(spec, params, share)
        value, tally = tally_of(spec, hparams, ys, share.batch)
        return value, (tally, body)

    (value, (tally, body)), grads = jax.value_and_grad(summed, has_aux=True)(params)
    carry = None if share.behind is None else Carry(share.behind, body)
    return value, tally, grads, carry


def gradients(spec: Spec, hparams: HParams, state: TrainState):
    """(loss, metrics, gradients, carry behind) of the next update, on its own batch.

    Each device sums over its rows; one sum over the devices, behind all loops, makes these the means over the
    counted steps of the whole batch.
    On several devices this stands inside `shard_map`, where `update` calls it.
    """
    value, tally, grads, carry = sums(spec, hparams, state, devices.vary(spec.devices, state.params))
    parts = value, grads, devices.spread(spec.devices, tally)
    value, grads, tally = devices.total(spec.devices, parts)
    counted = tally.count.sum()
    grads = mean(grads, counted)
    value, metrics = scores(spec, value, tally)
    return value, {**metrics, "counted": counted}, grads, carry


def mean(grads, counted: Array):
    """Gradients summed over `counted` steps, as their mean."""
    return jax.tree.map(lambda g: g / jnp.maximum(counted, 1).astype(g.dtype), grads)


def learn(spec: Spec, hparams: HParams, state: TrainState, value, grads, counted, carry):
    """(the state behind an update, its gradient's norm); where a number is not finite, the state before."""
    norm = optax.tree.norm(grads)
    ok = state.ok & jnp.isfinite(value) & jnp.isfinite(norm)
    changes, opt_state = optimizer(spec, hparams).update(grads, state.opt_state, state.params)
    learned = optax.apply_updates(state.params, changes), opt_state
    learned = where(counted > 0, learned, (state.params, state.opt_state))
    new = TrainState(*learned, state.step + 1, carry, ok)
    return where(ok, new, state._replace(ok=ok)), norm


def where(condition: Array, tree: Any, other: Any) -> Any:
    """One tree or the other, as a bool [] says."""
    return jax.tree.map(partial(jnp.where, condition), tree, other)


class Finite(NamedTuple):
    """Which numbers of an update are finite."""

    predictions: Array  # bool [L, B, T] (T = 1 under predict_last)
    gradients: Any  # bool [] for each parameter
    step: Array  # int32 [], updates before it
