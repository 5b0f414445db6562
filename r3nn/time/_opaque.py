"""The steps of a block, linearised whatever the cell does: by `jax.vjp`, all of them at once.

What the pull-back of a step reads (its residuals) is found ahead of the loop, mapped over the steps, so that
the loop forms no gate and no product of the forward again. The gradients of parameters and inputs are one
VJP behind the loop.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
from jax.extend.core import Literal

from r3nn.time._trees import join, like, split, to_batch


class Linear(NamedTuple):
    """A block's steps, linearised at their start states."""

    per_step: object  # what the loop needs of each step, [C, ...]
    pull_back: Callable  # (of a step, λ_t) -> λ at the step's start
    gradients: Callable  # λ_t of all steps -> gradients of params, of xs


class Ahead(NamedTuple):
    """The residuals of any step's pull-back: whether each varies with the step; and those that do not, of the
    params alone, matrices transposed (a loop's products want their second operand so)."""

    varies: list
    fixed: list


def ahead(plan, arrays) -> Ahead:
    """What all steps of an opaque cell have in common."""
    first = jax.tree.map(lambda leaf: leaf[0], arrays.xs)
    leaves, varies = _residuals(plan.cell, arrays.params, arrays.state, first)
    return Ahead(varies, [_transposed(leaf) for leaf, v in zip(leaves, varies, strict=True) if not v])


def read(cell, params, state, x) -> list:
    """What the pull-back of a step reads of that step."""
    return [leaf for leaf, varies in zip(*_residuals(cell, params, state, x), strict=True) if varies]


def _residuals(cell, params, state, x):
    """All of a step's, and, by their jaxpr, whether each can depend on the state or x."""
    leaves = lambda state, x: jax.tree.leaves(_pull_back(cell, params, state, x))
    jaxpr = jax.make_jaxpr(leaves)(state, x).jaxpr
    reached = set(jaxpr.invars)
    depends = lambda var: not isinstance(var, Literal) and var in reached
    for equation in jaxpr.eqns:
        if any(map(depends, equation.invars)):
            reached.update(equation.outvars)
    return leaves(state, x), list(map(depends, jaxpr.outvars))


def _transposed(leaf):
    return leaf.mT if leaf.ndim == 2 else leaf


def opaque(plan, params, start, xs, axes, made: Ahead) -> Linear:
    """The steps of an opaque cell from their start states [C, ...]."""
    pull_back_of = partial(_pull_back, plan.cell, params)
    first = jax.tree.map(lambda leaf: leaf[0], (start, xs))
    structure = jax.tree.structure(jax.eval_shape(pull_back_of, *first))

    def of_step(state, x):
        residuals = jax.tree.leaves(pull_back_of(state, x))
        return [leaf for leaf, varies in zip(residuals, made.varies, strict=True) if varies]

    def pull_back(here, λ):
        here, fixed = iter(here), iter(made.fixed)
        residuals = [next(here) if varies else _transposed(next(fixed)) for varies in made.varies]
        return jax.tree.unflatten(structure, residuals)(λ)[0]

    return Linear(jax.vmap(of_step)(start, xs), pull_back, partial(_gradients, plan, params, start, xs, axes))


def _gradients(plan, params, start, xs, axes, λs):
    """Of params and xs, from λ_t of all steps, by one VJP."""
    chosen, fixed = split((params, xs))

    def one(params, state, x):
        return _step(plan.cell, params, *split(state), plan.cell.project(params, x))

    def all_steps(chosen):
        params, xs = join(chosen, fixed)
        if not plan.vectorized:
            return jax.vmap(partial(one, params))(start, xs)
        leading = jax.tree.map(lambda _: 0, xs)
        return one(params, to_batch(start, axes, plan.rank), to_batch(xs, leading, plan.rank))

    if plan.vectorized:
        λs = to_batch(λs, like(axes, λs), plan.rank)
    return jax.vjp(all_steps, chosen)[1](λs)[0]


def _step(cell, params, numbers, others, u):
    return split(cell.step(params, join(numbers, others), u))[0]


def _pull_back(cell, params, state, x):
    """λ -> λ at the step's start, as `jax.vjp` gives it: a tree of residuals."""
    numbers, others = split(state)
    u = cell.project(params, x)
    return jax.vjp(lambda numbers: _step(cell, params, numbers, others, u), numbers)[1]
