"""Local updates: each device trains a replica of its own, and every so often their parameters are averaged.

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
from r3nn.training._forward import scores
from r3nn.training._gradients import Finite, learn, mean, run, share_of, sums, where
from r3nn.training._optimizer import outer
from r3nn.training._spec import HParams, Spec
from r3nn.training._state import Local, TrainState

Array = jax.Array


def round_of(spec: Spec, hparams: HParams, state: TrainState) -> tuple[TrainState, dict[str, Array]]:
    """`spec.sync_every` local updates and their average, as each device does it -> metrics of each, [k].

    Metrics are those of the whole batch, each row seen by its own replica; grad_norm is a mean over replicas.
    Where a number was not finite on any replica, the whole round is undone, and `ok` is False.
    """
    one = lambda replica, _: _update(spec, hparams, replica)
    replica, (value, norm, tally) = lax.scan(one, _replica(spec, state), length=spec.sync_every)
    share = jax.tree.map(lambda x: x / spec.devices, (replica.params, norm))
    whole = jax.vmap(partial(devices.spread, spec.devices))(tally)
    parts = value, whole, share, replica.ok.astype(jnp.int32)
    value, tally, (params, norm), good = devices.total(spec.devices, parts)
    loss, metrics = jax.vmap(partial(scores, spec))(value, tally)
    counted = jax.vmap(jnp.sum)(tally.count)
    return _joined(spec, hparams, state, replica, params, good == spec.devices), {
        **{"loss": loss, "grad_norm": norm},
        **metrics,
        "counted": counted,
    }


def _replica(spec: Spec, state: TrainState) -> TrainState:
    """This device's own state at the start of a round."""
    params, step, ok = devices.vary(spec.devices, (state.params, state.step, state.ok))
    inner = jax.tree.map(lambda leaf: leaf[0], state.opt_state.inner)
    return TrainState(params, inner, step, state.carry, ok)


def _update(spec: Spec, hparams: HParams, replica: TrainState):
    """One update of a replica -> (its state, (loss summed over counted steps, gradient's norm, tally))."""
    value, tally, grads, carry = sums(spec, hparams, replica, replica.params)
    counted = tally.count.sum()
    new, norm = learn(spec, hparams, replica, value, mean(grads, counted), counted, carry)
    return new, (value, norm, tally)


def _joined(spec: Spec, hparams: HParams, state: TrainState, replica: TrainState, params: Any, ok: Array):
    """The state behind a round, from this replica and the average `params`; `state` where it is not ok."""
    inner = jax.tree.map(lambda leaf: leaf[None], replica.opt_state)
    back = jax.tree.map(jnp.subtract, state.params, params)
    changes, momentum = outer(hparams).update(back, state.opt_state.outer, state.params)
    learned = optax.apply_updates(state.params, changes)
    new = TrainState(learned, Local(inner, momentum), state.step + spec.sync_every, replica.carry, ok)
    return where(ok, new, state._replace(ok=ok))


def diagnose(spec: Spec, hparams: HParams, state: TrainState) -> Finite:
    """What was finite in the first bad update of the round that `state` is frozen before, on each device.

    It goes through the round again: each replica stops before its first bad update.
    """
    one = lambda replica, _: (_update(spec, hparams, replica)[0], None)
    begun = _replica(spec, state._replace(ok=jnp.bool_(True)))
    replica, _ = lax.scan(one, begun, length=spec.sync_every)
    first = devices.least(spec.devices, replica.step)
    here = ~replica.ok & (replica.step == first)
    _, ys = run(spec, replica.params, share_of(spec, hparams.seed, replica))
    _, _, grads, _ = sums(spec, hparams, replica, replica.params)
    bad = jax.tree.map(lambda g: (here & ~jnp.isfinite(g).all()).astype(jnp.int32), grads)
    good = jax.tree.map(lambda count: count == 0, devices.total(spec.devices, bad))
    return Finite(jnp.isfinite(ys).all(-1) | ~here, good, first)
