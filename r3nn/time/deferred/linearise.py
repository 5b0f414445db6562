"""All steps of a block, linearised at once by `jax.vjp`.

The function that `jax.vjp` returns, a step's pull-back, is a tree of arrays, its residuals. They are computed
ahead of the backward loop, for all steps together, so that the loop computes no gate and no product of the
forward again. Behind the loop, one more VJP, over all steps, gives the gradients of parameters and inputs.
For a structured cell, and for a composition of such cells, both use the derivatives that `deferred.parts` has
noted; for an opaque cell they differentiate `step` itself.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
from jax.extend.core import jaxpr_as_fun

from r3nn.time.arrays.trees import join, known, like, split, to_batch
from r3nn.time.deferred.elementwise import dependence
from r3nn.time.deferred.parts import record, replay


class Linearised(NamedTuple):
    """The C steps of a block, linearised at their start states.

    per_step: the residuals of each step, [C, ...]: inputs of the backward loop.
    pull_back: (residuals of one step, λ_t) -> (λ at the step's start, cotangents that `gradients` reads).
    gradients: (those cotangents of all steps, [C, ...]) -> gradients of (params, xs).
    """

    per_step: object
    pull_back: Callable
    gradients: Callable


class Residuals(NamedTuple):
    """The residuals of a step's pull-back, divided into those that differ from step to step and the others.

    structure: the tree structure of the pull-back, of which the residuals are the leaves.
    varies: for each leaf, whether it can depend on the state or on x.
    varying: the leaves that can.
    fixed: the leaves that cannot, above all the weights: one copy serves all steps.
    turn: what was done to the fixed leaves, and undoes it: the identity, or the transposition of matrices.
    """

    structure: object
    varies: list
    varying: list
    fixed: list
    turn: Callable = lambda leaf: leaf


def ahead(plan, arrays) -> Residuals:
    """The `Residuals` that all steps have in common: those that vary are left out (None).

    Matrices are stored transposed, once, ahead of the loop: the pull-back multiplies by Uᵀ, and so reads it
    in the order in which it lies in memory. Products of a single row are faster without.
    """
    first = jax.tree.map(lambda leaf: leaf[0], arrays.xs)
    found = residuals(plan.cell, arrays.params, arrays.state, first)
    rows = math.prod(jax.tree.leaves(first)[0].shape[: plan.rank])
    turn = _transposed if not known(rows) or rows > 1 else found.turn
    return found._replace(varying=None, fixed=list(map(turn, found.fixed)), turn=turn)


def residuals(cell, params, state, x) -> Residuals:
    """The residuals of one step from state [*batch, H] and x [*batch, D]; the jaxpr tells which can vary."""
    step = state, x, record(cell, params, state, cell.project(params, x))
    pull_back_of = partial(_pull_back, cell, params)
    jaxpr, pull_back = jax.make_jaxpr(pull_back_of, return_shape=True)(*step)
    varies = list(map(bool, dependence(jaxpr.jaxpr)))
    leaves = jaxpr_as_fun(jaxpr)(*jax.tree.leaves(step))
    chosen = lambda which: [leaf for leaf, v in zip(leaves, varies, strict=True) if v == which]
    return Residuals(jax.tree.structure(pull_back), varies, chosen(True), chosen(False))


def _transposed(leaf):
    return leaf.mT if leaf.ndim == 2 else leaf


def linearise(plan, params, start, xs, axes, common: Residuals, saved) -> Linearised:
    """Linearises the steps at their start states [C, *batch, H], given xs [C, *batch, D].

    common: the residuals that all steps have in common, by `ahead`.
    saved: what `stepper` saved, [C, ...], or None.
    """
    merged, notes = _notes(plan, params, start, xs, axes, saved)

    def of_step(*step):
        leaves = jax.tree.leaves(_pull_back(plan.cell, params, *step))
        return [leaf for leaf, varies in zip(leaves, common.varies, strict=True) if varies]

    def pull_back(here, λ):
        here, fixed = iter(here), iter(common.fixed)
        leaves = [next(here) if varies else common.turn(next(fixed)) for varies in common.varies]
        at_start, of_parts = jax.tree.unflatten(common.structure, leaves)(λ)
        return at_start, (λ, of_parts)

    gradients = partial(_gradients, plan, params, start, xs, axes, merged)
    return Linearised(jax.vmap(of_step)(start, xs, notes), pull_back, gradients)


def _notes(plan, params, start, xs, axes, saved):
    """The notes of all steps, twice: as [N, H], with time and batch merged into one axis, for large products;
    and as [C, *batch, H], for the loop."""
    if not plan.vectorized:
        return [], []
    state, x = _merged(start, plan.rank, axes), _merged(xs, plan.rank)
    saved = saved and _merged(saved, plan.rank)
    notes = record(plan.cell, params, state, plan.cell.project(params, x), saved)
    time = jax.tree.leaves(xs)[0].shape[: plan.rank + 1]
    return notes, jax.tree.map(lambda leaf: leaf.reshape(*time, *leaf.shape[1:]), notes)


def _merged(tree, rank, axes=None):
    return to_batch(tree, jax.tree.map(lambda _: 0, tree) if axes is None else axes, rank)


def _gradients(plan, params, start, xs, axes, notes, local):
    """The gradients of params and xs, by one VJP of all steps.

    local: (λ_t of the whole state [C, *batch, H], λ behind each part), as the loop has put them out.
    """
    chosen, fixed = split((params, xs))

    def one(params, state, x):
        return _step(plan.cell, params, *split(state), x, notes, cut=True)

    def all_steps(chosen):
        params, xs = join(chosen, fixed)
        if not plan.vectorized:
            return jax.vmap(partial(one, params))(start, xs)
        return one(params, _merged(start, plan.rank, axes), _merged(xs, plan.rank))

    if plan.vectorized:
        λs, of_parts = local
        local = _merged(λs, plan.rank, like(axes, λs)), _merged(of_parts, plan.rank)
    return jax.vjp(all_steps, chosen)[1](local)[0]


def _step(cell, params, numbers, others, x, notes, cut=False):
    after, of_parts = replay(cell, params, join(numbers, others), cell.project(params, x), notes, cut)
    return split(after)[0], of_parts


def _pull_back(cell, params, state, x, notes):
    """The pull-back of one step: λ_t -> (λ at the step's start, λ behind each part)."""
    numbers, others = split(state)

    def step(numbers, behind):
        known = [replace(note, after=after) for note, after in zip(notes, behind, strict=True)]
        return _step(cell, params, numbers, others, x, known)[0]

    return jax.vjp(step, numbers, [note.after for note in notes])[1]
