"""The sequential forward, and the one backward of every nonlinear mode: weight gradients deferred out of
the loop.

JAX's transpose of a scan adds to every weight's gradient at every step. Here the forward, whichever
solves for the states, stores them alone. The backward, block by block: (1) recompute and linearise all
steps of the block in parallel; (2) a reversed loop carries only λ_t = dL/ds_t; (3) one vector-Jacobian
product with time and batch flattened into one axis gives the gradients of parameters and inputs.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from r3nn.time.arrays.chunks import before, entries, scan_chunks
from r3nn.time.arrays.flags import Flags, advance, where
from r3nn.time.arrays.trees import join, like, split
from r3nn.time.deferred.linearise import ahead, linearise
from r3nn.time.deferred.parts import stepper


class Plan(NamedTuple):
    """What is static about a run."""

    cell: object
    chunk: int  # steps a block
    rank: int  # number of batch axes
    reverse: bool
    vectorized: bool  # whether the cell broadcasts over batch axes (a bare function may not)
    solve: Callable  # the forward: (plan, arrays, axes) -> (final state, (states [T, ...], kept or None))
    keep: bool = False  # whether a run that a backward pass starts from keeps the recurrent products


class Arrays(NamedTuple):
    """What is traced: prepared params, the state of a reset, the entry state, inputs [T, ...], flags."""

    params: object
    initial: object
    state: object
    xs: object
    flags: Flags


def scan(plan: Plan, arrays: Arrays, axes):
    """Run all steps -> (final state, states [T, ...]); reverse-differentiable only."""
    chosen, others = split(arrays)
    return _scan((plan, Static(axes)), chosen, others)


class Static:
    """A tree of ints as a static argument: compared and hashed by content."""

    def __init__(self, tree):
        self.tree = tree
        self._key = (tuple(jax.tree.leaves(tree)), jax.tree.structure(tree))

    def __eq__(self, other):
        return self._key == other._key

    def __hash__(self):
        return hash(self._key)


def run_block(plan: Plan, arrays: Arrays, axes):
    """The steps of one block in turn -> (state after it, (states [C, ...], kept [C, ...] or None))."""
    u = plan.cell.project(arrays.params, arrays.xs)
    first = jax.tree.map(lambda leaf: leaf[0], u)
    step = stepper(plan.cell, arrays.params, arrays.state, first, plan.keep)

    def body(state, inputs):
        u, flag = inputs
        state, kept = advance(lambda s: step(s, u), arrays.initial, state, flag, axes)
        return state, (state, kept if plan.keep else None)

    return lax.scan(body, arrays.state, (u, arrays.flags), reverse=plan.reverse)


def sequential(plan: Plan, arrays: Arrays, axes):
    """All steps in turn, block by block -> (final state, (states [T, ...], kept [T, ...] or None))."""

    def block(state, inputs, _):
        xs, flags = inputs
        state, along = run_block(plan, arrays._replace(state=state, xs=xs, flags=flags), axes)
        return state, (along, None)

    inputs = (arrays.xs, arrays.flags)
    final, (along, _) = scan_chunks(block, arrays.state, inputs, None, plan.chunk, plan.reverse)
    return final, along


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _scan(static, chosen, others):
    plan, axes = static
    plan = plan._replace(keep=False)
    final, (states, _) = plan.solve(plan, join(chosen, others), axes.tree)
    return final, states


def _scan_fwd(static, chosen, others):
    plan, axes = static
    final, (states, kept) = plan.solve(plan, join(chosen, others), axes.tree)
    return (final, states), (chosen, others, states, kept)


def _scan_bwd(static, residuals, cotangents):
    plan, axes = static[0], static[1].tree
    chosen, others, states, kept = residuals
    arrays = join(chosen, others)
    made = ahead(plan, arrays)
    numbers = split(states)[0]
    last, along = (like(ct, numbers) for ct in cotangents)

    def block(carry, inputs, entry):
        λ, total = carry
        xs, flags, states, along, kept = inputs
        here = arrays._replace(xs=xs, flags=flags)
        previous = before(entry, states, plan.reverse)
        λ, shared, d_xs = block_adjoint(plan, here, made, previous, λ, along, axes, kept)
        return (λ, jax.tree.map(jnp.add, total, shared)), (d_xs, None)

    shared = split((arrays.params, arrays.initial))[0]
    carry = (last, jax.tree.map(jnp.zeros_like, shared))
    inputs = (arrays.xs, arrays.flags, states, along, kept)
    per_chunk = entries(arrays.state, states, plan.chunk, plan.reverse)
    (λ, (d_params, d_initial)), (d_xs, _) = scan_chunks(
        block, carry, inputs, per_chunk, plan.chunk, not plan.reverse
    )
    return Arrays(d_params, d_initial, λ, d_xs, Flags(None, None)), None


_scan.defvjp(_scan_fwd, _scan_bwd)


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
