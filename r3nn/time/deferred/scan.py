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

from r3nn.cells import Cell
from r3nn.time.arrays.flags import Flags, advance, where
from r3nn.time.arrays.trees import before, join, length_of, like, split
from r3nn.time.deferred.linearise import ahead, linearise
from r3nn.time.deferred.parts import stepper


class Plan(NamedTuple):
    """The static arguments of a run.

    cell: whose steps they are.
    block: the steps of a block, C.
    rank: the number of batch axes.
    reverse: whether the run goes from the last step to the first.
    vectorized: whether the cell broadcasts over batch axes; a bare function may not.
    forward: finds the states: (plan, arrays, axes) -> (final state, (states [T, ...], saved or None)).
    save: whether a run that a backward pass starts from saves the recurrent products beside the states.
    loop: runs the steps of a block in turn, forwards as backwards, with the arguments and results of
      `lax.scan`, which a kernel of all steps can stand in for.
    """

    cell: Cell
    block: int
    rank: int
    reverse: bool
    vectorized: bool
    forward: Callable
    save: bool = False
    loop: Callable = lax.scan


class Arrays(NamedTuple):
    """What is traced: prepared params, the state of a reset, the entry state, inputs [T, ...], flags."""

    params: object
    initial: object
    state: object
    xs: object
    flags: Flags


def scan(plan: Plan, arrays: Arrays, axes):
    """Runs all T steps -> (final state, states [T, ...]). It can be differentiated in reverse mode alone."""
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
    """Runs the C steps of a block in turn -> (state behind it, (states [C, ...], saved [C, ...] or None))."""
    u = plan.cell.project(arrays.params, arrays.xs)
    first = jax.tree.map(lambda leaf: leaf[0], u)
    step = stepper(plan.cell, arrays.params, arrays.state, first, plan.save)

    def body(state, inputs):
        u, flag = inputs
        state, saved = advance(lambda s: step(s, u), arrays.initial, state, flag, axes)
        return state, (state, saved if plan.save else None)

    return plan.loop(body, arrays.state, (u, arrays.flags), reverse=plan.reverse)


def sequential(plan: Plan, arrays: Arrays, axes):
    """Runs all steps in turn, block by block -> (final state, (states [T, ...], saved [T, ...] or None))."""

    def block(state, inputs, _):
        xs, flags = inputs
        state, per_step = run_block(plan, arrays._replace(state=state, xs=xs, flags=flags), axes)
        return state, (per_step, None)

    inputs = (arrays.xs, arrays.flags)
    final, (per_step, _) = scan_blocks(block, arrays.state, inputs, None, plan.block, plan.reverse)
    return final, per_step


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _scan(static, chosen, others):
    plan, axes = static
    plan = plan._replace(save=False)
    final, (states, _) = plan.forward(plan, join(chosen, others), axes.tree)
    return final, states


def _scan_fwd(static, chosen, others):
    plan, axes = static
    final, (states, saved) = plan.forward(plan, join(chosen, others), axes.tree)
    return (final, states), (chosen, others, states, saved)


def _scan_bwd(static, residuals, cotangents):
    """Computes the cotangents of `Arrays`, from those of the final state [*batch, H] and of all states [T,
    *batch, H]: takes `block_adjoint` block by block, the last one first, and adds the gradients up."""
    plan, axes = static
    axes = axes.tree
    chosen, others, states, saved = residuals
    arrays = join(chosen, others)
    common = ahead(plan, arrays)
    numbers = split(states)[0]
    last, of_outputs = (like(ct, numbers) for ct in cotangents)

    def block(carry, inputs, entry):
        λ, total = carry
        xs, flags, states, of_outputs, saved = inputs
        here = arrays._replace(xs=xs, flags=flags)
        previous = before(entry, states, plan.reverse)
        λ, shared, d_xs = block_adjoint(plan, here, common, previous, λ, of_outputs, axes, saved)
        return (λ, jax.tree.map(jnp.add, total, shared)), (d_xs, None)

    shared = split((arrays.params, arrays.initial))[0]
    carry = (last, jax.tree.map(jnp.zeros_like, shared))
    inputs = (arrays.xs, arrays.flags, states, of_outputs, saved)
    per_block = entries(arrays.state, states, plan.block, plan.reverse)
    (λ, (d_params, d_initial)), (d_xs, _) = scan_blocks(
        block, carry, inputs, per_block, plan.block, not plan.reverse
    )
    return Arrays(d_params, d_initial, λ, d_xs, Flags(None, None)), None


