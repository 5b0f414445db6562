"""What a structured cell's core reads: its products, and which of them in a sum with the projected input."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from r3nn.time._products import PACKED, recur_of


def core_of(cell, params, state, u, r):
    """core as a function that takes the products as arguments, or, where there are none, forms r itself."""
    return cell.core(params, state, u, r if cell.recurrence in PACKED else cell.recur(params, state, u))


def pairs_of(cell, params, state, u) -> dict[int, int]:
    """The products that core reads in a sum with a part of the projected input: {leaf of r: leaf of u}."""
    r = jax.eval_shape(partial(recur_of, cell), params, state, u)
    return _sums(partial(core_of, cell), params, state, u, r)


def _sums(core, params, state, u, r) -> dict[int, int]:
    """Leaves of r that core reads in a sum with a leaf of u, and neither in any other way: {of r: of u}."""
    jaxpr = jax.make_jaxpr(core)(params, state, u, r).jaxpr
    counts = [len(jax.tree.leaves(part)) for part in (params, state, u, r)]
    ins = iter(jaxpr.invars)
    *_, of_u, of_r = ([next(ins) for _ in range(count)] for count in counts)
    uses = {}
    for equation in jaxpr.eqns:
        for var in equation.invars:
            if not isinstance(var, Literal):
                uses.setdefault(var, []).append(equation)
    out = [var for var in jaxpr.outvars if not isinstance(var, Literal)]
    alone = {var for var, equations in uses.items() if len(equations) == 1}.difference(out)
    found = {}
    for j, var in enumerate(of_r):
        if var in alone and uses[var][0].primitive.name == "add":
            other = next((v for v in uses[var][0].invars if v is not var), None)
            if other in of_u and other in alone and other.aval.shape == var.aval.shape:
                found[j] = of_u.index(other)
    return found


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
