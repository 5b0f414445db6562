"""The same backward for long sequences: of the states, only those between blocks are kept.

Outputs are computed block by block, so that a per-step loss (`with_output`) keeps no more than itself;
the backward runs each block again from its entry state, and keeps its products if `scan` would.
"""

import functools

import jax
import jax.numpy as jnp

from r3nn.time.arrays.flags import Flags
from r3nn.time.arrays.trees import before, join, like, split
from r3nn.time.deferred.linearise import ahead
from r3nn.time.deferred.scan import Arrays, Plan, Static, block_adjoint, run_block, scan_blocks


def chunked(plan: Plan, arrays: Arrays, axes):
    """Runs all T steps -> (final state, outputs [T, ...]). It can be differentiated in reverse mode alone."""
    chosen, others = split(arrays)
    return _chunked((plan, Static(axes)), chosen, others)


def _outputs(plan, params, states, xs):
    """The outputs [C, *batch, ...] of states [C, *batch, H] and xs [C, *batch, D]."""
    return jax.vmap(functools.partial(plan.cell.output, params))(states, xs)


def _forward(static, arrays):
    """Runs all blocks -> (final state, (outputs [T, *batch, ...], the entry states [blocks, *batch, H]))."""
    plan, axes = static
    plan, axes = plan._replace(save=False), axes.tree

    def block(state, inputs, _):
        xs, flags = inputs
        after, (states, _) = run_block(plan, arrays._replace(state=state, xs=xs, flags=flags), axes)
        return after, (_outputs(plan, arrays.params, states, xs), state)

    inputs = (arrays.xs, arrays.flags)
    return scan_blocks(block, arrays.state, inputs, None, plan.block, plan.reverse)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _chunked(static, chosen, others):
    final, (ys, _) = _forward(static, join(chosen, others))
    return final, ys


def _chunked_fwd(static, chosen, others):
    final, (ys, entries) = _forward(static, join(chosen, others))
    return (final, ys), (chosen, others, entries)


def _chunked_bwd(static, residuals, cotangents):
    """Computes the cotangents of `Arrays`, from those of the final state [*batch, H] and of the outputs [T,
    *batch, ...]: runs each block again from its entry, the last one first, and takes `block_adjoint`."""
    plan, axes = static
    axes = axes.tree
    chosen, others, entries = residuals
    arrays = join(chosen, others)
    last, of_ys = cotangents
    common = ahead(plan, arrays)

    def block(carry, inputs, entry):
        λ, total = carry
        xs, flags, of_ys = inputs
        here = arrays._replace(state=entry, xs=xs, flags=flags)
        _, (states, saved) = run_block(plan, here, axes)
        of_outputs, of_params, of_xs = _through_outputs(plan, here, states, of_ys)
        previous = before(entry, states, plan.reverse)
        given = (previous, λ, of_outputs, axes, saved)
        λ, (d_params, d_initial), d_xs = block_adjoint(plan, here, common, *given)
        shared = (jax.tree.map(jnp.add, d_params, of_params), d_initial)
        return (λ, jax.tree.map(jnp.add, total, shared)), (jax.tree.map(jnp.add, d_xs, of_xs), None)

    shared = split((arrays.params, arrays.initial))[0]
    carry = (like(last, split(arrays.state)[0]), jax.tree.map(jnp.zeros_like, shared))
    inputs = (arrays.xs, arrays.flags, of_ys)
    (λ, (d_params, d_initial)), (d_xs, _) = scan_blocks(
        block, carry, inputs, entries, plan.block, not plan.reverse
    )
    return Arrays(d_params, d_initial, λ, d_xs, Flags(None, None)), None


def _through_outputs(plan, arrays, states, of_ys):
    """Cotangents of states [C, *batch, H], params and xs from those of the outputs, [C, *batch, ...]."""
    chosen, others = split((states, arrays.params, arrays.xs))

    def outputs(chosen):
        states, params, xs = join(chosen, others)
        return _outputs(plan, params, states, xs)

    return jax.vjp(outputs, chosen)[1](of_ys)[0]


_chunked.defvjp(_chunked_fwd, _chunked_bwd)