_scan.defvjp(_scan_fwd, _scan_bwd)


def block_adjoint(plan, arrays, common, previous, λ, of_outputs, axes, saved=None):
    """The backward pass of one block: stages 1 to 3 of README.md, section 3.

    Args:
      arrays: xs [C, *batch, D] and flags [C, *batch] are those of the block.
      common: the residuals that all steps have in common, by `ahead`.
      previous: the state before each step, [C, *batch, H].
      λ: dL/d(state behind the block), [*batch, H], of all that comes after the block.
      of_outputs: what reaches each state from outside, through outputs, [C, *batch, H].
      axes: where the batch axes of each leaf of a state start.
      saved: what the forward saved beside the states, [C, ...], or None.
    Cotangents are those of differentiable leaves alone, with None for the others.

    Returns: (dL/d(state before the block), gradients of (params, initial) summed over the block, of xs).
    """
    params, initial, _, xs, flags = arrays
    start = previous
    if flags.reset is not None:
        start = jax.vmap(lambda flag, s: where(flag, initial, s, axes))(flags.reset, previous)
    linear = linearise(plan, params, start, xs, axes, common, saved)
    axes = like(axes, λ)

    def body(λ, inputs):
        here, flag, of_outputs = inputs
        λ = jax.tree.map(jnp.add, λ, of_outputs)
        zero = jax.tree.map(jnp.zeros_like, λ)
        taken = λ if flag.mask is None else where(flag.mask, λ, zero, axes)
        at_start, local = linear.pull_back(here, taken)
        if flag.mask is not None:
            at_start = where(flag.mask, at_start, λ, axes)
        if flag.reset is None:
            return at_start, (local, None)
        return where(flag.reset, zero, at_start, axes), (local, where(flag.reset, at_start, zero, axes))

    inputs = (linear.per_step, flags, of_outputs)
    λ, (local, to_initial) = plan.loop(body, λ, inputs, reverse=not plan.reverse)
    d_params, d_xs = linear.gradients(local)
    d_initial = jax.tree.map(lambda leaf: leaf.sum(axis=0), to_initial)
    return λ, (d_params, d_initial), d_xs


def scan_blocks(body, carry, xs, per_block, size: int, reverse: bool):
    """`lax.scan` over blocks of `size` steps, and the rest in a block of its own.

    body(carry, block of xs [C, ...], entry of per_block) -> (carry, (ys [C, ...], per block)); inside a
    block, steps keep their order in time. Returns: (carry, (ys [T, ...], per block [blocks, ...])).
    """
    count, rest = divmod(length_of(xs), size)

    def run_many(carry):
        blocks = jax.tree.map(lambda x: x[: count * size].reshape(count, size, *x.shape[1:]), xs)
        entries = jax.tree.map(lambda x: x[:count], per_block)
        carry, (ys, each) = lax.scan(lambda c, b: body(c, *b), carry, (blocks, entries), reverse=reverse)
        return carry, (jax.tree.map(lambda y: y.reshape(count * size, *y.shape[2:]), ys), each)

    def run_rest(carry):
        block = jax.tree.map(lambda x: x[count * size :], xs)
        carry, (ys, each) = body(carry, block, jax.tree.map(lambda x: x[count], per_block))
        return carry, (ys, jax.tree.map(lambda x: x[None], each))

    if not rest:
        return run_many(carry)
    if not count:
        return run_rest(carry)
    if reverse:
        carry, last = run_rest(carry)
        carry, first = run_many(carry)
    else:
        carry, first = run_many(carry)
        carry, last = run_rest(carry)
    return carry, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, last)


def entries(state, states, size: int, reverse: bool):
    """The state on entering each block: `state` [...] for the first that is run, from states [T, ...]."""

    def of_leaf(first, all_):
        if reverse:
            return jnp.concatenate([all_[size::size], first[None]])
        return jnp.concatenate([first[None], all_[size - 1 : -1 : size]])

    return jax.tree.map(of_leaf, state, states)
