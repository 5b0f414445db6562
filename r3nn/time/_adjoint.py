"""The adjoint of one block of steps, from the cell's own functions: nobody writes a derivative by hand.

Structured cells: `core` is elementwise, so its Jacobian is one diagonal per pair (state out, state or
product in), found for all steps at once by one VJP with ones. The loop then multiplies λ by diagonals
and by the transposed recurrent weights, and computes no gate. Opaque cells: the loop pulls λ back
through the recomputed step.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Literal

from r3nn.time._flags import where
from r3nn.time._trees import join, split, to_batch


def packed_step(cell, params):
    """step(state, u) with the recurrent weights of all gates packed into one wide product."""
    if cell.recurrence != "dense":
        return lambda state, u: cell.step(params, state, u)
    weights = _pack(params)
    return lambda state, u: cell.core(params, state, u, _products(params, cell.hidden(state) @ weights))


def _pack(params):
    return jnp.concatenate(params.recurrent, axis=1)  # [H, G*H]


def _products(params, wide):
    return type(params.recurrent)(*jnp.split(wide, len(params.recurrent), axis=-1))


def block_adjoint(plan, arrays, previous, λ, along, axes):
    """From dL/d(last state) and dL/d(each state) of a block, the same before it, and the gradients.

    arrays: xs and flags of the block [C, ...]. previous [C, ...]: the state before each step. λ, along
    [C, ...]: cotangents of differentiable leaves only.
    Returns: (λ, gradients of (params, initial), summed over the block, gradients of xs).
    """
    params, initial, _, xs, flags = arrays
    start = previous
    if flags.reset is not None:
        repeated = jax.tree.map(lambda s0, s: jnp.broadcast_to(s0, s.shape), initial, previous)
        start = jax.vmap(lambda *args: where(*args, axes))(flags.reset, repeated, previous)
    linear = (_dense if plan.cell.recurrence == "dense" else _opaque)(plan, params, start, xs, axes)
    axes = _numeric(axes, λ)

    def body(λ, inputs):
        here, flag, along = inputs
        λ = jax.tree.map(jnp.add, λ, along)
        zero = jax.tree.map(jnp.zeros_like, λ)
        taken = λ if flag.mask is None else where(flag.mask, λ, zero, axes)
        at_start = linear.pull_back(here, taken)
        if flag.mask is not None:
            at_start = where(flag.mask, at_start, λ, axes)
        if flag.reset is None:
            return at_start, (taken, None)
        return where(flag.reset, zero, at_start, axes), (taken, where(flag.reset, at_start, zero, axes))

    λ, (λs, to_initial) = lax.scan(body, λ, (linear.per_step, flags, along), reverse=not plan.reverse)
    d_params, d_xs = linear.gradients(λs)
    d_initial = jax.tree.map(lambda leaf: leaf.sum(axis=0), to_initial)
    return λ, (d_params, d_initial), d_xs


def _numeric(axes, numbers):
    return jax.tree.map(
        lambda n, axis: None if n is None else axis, numbers, axes, is_leaf=lambda leaf: leaf is None
    )


class Linear(NamedTuple):
    """A block's steps, linearised at their start states."""

    per_step: object  # what the loop needs of each step, [C, ...]
    pull_back: Callable  # (of a step, λ_t) -> λ at the step's start
    gradients: Callable  # λ_t of all steps -> gradients of params, of xs


def _dense(plan, params, start, xs, axes) -> Linear:
    """Diagonals of every step's core."""
    cell = plan.cell
    leading = xs.shape[: plan.rank + 1]
    flat = lambda tree: jax.tree.map(lambda leaf: leaf.reshape(-1, leaf.shape[-1]), tree)
    unflat = lambda tree: jax.tree.map(lambda leaf: leaf.reshape(*leading, leaf.shape[-1]), tree)
    start, xs = flat(start), flat(xs)
    weights = _pack(params)
    u, project_transpose = jax.vjp(cell.project, params, xs)
    r = _products(params, cell.hidden(start) @ weights)
    _, core_transpose = jax.vjp(cell.core, params, start, u, r)
    diagonals = _diagonals(lambda s, r: cell.core(params, s, u, r), core_transpose, start, r)

    def pull_back(diagonals, λ):
        leaves, structure = jax.tree.flatten(λ)
        d_state, d_products = ([_weighted_sum(column, leaves) for column in part] for part in diagonals)
        to_state = jax.linear_transpose(cell.hidden, λ)
        (through_weights,) = to_state(jnp.concatenate(d_products, axis=-1) @ weights.T)
        return jax.tree.map(jnp.add, jax.tree.unflatten(structure, d_state), through_weights)

    def gradients(λs):
        d_core, _, d_u, d_r = core_transpose(flat(λs))
        d_project, d_xs = project_transpose(d_u)
        d_weights = cell.hidden(start).T @ jnp.concatenate(d_r, axis=-1)
        d_params = jax.tree.map(jnp.add, d_core, d_project)
        d_recurrent = jax.tree.map(jnp.add, d_params.recurrent, _products(params, d_weights))
        return d_params._replace(recurrent=d_recurrent), unflat(d_xs)

    return Linear(unflat(diagonals), pull_back, gradients)


