"""The recurrent products of each kind of `recurrence`, all gates at once, as a loop wants them.

Of one wide product h @ [H, G*H] the output may be split freely, and it beats one product a gate.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from r3nn.time._precision import pack, ready


class Products(NamedTuple):
    """r = forward(h, v), one [..., H] per product, for h = hidden(state) [..., H].

    diagonals(v): ∂ r_i / ∂ h_i of each product, [H] or [..., H]. v = of_u(u): what the products read of u,
    or None.
    """

    forward: Callable
    diagonals: Callable
    of_u: Callable = lambda u: None


def products(cell, params, loop: bool = True) -> Products | None:
    """Of a prepared cell, on packed weights; None where the step has no product at all.

    loop: for use in a loop, whose weights are rounded ahead of it; otherwise to differentiate wrt params.
    """
    make = PACKED.get(cell.recurrence)
    made = make and make(cell.weights(params), ready if loop else lambda weight: weight)
    return made and cell.products(made)


def packed_step(cell, params):
    """(state, u) -> (state, r), the recurrent products of all gates as one wide one; r=(): without any."""
    made = products(cell, params)

    def step(state, u):
        if made is None:
            return cell.step(params, state, u), ()
        r = made.forward(cell.hidden(state), made.of_u(u))
        return cell.core(params, state, u, r), r

    return step


def recur_of(cell, params, state, u, loop=False):
    """The recurrent products; of a cell without any, (). loop: as `products` has it."""
    made = products(cell, params, loop)
    return made.forward(cell.hidden(state), made.of_u(u)) if made else ()


def _dense(params, ready):
    gates, weights = type(params.recurrent), ready(pack(params.recurrent))

    def forward(h, _):
        return gates(*jnp.split(h @ weights, len(gates._fields), axis=-1))

    return Products(forward, lambda _: gates(*map(_diagonal, params.recurrent)))


def _heads(params, ready):
    gates, weights = type(params.recurrent), ready(pack(params.recurrent))  # [n, d, G*d]
    heads, size, _ = weights.shape
    apart = lambda h: h.reshape(*h.shape[:-1], heads, 1, size)
    together = lambda h: h.reshape(*h.shape[:-3], heads * size)

    def forward(h, _):
        return gates(*map(together, jnp.split(apart(h) @ weights, len(gates._fields), axis=-1)))

    return Products(forward, lambda _: gates(*map(_diagonal, params.recurrent)))


def _diagonal(weights):
    """Of a matrix, or of one block after the other."""
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
