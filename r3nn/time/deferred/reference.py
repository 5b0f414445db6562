"""Computes the deferred gradient of a structured cell in its plainest form: the file to read first.

Mode "scan" computes the same: block by block, on packed weights, and of compositions too. README.md derives
what stands here.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from r3nn.time.arrays.flags import Flags, carry_masked


def reference(cell, params, state, xs, mask=None, reset=None):
    """Runs xs [T, *batch, D], T at least 1, forward in time -> (final state, outputs [T, *batch, ...]), as
    `unroll` does.

    params are as `init` makes them; leaves of states are [*batch, H]; mask and reset are bool [T, *batch].
    """
    flags = Flags(
        jnp.ones(xs.shape[:-1], bool) if mask is None else mask,
        jnp.zeros(xs.shape[:-1], bool) if reset is None else reset,
    )
    initial = cell.initial_state(params, xs.shape[1:-1])
    prepared, xs = cell.prepare(params), carry_masked(xs, flags, reverse=False)
    u = cell.project(prepared, xs)  # one [T, *batch, H] per gate: that of all steps is one product
    states = _states(cell, prepared, initial, state, u, flags)
    return jax.tree.map(lambda s: s[-1], states), cell.output(prepared, states, xs)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _states(cell, params, initial, state, u, flags):
    """Computes s_1, ..., s_T, [T, *batch, H], from s_0 = state; a reset goes back to `initial`."""

    def body(s, inputs):
        u, flag = inputs
        start = _where(flag.reset, initial, s)
        s = _where(flag.mask, cell.step(params, start, u), start)
        return s, s

    return lax.scan(body, state, (u, flags))[1]


def _forward(cell, *arrays):
    states = _states(cell, *arrays)
    return states, (*arrays, states)  # of what the forward makes, states alone are kept


def _backward(cell, residuals, g):
    """Computes the gradients of all that `_states` takes, from g [T, *batch, H], which reaches each state
    from outside."""
    params, initial, state, u, flags, states = residuals
    before = jax.tree.map(lambda s_0, s: jnp.concatenate([s_0[None], s[:-1]]), state, states)
    start = _where(flags.reset, jax.tree.map(lambda leaf: leaf[None], initial), before)  # [T, *batch, H]

    # 1. All steps at once: the products, the gates, and what pulls a cotangent back through each core.
    r = cell.recur(params, start, u)
    pull_core = lambda s, u, r: jax.vjp(lambda s, r: cell.core(params, s, u, r), s, r)[1]
    pulls = jax.vmap(pull_core)(start, u, r)

    # 2. From the last step to the first: λ_t = dL/ds_t, and nothing else.
    def body(λ, inputs):
        pull, u, flag, g = inputs
        λ = jax.tree.map(jnp.add, λ, g)
        nothing = jax.tree.map(jnp.zeros_like, λ)
        of_step = _where(flag.mask, λ, nothing)
        to_start, of_r = pull(of_step)
        _, pull_recur = jax.vjp(lambda s: cell.recur(params, s, u), nothing)  # linear in s: the same at any s
        to_start = jax.tree.map(jnp.add, to_start, *pull_recur(of_r))
        to_start = _where(flag.mask, to_start, λ)
        return _where(flag.reset, nothing, to_start), (of_step, _where(flag.reset, to_start, nothing))

    nothing = jax.tree.map(jnp.zeros_like, state)
    of_state, (λs, to_initial) = lax.scan(body, nothing, (pulls, u, flags, g), reverse=True)

    # 3. All steps at once again: of each weight matrix one product, over time and batch as one axis.
    flat = functools.partial(jax.tree.map, lambda leaf: leaf.reshape(-1, leaf.shape[-1]))
    step = lambda params, u: cell.step(params, flat(start), u)
    of_params, of_u = jax.vjp(step, params, flat(u))[1](flat(λs))
    of_u = jax.tree.map(lambda leaf, like: leaf.reshape(like.shape), of_u, u)
    of_initial = jax.tree.map(lambda leaf: leaf.sum(axis=0), to_initial)
    return of_params, of_initial, of_state, of_u, None


_states.defvjp(_forward, _backward)


def _where(flag, a, b):
    """Selects per sequence: flag is [*batch], leaves of a and b are [*batch, H]; all of them may have T in
    front."""
    return jax.tree.map(lambda a, b: jnp.where(flag[..., None], a, b), a, b)