def _weighted_sum(column, λ):
    """Σ_k column_k ⊙ λ_k, over the entries that are not structurally zero."""
    terms = [d * l for d, l in zip(column, λ, strict=True) if d is not None]
    return sum(terms[1:], terms[0]) if terms else jnp.zeros_like(λ[0])


def _diagonals(core, core_transpose, state, r):
    """(for each state leaf in, for each product): [d out_k / d in, for each state leaf k out].

    One VJP with ones for each k: exact, since core is elementwise. None where structurally zero.
    """
    outs, structure = jax.tree.flatten(state)
    depends = _dependence(core, state, r)
    rows = []
    for k in range(len(outs)):
        seeds = [jnp.full_like(o, i == k) for i, o in enumerate(outs)]
        _, d_state, _, d_r = core_transpose(jax.tree.unflatten(structure, seeds))
        row = jax.tree.leaves((d_state, d_r))
        rows.append([d if j in depends[k] else None for j, d in enumerate(row)])
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns[: len(outs)], columns[len(outs) :]


#: how the names of operations begin that let one entry of an array reach another
MIXING = ("argm", "concat", "conv_", "cum", "dot_", "dynamic", "fft", "gather", "reduce_", "rev", "scatter")
MIXING += ("select_and", "slice", "sort", "split", "top_k")


def _check_elementwise(jaxpr):
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name.startswith(MIXING) and name != "reduce_precision":
            raise ValueError(
                f"core must be elementwise over batch and units, but uses {name}: give the cell `step` "
                "instead and recurrence = 'opaque', or run it with mode='plain'"
            )
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda p: hasattr(p, "jaxpr")):
            if hasattr(inner, "jaxpr"):
                _check_elementwise(inner.jaxpr)


def _dependence(fn, *args):
    """For each output of an elementwise function, the inputs that it can depend on, by its jaxpr.

    Raises: ValueError for a function that is not elementwise.
    """
    jaxpr = jax.make_jaxpr(fn)(*args).jaxpr
    _check_elementwise(jaxpr)
    reached = {var: {j} for j, var in enumerate(jaxpr.invars)}
    look_up = lambda var: set() if isinstance(var, Literal) else reached.get(var, set())
    for equation in jaxpr.eqns:
        sources = set().union(*map(look_up, equation.invars))
        reached |= dict.fromkeys(equation.outvars, sources)
    return [look_up(var) for var in jaxpr.outvars]


def _opaque(plan, params, start, xs, axes) -> Linear:
    """Nothing ahead of the loop but the projection: each step is recomputed and pulled back through."""
    cell = plan.cell

    def numbers_of_step(params, numbers, others, u):
        return split(cell.step(params, join(numbers, others), u))[0]

    def pull_back(here, λ):
        (numbers, others), u = here
        step = lambda numbers: numbers_of_step(params, numbers, others, u)
        return jax.vjp(step, numbers)[1](λ)[0]

    def gradients(λs):
        chosen, fixed = split((params, xs))
        states = start
        if plan.vectorized:
            states, λs = merge(start, axes), merge(λs, _numeric(axes, λs))

        def all_steps(chosen):
            params, xs = join(chosen, fixed)
            one = lambda x, state: numbers_of_step(params, *split(state), cell.project(params, x))
            if not plan.vectorized:
                return jax.vmap(one)(xs, states)
            return one(merge(xs, jax.tree.map(lambda _: 0, xs)), states)

        return jax.vjp(all_steps, chosen)[1](λs)[0]

    merge = lambda tree, axes: to_batch(tree, axes, plan.rank)
    return Linear((split(start), cell.project(params, xs)), pull_back, gradients)
