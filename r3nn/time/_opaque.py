"""The steps of a block, linearised whatever the cell does: by `jax.vjp`, all of them at once.

What the pull-back of a step reads (its residuals) is found ahead of the loop, time and batch in one axis, so
that the loop forms no gate and no product of the forward again. The gradients of parameters and inputs are
one VJP behind the loop.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from r3nn.time._trees import join, merge, numeric, split, to_batch


class Linear(NamedTuple):
    """A block's steps, linearised at their start states."""

    per_step: object  # what the loop needs of each step, [C, ...]
    pull_back: Callable  # (of a step, λ_t) -> λ at the step's start
    gradients: Callable  # λ_t of all steps -> gradients of params, of xs


class Ahead(NamedTuple):
    """The residuals of any step's pull-back: where each has its batch axis, or None where it is of the params
    alone; and the latter, matrices transposed (a loop's products want their second operand so)."""

    axes: list
    fixed: list


def ahead(plan, arrays, axes) -> Ahead | None:
    """From the step at the entry state, at three sizes of the batch. None where the cell is a bare function,
    or its residuals are not the same at every size: its steps are then recomputed within the loop."""
    if not plan.vectorized:
        return None
    state, x = _of_step(plan, arrays.state, jax.tree.map(lambda leaf: leaf[0], arrays.xs), axes)

    def residuals(copies):
        repeat = lambda axis, leaf: jnp.concatenate([leaf] * copies, axis)
        states, xs = jax.tree.map(repeat, axes, state), jax.tree.map(partial(repeat, 0), x)
        return jax.tree.leaves(_pull_back(plan.cell, arrays.params, states, xs))

    sizes = [[leaf.shape for leaf in jax.eval_shape(partial(residuals, n))] for n in (1, 2, 3)]
    if len(set(map(len, sizes))) > 1:
        return None
    at = [_batch_axis(two, three) for _, two, three in zip(*sizes, strict=True)]
    if not all(map(_grows, *sizes[:2], at)):
        return None
    fixed = [_turn(leaf) for leaf, axis in zip(residuals(1), at, strict=True) if axis is None]
    return Ahead(at, fixed)


def _batch_axis(two, three) -> int | None:
    return next((i for i, (m, n) in enumerate(zip(two, three, strict=False)) if m != n), None)


def _grows(one, two, axis) -> bool:
    """Whether the shape `two` is `one` with twice as much along the axis, and the same along the others."""
    return tuple(n * (1 + (i == axis)) for i, n in enumerate(one)) == two


def _turn(leaf):
    return leaf.mT if leaf.ndim == 2 else leaf


def opaque(plan, params, start, xs, axes, made: Ahead | None) -> Linear:
    """The steps of an opaque cell from their start states [C, ...]."""
    gradients = partial(_gradients, plan, params, start, xs, axes)
    if made is None:
        return _recomputed(plan, params, start, xs)._replace(gradients=gradients)
    pull_back_of = partial(_pull_back, plan.cell, params)
    first = jax.tree.map(lambda leaf: leaf[0], (start, xs))
    of_one_step = jax.tree.structure(jax.eval_shape(pull_back_of, *_of_step(plan, *first, axes)))
    residuals = jax.tree.leaves(pull_back_of(*_of_block(plan, start, xs, axes)))
    steps = len(jax.tree.leaves(start)[0])

    def apart(leaf, axis):
        return jnp.moveaxis(leaf.reshape(*leaf.shape[:axis], steps, -1, *leaf.shape[axis + 1 :]), axis, 0)

    def pull_back(here, λ):
        here, fixed = iter(here), iter(made.fixed)
        leaves = [_turn(next(fixed)) if axis is None else next(here) for axis in made.axes]
        (at_start,) = jax.tree.unflatten(of_one_step, leaves)(merge(λ, numeric(axes, λ), plan.rank))
        return jax.tree.map(lambda d, λ: d.reshape(λ.shape), at_start, λ)

    per_step = [apart(leaf, at) for leaf, at in zip(residuals, made.axes, strict=True) if at is not None]
    return Linear(per_step, pull_back, gradients)


def _recomputed(plan, params, start, xs) -> Linear:
    """Nothing ahead of the loop but the projection: each step is recomputed and pulled back through."""

    def pull_back(here, λ):
        (numbers, others), u = here
        return jax.vjp(lambda numbers: _step(plan.cell, params, numbers, others, u), numbers)[1](λ)[0]

    return Linear((split(start), plan.cell.project(params, xs)), pull_back, gradients=None)


def _gradients(plan, params, start, xs, axes, λs):
    """Of params and xs, from λ_t of all steps, by one VJP."""
    chosen, fixed = split((params, xs))

    def one(params, state, x):
        return _step(plan.cell, params, *split(state), plan.cell.project(params, x))

    def all_steps(chosen):
        params, xs = join(chosen, fixed)
        if plan.vectorized:
            return one(params, *_of_block(plan, start, xs, axes))
        return jax.vmap(partial(one, params))(start, xs)

    if plan.vectorized:
        λs = to_batch(λs, numeric(axes, λs), plan.rank)
    return jax.vjp(all_steps, chosen)[1](λs)[0]


def _step(cell, params, numbers, others, u):
    return split(cell.step(params, join(numbers, others), u))[0]


def _pull_back(cell, params, state, x):
    """λ -> λ at the step's start, as `jax.vjp` gives it: a tree of residuals."""
    numbers, others = split(state)
    u = cell.project(params, x)
    return jax.vjp(lambda numbers: _step(cell, params, numbers, others, u), numbers)[1]


def _of_step(plan, state, x, axes):
    """A step's state and input, all batch axes as one."""
    return merge(state, axes, plan.rank), merge(x, jax.tree.map(lambda _: 0, x), plan.rank)


def _of_block(plan, states, xs, axes):
    """States and inputs of all steps, time and batch as one axis."""
    return to_batch(states, axes, plan.rank), to_batch(xs, jax.tree.map(lambda _: 0, xs), plan.rank)
