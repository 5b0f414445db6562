"""The adjoint of one block of steps, from the cell's own functions: nobody writes a derivative by hand.

The steps are linearised, all at once (`_linearise`); the loop carries λ alone, through what is linear by
now; the gradients of parameters and inputs are formed behind it.
"""

import jax
import jax.numpy as jnp
from jax import lax

from r3nn.time._flags import where
from r3nn.time._linearise import linearise
from r3nn.time._trees import like


def block_adjoint(plan, arrays, made, previous, λ, along, axes, kept=None):
    """From dL/d(last state) and dL/d(each state) of a block, the same before it, and the gradients.

    arrays: xs and flags of the block [C, ...]. made: of `ahead`.
    previous [C, ...]: the state before each step. λ, along [C, ...]: cotangents of differentiable leaves
    only. kept [C, ...]: of `stepper`, or None.
    Returns: (λ, gradients of (params, initial), summed over the block, gradients of xs).
    """
    params, initial, _, xs, flags = arrays
    start = previous
    if flags.reset is not None:
        start = jax.vmap(lambda flag, s: where(flag, initial, s, axes))(flags.reset, previous)
    linear = linearise(plan, params, start, xs, axes, made, kept)
    axes = like(axes, λ)

    def body(λ, inputs):
        here, flag, along = inputs
        λ = jax.tree.map(jnp.add, λ, along)
        zero = jax.tree.map(jnp.zeros_like, λ)
        taken = λ if flag.mask is None else where(flag.mask, λ, zero, axes)
        at_start, seen = linear.pull_back(here, taken)
        if flag.mask is not None:
            at_start = where(flag.mask, at_start, λ, axes)
        if flag.reset is None:
            return at_start, (seen, None)
        return where(flag.reset, zero, at_start, axes), (seen, where(flag.reset, at_start, zero, axes))

    λ, (seen, to_initial) = lax.scan(body, λ, (linear.per_step, flags, along), reverse=not plan.reverse)
    d_params, d_xs = linear.gradients(seen)
    d_initial = jax.tree.map(lambda leaf: leaf.sum(axis=0), to_initial)
    return λ, (d_params, d_initial), d_xs
