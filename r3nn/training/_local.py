"""Makes local updates: each device trains a replica of its own, and every so often their parameters are
averaged.

    k times, on replica r's share of the batch:  theta_r <- theta_r - optimizer_r(gradient)
    then, of all R:  d = theta - mean_r theta_r;  theta <- theta - outer(d);  theta_r <- theta

With outer(d) = d this is local SGD, plain averaging; with a learning rate of its own and Nesterov's momentum
from one d to the next, DiLoCo. The optimizers' states stay each replica's own. k = Spec.sync_every: between
two averages no device waits for another, and parameters are sent once where gradients would be k times.

Sources: Stich 2019, "Local SGD Converges Fast and Communicates Little"; Douillard et al. 2023, "DiLoCo:
Distributed Low-Communication Training of Language Models".
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from r3nn.training import _devices as devices
from r3nn.training._gradients import Finite, Sums, learn, looked, mean, metrics, sums, where
from r3nn.training._optimizer import outer
from r3nn.training._spec import HParams, Spec
from r3nn.training._state import Local, TrainState
from r3nn.training.learner import Carry

Array = jax.Array


def round_of(spec: Spec, hparams: HParams, arrays, state: TrainState) -> tuple[TrainState, dict[str, Array]]:
    """Makes `spec.sync_every` local updates and their average, as each device does it -> (state, metrics of
    each, [k]).

    Metrics are those of the whole batch, each row seen by its own replica; grad_norm is a mean over replicas.
    `Carry.shared` stays as it is during the round. Where a number was not finite on any replica, the whole
    round is undone, and `ok` is False.
    """
    one = lambda replica, _: _update(spec, hparams, arrays, replica)
    replica, (terms, tally, norm) = lax.scan(one, _replica(state), length=spec.sync_every)
    weights = {name: weight for name, (weight, _, _) in terms.items()}
    terms = {name: term[1:] for name, term in terms.items()}
    share = jax.tree.map(lambda x: x / spec.devices, (replica.params, norm))
    whole = jax.vmap(partial(devices.spread, spec.devices))(tally)
    parts = terms, whole, share, replica.ok.astype(jnp.int32)
    terms, tally, (params, norm), good = devices.total(spec.devices, parts)
    found = Sums({name: (weights[name], *terms[name]) for name in terms}, (), tally)
    new = _joined(spec, hparams, state, replica, params, good == spec.devices)
    shared = spec.learner.after(hparams.own, state.carry.shared, new.params, summed(summed(tally)))
    carry = Carry(new.carry.rows, where(new.ok, shared, state.carry.shared))
    told = spec.learner.told(state.carry.shared)
    told = jax.tree.map(lambda number: jnp.broadcast_to(number, (spec.sync_every,)), told)
    return new._replace(carry=carry), jax.vmap(partial(metrics, spec))(found, norm) | told


def summed(tally: Any) -> Any:
    """Sums the leaves of a tally over their first axis."""
    return jax.tree.map(lambda leaf: leaf.sum(0), tally)


def _replica(state: TrainState) -> TrainState:
    """Returns this device's own state at the start of a round."""
    return state._replace(opt_state=jax.tree.map(lambda leaf: leaf[0], state.opt_state.inner))


def _update(spec: Spec, hparams: HParams, arrays, replica: TrainState):
    """Makes one update of a replica, whose rows are its own -> (its state, (terms, tally, gradient's
    norm))."""
    found, rows = sums(spec, hparams, replica, arrays, lambda counts: counts)
    new, norm = learn(spec, hparams, replica, found, Carry(rows, replica.carry.shared))
    terms = {name: (jnp.asarray(weight), *rest) for name, (weight, *rest) in found.terms.items()}
    return new, (terms, found.tally, norm)


def _joined(spec: Spec, hparams: HParams, state: TrainState, replica: TrainState, params: Any, ok: Array):
    """Returns the state behind a round, from this replica and the average `params`; `state` where it is not
    ok."""
    inner = jax.tree.map(lambda leaf: leaf[None], replica.opt_state)
    back = jax.tree.map(jnp.subtract, state.params, params)
    changes, momentum = outer(hparams).update(back, state.opt_state.outer, state.params)
    learned = optax.apply_updates(state.params, changes)
    new = TrainState(learned, Local(inner, momentum), state.step + spec.sync_every, replica.carry, ok)
    return where(ok, new, state._replace(ok=ok))


def diagnose(spec: Spec, hparams: HParams, arrays, state: TrainState) -> Finite:
    """Says what was finite in the first bad update of the round that `state` is frozen before, on each
    device.

    It goes through the round again: each replica stops before its first bad update.
    """
    one = lambda replica, _: (_update(spec, hparams, arrays, replica)[0], None)
    begun = _replica(state._replace(ok=jnp.bool_(True)))
    replica, _ = lax.scan(one, begun, length=spec.sync_every)
    first = devices.least(spec.devices, replica.step)
    here = ~replica.ok & (replica.step == first)
    shown = jax.tree.map(lambda finite: finite | ~here, looked(spec, hparams, replica, arrays))
    grads = mean(sums(spec, hparams, replica, arrays, lambda counts: counts)[0])[1]
    bad = jax.tree.map(lambda g: (here & ~jnp.isfinite(g).all()).astype(jnp.int32), grads)
    good = jax.tree.map(lambda count: count == 0, devices.total(spec.devices, bad))
    return Finite(shown, good, first)
