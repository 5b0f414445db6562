"""Defines mode "plain", the public reference: a bare `lax.scan` under JAX's own differentiation."""

import jax
import jax.numpy as jnp
from jax import lax

from r3nn.time.arrays.flags import Flags, advance, where
from r3nn.time.arrays.trees import match_varying_axes


def plain(cell, params, initial, state, xs, flags: Flags, axes, reverse: bool):
    """Runs the cell at every step in turn, on xs [T, *batch, D] -> (final state, outputs [T, *batch, ...]).

    Any order of derivative, forward or reverse. params are prepared; flags are in scan order.
    """

    def body(carry, inputs):
        state, latest = carry
        x, flag = inputs
        if flag.mask is not None:
            fresh = latest if flag.reset is None else where(flag.reset, nothing, latest, leading)
            x = latest = where(flag.mask, x, fresh, leading)
        u = cell.project(params, x)
        state, _ = advance(lambda s: (cell.step(params, s, u), None), initial, state, flag, axes)
        return (state, latest), cell.output(params, state, x)

    leading = jax.tree.map(lambda _: 0, xs)
    nothing = jax.tree.map(lambda x: jnp.zeros_like(x, shape=x.shape[1:]), xs)
    nothing, _ = match_varying_axes(nothing, xs)  # zeros of PRNG keys would be the same on all devices
    latest = None if flags.mask is None else nothing
    (state, _), ys = lax.scan(body, (state, latest), (xs, flags), reverse=reverse)
    return state, ys
