"""The steps of a block, linearised by `jax.vjp`, all of them at once.

What the pull-back of a step reads (its residuals) is found ahead of the loop, mapped over the steps, so that
the loop forms no gate and no product of the forward again. The gradients of parameters and inputs are one
VJP behind the loop. Of a structured cell, or a composition of such, both are taken from its parts'
derivatives (`deferred.parts`); of another, from `step` itself.
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
    """A block's steps, linearised at their start states."""

    per_step: object  # what the loop needs of each step, [C, ...]
    pull_back: Callable  # (of a step, λ_t) -> λ at the step's start, what `gradients` needs of the step
    gradients: Callable  # that of all steps [C, ...] -> gradients of params, of xs


class Residuals(NamedTuple):
    """Of a step's pull-back, which is a tree of them."""

    structure: object  # of that tree
    varies: list  # whether each leaf can depend on the state or x
    varying: list  # those that can
    fixed: list  # those that cannot, as `turn` makes them
    turn: Callable = lambda leaf: leaf  # its own inverse


def ahead(plan, arrays) -> Residuals:
    """What all steps have in common: of `Residuals`, all but those that vary. Matrices are transposed: a
    loop's products want their second operand so, but for those of a single row."""
    first = jax.tree.map(lambda leaf: leaf[0], arrays.xs)
    found = residuals(plan.cell, arrays.params, arrays.state, first)
    rows = math.prod(jax.tree.leaves(first)[0].shape[: plan.rank])
    turn = _transposed if not known(rows) or rows > 1 else found.turn
    return found._replace(varying=None, fixed=list(map(turn, found.fixed)), turn=turn)


def residuals(cell, params, state, x) -> Residuals:
    """Of one step; what varies, by the jaxpr."""
    step = state, x, record(cell, params, state, cell.project(params, x))
    pull_back_of = partial(_pull_back, cell, params)
    jaxpr, pull_back = jax.make_jaxpr(pull_back_of, return_shape=True)(*step)
    varies = list(map(bool, dependence(jaxpr.jaxpr)))
    leaves = jaxpr_as_fun(jaxpr)(*jax.tree.leaves(step))
    chosen = lambda which: [leaf for leaf, v in zip(leaves, varies, strict=True) if v == which]
    return Residuals(jax.tree.structure(pull_back), varies, chosen(True), chosen(False))


def _transposed(leaf):
    return leaf.mT if leaf.ndim == 2 else leaf


def linearise(plan, params, start, xs, axes, made: Residuals, kept) -> Linearised:
    """The steps from their start states [C, ...]. made: of `ahead`. kept: of `stepper`, [C, ...], or None."""
    merged, notes = _notes(plan, params, start, xs, axes, kept)

    def of_step(*step):
        leaves = jax.tree.leaves(_pull_back(plan.cell, params, *step))
        return [leaf for leaf, varies in zip(leaves, made.varies, strict=True) if varies]

    def pull_back(here, λ):
        here, fixed = iter(here), iter(made.fixed)
        leaves = [next(here) if varies else made.turn(next(fixed)) for varies in made.varies]
        at_start, of_parts = jax.tree.unflatten(made.structure, leaves)(λ)
        return at_start, (λ, of_parts)

    gradients = partial(_gradients, plan, params, start, xs, axes, merged)
    return Linearised(jax.vmap(of_step)(start, xs, notes), pull_back, gradients)


def _notes(plan, params, start, xs, axes, kept):
    """Of the parts of all steps: with time and batch merged into one axis, as products want it; and apart."""
    if not plan.vectorized:
        return [], []
    state, x = _merged(start, plan.rank, axes), _merged(xs, plan.rank)
    kept = kept and _merged(kept, plan.rank)
    notes = record(plan.cell, params, state, plan.cell.project(params, x), kept)
    time = jax.tree.leaves(xs)[0].shape[: plan.rank + 1]
    return notes, jax.tree.map(lambda leaf: leaf.reshape(*time, *leaf.shape[1:]), notes)


def _merged(tree, rank, axes=None):
    return to_batch(tree, jax.tree.map(lambda _: 0, tree) if axes is None else axes, rank)


def _gradients(plan, params, start, xs, axes, notes, seen):
    """Of params and xs, from λ_t of all steps and parts, by one VJP."""
    chosen, fixed = split((params, xs))

    def one(params, state, x):
        return _step(plan.cell, params, *split(state), x, notes, cut=True)

    def all_steps(chosen):
        params, xs = join(chosen, fixed)
        if not plan.vectorized:
            return jax.vmap(partial(one, params))(start, xs)
        return one(params, _merged(start, plan.rank, axes), _merged(xs, plan.rank))

    if plan.vectorized:
        λs, of_parts = seen
        seen = _merged(λs, plan.rank, like(axes, λs)), _merged(of_parts, plan.rank)
    return jax.vjp(all_steps, chosen)[1](seen)[0]


def _step(cell, params, numbers, others, x, notes, cut=False):
    after, of_parts = replay(cell, params, join(numbers, others), cell.project(params, x), notes, cut)
    return split(after)[0], of_parts


def _pull_back(cell, params, state, x, notes):
    """λ -> λ at the step's start, and that behind each part, as `jax.vjp` gives it: a tree of residuals."""
    numbers, others = split(state)

    def step(numbers, behind):
        known = [replace(note, after=after) for note, after in zip(notes, behind, strict=True)]
        return _step(cell, params, numbers, others, x, known)[0]

    return jax.vjp(step, numbers, [note.after for note in notes])[1]
