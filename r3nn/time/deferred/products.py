"""The recurrent products of each kind of `recurrence`, of all gates as one product.

A loop over time runs one wide product h @ [H, G*H] faster than G products h @ [H, H], and splitting its
output costs nothing. `products` packs the weights; `pairs_of` finds which products core reads only in a sum
u + r with the projected input, so that the sum can be saved in place of both.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from r3nn.time.arrays.precision import Weight


class Products(NamedTuple):
    """The products of a cell on packed weights.

    forward: (h [..., H], v) -> r, one [..., H] for each product, where h = hidden(state).
    diagonals: v -> ∂r_i / ∂h_i of each product, [H] or [..., H].
    of_u: u -> v, what the products read of the projected input; None for most cells.
    """

    forward: Callable
    diagonals: Callable
    of_u: Callable = lambda u: None


def products(cell, params, loop: bool = True) -> Products | None:
    """Packs the weights of a structured cell, whose params are prepared; None where it has no product.

    loop: whether the products stand in a loop, so that weights are rounded once, ahead of it; if not, they
    can be differentiated with respect to params.
    """
    make = PACKED.get(cell.recurrence)
    return make and make(params, _rounded if loop else lambda weight: weight)


def packed_step(packed: Products | None, cell, params, state, u):
    """Takes a step of a structured cell by its `packed` products -> (state behind it, r; () without any)."""
    if packed is None:
        return cell.step(params, state, u), ()
    r = packed.forward(cell.hidden(state), packed.of_u(u))
    return cell.core(params, state, u, r), r


def recur_of(cell, params, state, u, loop=False):
    """The recurrent products r of a step, one [..., H] each; () without any. loop: as in `products`."""
    packed = products(cell, params, loop)
    return packed.forward(cell.hidden(state), packed.of_u(u)) if packed else ()


def _packed(weights):
    """Several gates' matrices [..., in, out] as one [..., in, G*out]; `Weight`s make a `Weight`."""
    if not isinstance(weights[0], Weight):
        return jnp.concatenate(weights, axis=-1)
    return Weight(jnp.concatenate([w.array for w in weights], axis=-1), weights[0].compute)


def _rounded(weight):
    """A matrix for use inside a loop: where it is a `Weight`, it is rounded once, ahead of it."""
    return weight.ready() if isinstance(weight, Weight) else weight


def _dense(params, ready):
    gates, weights = type(params.recurrent), ready(_packed(params.recurrent))  # [H, G*H]

    def forward(h, _):
        return gates(*jnp.split(h @ weights, len(gates._fields), axis=-1))

    return Products(forward, lambda _: gates(*map(_diagonal, params.recurrent)))


def _heads(params, ready):
    gates, weights = type(params.recurrent), ready(_packed(params.recurrent))  # [n, d, G*d]
    heads, size, _ = weights.shape
    apart = lambda h: h.reshape(*h.shape[:-1], heads, 1, size)
    together = lambda h: h.reshape(*h.shape[:-3], heads * size)

    def forward(h, _):
        return gates(*map(together, jnp.split(apart(h) @ weights, len(gates._fields), axis=-1)))

    return Products(forward, lambda _: gates(*map(_diagonal, params.recurrent)))


def _diagonal(weights):
    """The diagonal of [H, H], or of blocks [n, d, d] one behind the other: [H]."""
    return jnp.diagonal(weights, axis1=-2, axis2=-1).reshape(-1)


def _multiplicative(params, ready):
    inner, multiplier = _dense(params, ready), ready(params.multiplier)

    def forward(h, m):
        return inner.forward(m * (h @ multiplier), None)

    def diagonals(m):
        return type(params.recurrent)(*(m @ (params.multiplier.T * w) for w in params.recurrent))

    return Products(forward, diagonals, lambda u: u.multiplier)


#: by `recurrence`: the kinds that have products, which loops want packed
PACKED = {"dense": _dense, "heads": _heads, "multiplicative": _multiplicative}


def core_of(cell, params, state, u, r):
    """Runs core on given products r; a cell of another kind forms its r itself (diagonal), or has none."""
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
    """u and r with the sum of each pair in u, and zeros in r: core gives the same."""
    return restore(save_products(pairs, u, r), pairs, u, r)


def save_products(pairs, u, r) -> list:
    """What a forward saves of a step, so that the backward need not form it again: the leaves of r, [..., H];
    those of `pairs` as the sums u + r that core reads."""
    u, r = jax.tree.leaves(u), jax.tree.leaves(r)
    return [leaf + u[pairs[j]] if j in pairs else leaf for j, leaf in enumerate(r)]


def restore(saved, pairs, u, r):
    """u and r from what was saved: a sum u + r stands in u whole, with zeros in r."""
    (u, u_structure), (r, r_structure) = jax.tree.flatten(u), jax.tree.flatten(r)
    r = list(saved)
    for j, i in pairs.items():
        u[i], r[j] = r[j], jnp.zeros_like(r[j])
    return jax.tree.unflatten(u_structure, u), jax.tree.unflatten(r_structure, r)
