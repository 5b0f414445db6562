"""A structured cell's steps, and these linearised.

`core` is elementwise, so its Jacobian is one diagonal per pair (state out, state or product in), found for
all steps at once by one VJP with ones. The backward loop then multiplies λ by diagonals and, where the cell
has products, by the transposed recurrent weights; it computes no gate.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from r3nn.time._elementwise import derivatives, sums, weighted_sum
from r3nn.time._products import PACKED, products
from r3nn.time._trees import join, split


class Linearised(NamedTuple):
    """A block's steps, linearised at their start states."""

    per_step: object  # what the loop needs of each step, [C, ...]
    pull_back: Callable  # (of a step, λ_t) -> λ at the step's start, what `gradients` needs of the step
    gradients: Callable  # that of all steps [C, ...] -> gradients of params, of xs


def packed_step(cell, params):
    """(state, u) -> (state, r), the recurrent products of all gates as one wide one; r=(): without any."""
    made = products(cell, params)

    def step(state, u):
        if made is None:
            return cell.step(params, state, u), ()
        r = made.forward(cell.hidden(state), made.of_u(u))
        return cell.core(params, state, u, r), r

    return step


def structured(plan, params, start, xs, axes, made, kept) -> Linearised:
    """The derivatives of every step's core, all at once."""
    cell = plan.cell
    time = jax.tree.leaves(start)[0].shape[: plan.rank + 1]
    entries = math.prod(time)
    flat = lambda tree: jax.tree.map(lambda leaf: leaf.reshape(entries, *leaf.shape[plan.rank + 1 :]), tree)
    unflat = lambda tree: jax.tree.map(lambda leaf: leaf.reshape(*time, *leaf.shape[1:]), tree)
    start, (xs, fixed) = flat(start), flat(split(xs))
    u, project_transpose = jax.vjp(lambda params, xs: cell.project(params, join(xs, fixed)), params, xs)
    recur = partial(recur_of, cell)
    r, recur_transpose = jax.vjp(lambda params, u: recur(params, start, u), params, u)
    if kept is not None:
        (kept,) = kept
        u, r = restore(flat(kept), pairs_of(cell, params, start, u), u, r)
    of_core = derivatives(partial(core_of, cell), params, start, u, r)

    def pull_back(here, λ):
        (d_state, d_r), v = here
        leaves, structure = jax.tree.flatten(λ)
        d_state = jax.tree.unflatten(structure, _weigh(d_state, leaves, leaves))
        if made is None:
            return d_state, λ
        d_r = _weigh(d_r, leaves, [leaves[0]] * len(d_r))
        (through,) = jax.linear_transpose(cell.hidden, λ)(made.transpose(d_r, v))
        return jax.tree.map(jnp.add, d_state, through), λ

    def gradients(λs):
        leaves = jax.tree.leaves(flat(λs))
        put = lambda columns, tree: _cotangent(_weigh(columns, leaves), tree)
        of_recur, more_d_u = recur_transpose(put(of_core.r, r))
        of_project, d_xs = project_transpose(jax.tree.map(_add, put(of_core.u, u), more_d_u))
        d_params = put(of_core.params, params)
        return jax.tree.map(lambda *d: sum(d[1:], d[0]), d_params, of_recur, of_project), unflat(d_xs)

    v = made.of_u(u) if made else None
    return Linearised(unflat(((of_core.state, of_core.r), v)), pull_back, gradients)


def pairs_of(cell, params, state, u) -> dict[int, int]:
    """The products that core reads in a sum with a part of the projected input: {leaf of r: leaf of u}."""
    r = jax.eval_shape(partial(recur_of, cell), params, state, u)
    return sums(partial(core_of, cell), params, state, u, r)


def summed(pairs, u, r):
    """u and r with each pair's sum in u, and zeros in r."""
    return restore(keep_products(pairs, u, r), pairs, u, r)


def keep_products(pairs, u, r) -> list:
    """What a forward keeps of a step, so that the backward need not form it again: the leaves of r, those
    of `pairs` as the sums that core reads."""
    u, r = jax.tree.leaves(u), jax.tree.leaves(r)
    return [leaf + u[pairs[j]] if j in pairs else leaf for j, leaf in enumerate(r)]


def restore(kept, pairs, u, r):
    """u and r with what was kept in place of them: of a sum, the whole in u, and zeros in r."""
    (u, u_structure), (r, r_structure) = jax.tree.flatten(u), jax.tree.flatten(r)
    r = list(kept)
    for j, i in pairs.items():
        u[i], r[j] = r[j], jnp.zeros_like(r[j])
    return jax.tree.unflatten(u_structure, u), jax.tree.unflatten(r_structure, r)


def core_of(cell, params, state, u, r):
    """core as a function that takes the products as arguments, or, where there are none, forms r itself."""
    return cell.core(params, state, u, r if cell.recurrence in PACKED else cell.recur(params, state, u))


def recur_of(cell, params, state, u, loop=False):
    """The recurrent products; of a cell without any, (). loop: as `products` has it."""
    made = products(cell, params, loop)
    return made.forward(cell.hidden(state), made.of_u(u)) if made else ()


def _weigh(columns, λ, otherwise=None):
    """Cotangents from derivatives; where there is none, zeros like `otherwise`, or None."""
    found = [weighted_sum(column, λ) for column in columns]
    if otherwise is None:
        return found
    return [jnp.zeros_like(o) if f is None else f for f, o in zip(found, otherwise, strict=True)]


def _cotangent(found, tree):
    """Cotangents, one per leaf of `tree`, summed over what a leaf was repeated for; zeros for None."""

    def of_leaf(d, leaf):
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return np.zeros(leaf.shape, jax.dtypes.float0)
        return jnp.zeros_like(leaf) if d is None else _unbroadcast(d, leaf.shape)

    leaves, structure = jax.tree.flatten(tree)
    return jax.tree.unflatten(structure, map(of_leaf, found, leaves))


def _unbroadcast(d, shape):
    extra = d.ndim - len(shape)
    ones = [extra + i for i, n in enumerate(shape) if n == 1 != d.shape[extra + i]]
    return d.sum(axis=(*range(extra), *ones)).reshape(shape)


def _add(a, b):
    """The sum of two cotangents; of those of integers and keys, either."""
    return a if a.dtype == jax.dtypes.float0 else a + b
