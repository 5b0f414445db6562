"""Computes the gradients of an update, and what is learned from them, as one device does it.

    objective = sum over terms of  weight * (sum over all rows) / (count over all rows)

Each device goes through its rows alone; sums over the devices stand behind its loops. Of one term, devices
add up the gradients of their sums, and the whole is divided by the count. Of several terms, whose counts
differ, the counts (a few integers) are added up first, between the forward and the backward pass.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from r3nn.training import _devices as devices
from r3nn.training._optimizer import optimizer
from r3nn.training._spec import HParams, Spec
from r3nn.training._state import TrainState
from r3nn.training.learner import Carry

Array = jax.Array


class Sums(NamedTuple):
    """Holds what an update adds up over rows."""

    terms: dict[str, tuple[Any, Array, Array]]  # name: (weight, sum [], count [])
    grads: Any  # of the sum where there is one term; of the objective where there are several
    tally: Any  # leaves [b, ...]


def sums(spec: Spec, hparams: HParams, state: TrainState, arrays, total: Callable) -> tuple[Sums, Any]:
    """Computes (sums over this device's rows, their carry behind the update) of the next update.

    total: sums the counts of this device's rows over all rows of the update.
    """
    part = partial(_sums, spec, hparams, state, arrays)
    if spec.accumulate == 1:
        return part(my_rows(spec), state.carry.rows, total)
    cut = lambda leaf: leaf.reshape(spec.accumulate, -1, *leaf.shape[1:])
    join = lambda leaf: leaf.reshape(-1, *leaf.shape[2:])
    parts = jax.tree.map(cut, (my_rows(spec), state.carry.rows))
    # What of `loss` the counts do not need is not computed here.
    counts = lax.map(lambda part: _counts(spec, hparams, state, arrays, *part), parts)
    counts = total(jax.tree.map(lambda leaf: leaf.sum(0), counts))

    def one(grads, rows):
        found, behind = part(*rows, lambda _: counts)
        grads = jax.tree.map(jnp.add, grads, found.grads)
        return grads, (found.terms, found.tally, behind)

    zeros = jax.tree.map(jnp.zeros_like, state.params)
    grads, (terms, tally, behind) = lax.scan(one, zeros, parts)
    terms = {name: (weight[0], value.sum(0), count.sum(0)) for name, (weight, value, count) in terms.items()}
    return Sums(terms, grads, jax.tree.map(join, tally)), jax.tree.map(join, behind)


def my_rows(spec: Spec) -> Array:
    """Returns the numbers of this device's rows, int32 [b]."""
    return devices.rows(spec.devices, spec.batch)


def drawn(spec: Spec, hparams: HParams, state: TrainState, arrays, rows: Array, carried) -> tuple[Carry, Any]:
    """Draws the next update's data -> (what these rows go on from, their batch)."""
    carry = Carry(carried, state.carry.shared)
    return carry, spec.learner.draw("train", hparams.seed, state.step, rows, carry, arrays)


def kept(spec: Spec, hparams: HParams, state: TrainState, arrays=None) -> int:
    """Counts the bytes that an update on one device keeps for its backward pass, its batch and parameters
    among them.

    state, arrays: these, or their shapes: nothing is computed. XLA's own temporary memory is not in it.
    """

    def backward(hparams, state, arrays):
        rows = jnp.arange(spec.batch // spec.accumulate)
        carried = jax.tree.map(lambda leaf: leaf[: len(rows)], state.carry.rows)
        carry, batch = drawn(spec, hparams, state, arrays, rows, carried)
        terms = lambda params: spec.learner.loss(hparams.own, params, carry, batch)[0]
        values = lambda params: {name: value for name, (_, value, _) in terms(params).items()}
        return batch, jax.vjp(values, state.params)[1]

    shapes = jax.tree.leaves(jax.eval_shape(backward, hparams, state, arrays))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in shapes)


def _sums(spec, hparams, state: TrainState, arrays, rows, carried, total) -> tuple[Sums, Any]:
    carry, batch = drawn(spec, hparams, state, arrays, rows, carried)

    def summed(params):
        terms, tally, behind = spec.learner.loss(hparams.own, params, carry, batch)
        return {name: value for name, (_, value, _) in terms.items()}, (terms, tally, behind)

    values, pull, (terms, tally, behind) = jax.vjp(summed, state.params, has_aux=True)
    scale = {name: jnp.asarray(weight, values[name].dtype) for name, (weight, _, _) in terms.items()}
    if len(terms) > 1:
        counts = total({name: count for name, (_, _, count) in terms.items()})
        scale = {name: weight / _at_least_1(counts[name], weight.dtype) for name, weight in scale.items()}
    return Sums(terms, pull(scale)[0], tally), behind


def _counts(spec, hparams, state: TrainState, arrays, rows, carried) -> dict[str, Array]:
    carry, batch = drawn(spec, hparams, state, arrays, rows, carried)
    terms, _, _ = spec.learner.loss(hparams.own, state.params, carry, batch)
    return {name: count for name, (_, _, count) in terms.items()}


def mean(found: Sums) -> tuple[Array, Any, Array]:
    """Computes (objective, its gradient, count of all terms) from sums over all rows."""
    whole = [
        weight * value / _at_least_1(count, value.dtype) for weight, value, count in found.terms.values()
    ]
    counts = [count for _, _, count in found.terms.values()]
    grads = found.grads
    if len(counts) == 1:
        grads = jax.tree.map(lambda g: g / _at_least_1(counts[0], g.dtype), grads)
    return sum(whole[1:], whole[0]), grads, sum(counts[1:], counts[0])


def _at_least_1(count: Array, dtype) -> Array:
    return jnp.maximum(count, 1).astype(dtype)


def gradients(spec: Spec, hparams: HParams, state: TrainState, arrays=None):
    """Computes (sums over the whole batch, the carry of this device's rows behind the update) of the next
    update.

    One sum goes over the devices, behind all loops; where the objective has several terms, one more sums
    their counts. On several devices this stands inside `shard_map`, where `update` calls it.
    """
    found, behind = sums(spec, hparams, state, arrays, partial(devices.total, spec.devices))
    weights = {name: weight for name, (weight, _, _) in found.terms.items()}
    terms = {name: term[1:] for name, term in found.terms.items()}
    parts = terms, found.grads, devices.spread(spec.devices, found.tally)
    terms, grads, tally = devices.total(spec.devices, parts)
    return Sums({name: (weights[name], *terms[name]) for name in terms}, grads, tally), behind


def metrics(spec: Spec, found: Sums, norm: Array) -> dict[str, Array]:
    """Computes the metrics of one update, from its sums over the whole batch: loss, grad_norm, the learner's,
    and counted; where the objective has several terms, the mean of each as loss_NAME."""
    loss, _, counted = mean(found)
    each = {f"loss_{name}": v / _at_least_1(n, v.dtype) for name, (_, v, n) in found.terms.items()}
    each = each if len(each) > 1 else {}
    return {"loss": loss, "grad_norm": norm, **each, **spec.learner.metrics(found.tally), "counted": counted}


def learn(spec: Spec, hparams: HParams, state: TrainState, found: Sums, carry: Carry):
    """Makes an update -> (the state behind it, its gradient's norm); where a number is not finite, the state
    before."""
    value, grads, counted = mean(found)
    norm = optax.tree.norm(grads)
    ok = state.ok & jnp.isfinite(value) & jnp.isfinite(norm)
    changes, opt_state = optimizer(spec, hparams).update(grads, state.opt_state, state.params)
    rate = spec.learner.rate(hparams.own, state.carry.shared)
    if rate is not None:
        changes = jax.tree.map(lambda change: change * rate.astype(change.dtype), changes)
    learned = optax.apply_updates(state.params, changes), opt_state
    learned = where(counted > 0, learned, (state.params, state.opt_state))
    new = TrainState(*learned, state.step + 1, carry, ok)
    return where(ok, new, state._replace(ok=ok)), norm


def where(condition: Array, tree: Any, other: Any) -> Any:
    """Selects one tree or the other, by a bool []."""
    return jax.tree.map(partial(jnp.where, condition), tree, other)


class Finite(NamedTuple):
    """Says which numbers of an update are finite."""

    looked: dict[str, Array]  # bool [B, T, L], of what `Learner.look` shows
    gradients: Any  # bool [] for each parameter
    step: Array  # int32 [], updates before it


def looked(spec: Spec, hparams: HParams, state: TrainState, arrays) -> dict[str, Array]:
    """Says where what the learner shows of this device's rows is finite, by name: bool [b, T, L]."""
    carry, batch = drawn(spec, hparams, state, arrays, my_rows(spec), state.carry.rows)

    def finite(leaf):
        leaf = jnp.isfinite(leaf)
        leaf = leaf[..., None] if leaf.ndim == 2 else leaf
        return leaf.all(tuple(range(3, leaf.ndim)))

    return jax.tree.map(finite, spec.learner.look(state.params, carry, batch))
