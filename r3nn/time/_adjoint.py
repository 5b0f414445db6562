"""The adjoint of one block of steps, from the cell's own functions: nobody writes a derivative by hand.

Structured cells: `core` is elementwise, so its Jacobian is one diagonal per pair (state out, state or
product in), found for all steps at once by one VJP with ones. The loop then multiplies λ by diagonals
and by the transposed recurrent weights, and computes no gate. Opaque cells: the loop pulls λ back
through the recomputed step.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Literal

from r3nn.time._flags import advance, where
from r3nn.time._trees import join, split, to_batch


def packed_step(cell, params):
    """step(state, u) with the recurrent weights of all gates packed into one wide product."""
    if cell.recurrence != "dense":
        return lambda state, u: cell.step(params, state, u)
    weights = _pack(params)
    return lambda state, u: cell.core(params, state, u, _recur(cell, params, weights, state))


def _pack(params):
    return jnp.concatenate(params.recurrent, axis=1)  # [H, G*H]


def _recur(cell, params, weights, state):
    products = jnp.split(cell.hidden(state) @ weights, len(params.recurrent), axis=-1)
    return type(params.recurrent)(*products)


def state_adjoints(plan, arrays, previous, xs, flags, λ, along, axes):
    """The reversed loop over a block: λ_t = dL/ds_t for its steps, and for the state before them.

    previous [C, ...]: the state before each step. λ, along [C, ...]: cotangents of the block's last
    state and of each state, differentiable leaves only.
    """
    linearize = _linearize_opaque if plan.cell.recurrence != "dense" else _linearize_dense
    per_step, pull_back = linearize(plan, arrays, previous, xs, flags, axes)
    axes = _numeric(axes, λ)

    def body(λ, inputs):
        here, flag, along = inputs
        λ = jax.tree.map(jnp.add, λ, along)
        before = pull_back(here, λ)
        if flag.mask is not None:
            before = where(flag.mask, before, λ, axes)
        if flag.reset is not None:
            before = where(flag.reset, jax.tree.map(jnp.zeros_like, before), before, axes)
        return before, λ

    return lax.scan(body, λ, (per_step, flags, along), reverse=not plan.reverse)


def _numeric(axes, numbers):
    return jax.tree.map(
        lambda n, axis: None if n is None else axis,
        numbers,
        axes,
        is_leaf=lambda leaf: leaf is None,
    )


def _linearize_dense(plan, arrays, previous, xs, flags, axes):
    """Diagonals of every step's core, and how a loop step uses them."""
    cell, params = plan.cell, arrays.params
    start, u = _starts(plan, arrays.params, arrays.initial, previous, xs, flags, axes)
    weights = _pack(params)
    r = _recur(cell, params, weights, start)
    diagonals = _diagonals(lambda s, r: cell.core(params, s, u, r), start, r)
    leading = jax.tree.leaves(previous)[0].shape[: plan.rank + 1]
    diagonals = jax.tree.map(lambda d: d.reshape(*leading, d.shape[-1]), diagonals)
    step_state = jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape[1:], s.dtype), previous)
    to_state = jax.linear_transpose(cell.hidden, step_state)

    def pull_back(diagonals, λ):
        leaves, structure = jax.tree.flatten(λ)
        d_state, d_products = ([_weighted_sum(column, leaves) for column in part] for part in diagonals)
        (through_weights,) = to_state(jnp.concatenate(d_products, axis=-1) @ weights.T)
        return jax.tree.map(jnp.add, jax.tree.unflatten(structure, d_state), through_weights)

    return diagonals, pull_back


def _weighted_sum(column, λ):
    """Σ_k column_k ⊙ λ_k, over the entries that are not structurally zero."""
    terms = [d * l for d, l in zip(column, λ, strict=True) if d is not None]
    return sum(terms[1:], terms[0]) if terms else jnp.zeros_like(λ[0])


def _diagonals(core, state, r):
    """(for each state leaf in, for each product): [d out_k / d in, for each state leaf k out].

    One VJP with ones for each k: exact, since core is elementwise. None where structurally zero.
    """
    out, pull_back = jax.vjp(core, state, r)
    outs, structure = jax.tree.flatten(out)
    depends = _dependence(core, state, r)
    rows = []
    for k in range(len(outs)):
        seeds = [jnp.full_like(o, i == k) for i, o in enumerate(outs)]
        row = jax.tree.leaves(pull_back(jax.tree.unflatten(structure, seeds)))
        rows.append([d if j in depends[k] else None for j, d in enumerate(row)])
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns[: len(outs)], columns[len(outs) :]


def _dependence(fn, *args):
    """For each output of an elementwise function, the inputs that it can depend on, by its jaxpr."""
    jaxpr = jax.make_jaxpr(fn)(*args).jaxpr
    reached = {var: {j} for j, var in enumerate(jaxpr.invars)}
    look_up = lambda var: set() if isinstance(var, Literal) else reached.get(var, set())
    for equation in jaxpr.eqns:
        sources = set().union(*map(look_up, equation.invars))
        reached |= dict.fromkeys(equation.outvars, sources)
    return [look_up(var) for var in jaxpr.outvars]


def _linearize_opaque(plan, arrays, previous, xs, flags, axes):
    """Nothing ahead of the loop but the projection: each step is recomputed and pulled back through."""
    cell, params = plan.cell, arrays.params

    def pull_back(here, λ):
        previous, u, reset = here
        start = previous if reset is None else where(reset, arrays.initial, previous, axes)
        numbers, others = split(start)
        step = lambda numbers: split(cell.step(params, join(numbers, others), u))[0]
        return jax.vjp(step, numbers)[1](λ)[0]

    return (previous, cell.project(params, xs), flags.reset), pull_back


def _starts(plan, params, initial, previous, xs, flags, axes):
    """The state that each step starts from, and its projected input, time and batch as one axis."""
    previous, xs, flags, initial = _flat(plan, initial, previous, xs, flags, axes)
    start = previous if flags.reset is None else where(flags.reset, initial, previous, axes)
    return start, plan.cell.project(params, xs)


def _flat(plan, initial, previous, xs, flags, axes):
    steps = len(jax.tree.leaves(previous)[0])
    leading = lambda tree: to_batch(tree, jax.tree.map(lambda _: 0, tree), plan.rank)
    repeat = lambda leaf: jnp.broadcast_to(leaf, (steps, *leaf.shape))
    if initial is not None:
        initial = to_batch(jax.tree.map(repeat, initial), axes, plan.rank)
    return to_batch(previous, axes, plan.rank), leading(xs), leading(flags), initial


def shared_gradients(plan, arrays, previous, xs, flags, λs, axes):
    """Gradients of (params, initial), summed over a block, and of its xs, from λs [C, ...]."""
    chosen, others = split((arrays.params, arrays.initial, xs))

    def states(chosen):
        params, initial, xs = join(chosen, others)
        step = packed_step(plan.cell, params)

        def one(previous, x, flag, initial=initial):
            u = plan.cell.project(params, x)
            return split(advance(lambda s: step(s, u), initial, previous, flag, axes))[0]

        if not plan.vectorized:
            return jax.vmap(one)(previous, xs, flags)
        return one(*_flat(plan, initial, previous, xs, flags, axes))

    if plan.vectorized:
        λs = to_batch(λs, _numeric(axes, λs), plan.rank)
    d_params, d_initial, d_xs = jax.vjp(states, chosen)[1](λs)[0]
    return (d_params, d_initial), d_xs
