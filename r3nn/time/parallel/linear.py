"""Solves all steps at once of cells that are affine in their state: s_t = A_t s_{t-1} + b_t is a linear
scan."""

import dataclasses

import jax
import jax.numpy as jnp

from r3nn._value import Value
from r3nn.time.deferred.elementwise import dependence, elementwise_dependence
from r3nn.time.parallel.linear_scan import solve
from r3nn.time.parallel.per_unit import add, times
from r3nn.time.parallel.shards import last_of, last_of_all


@dataclasses.dataclass(frozen=True)
class Linear(Value):
    """Selects mode="linear", with options. axis_name: inside `shard_map`, the mesh axis over which time is
    sharded."""

    axis_name: str | None = None


def solve_linear(plan, arrays, axes, options: Linear):
    """Solves all steps of an affine cell -> (final state, states [T, ...]); JAX differentiates it.

    axis_name: the mesh axis, inside `shard_map`, over which time is sharded; the state is that before
    the first step of all, the same on every shard, and so is the final state.
    Raises: ValueError for a cell that is not affine, or whose batch is not in front.
    """
    cell, reverse, axis_name = plan.cell, plan.reverse, options.axis_name
    if not cell.affine or any(jax.tree.leaves(axes)):
        raise ValueError(f"mode='linear': {type(cell).__name__} is not affine in its state, unit by unit.")
    a, b = _coefficients(cell, arrays, plan.rank)
    a, b = _flagged(a, b, arrays)
    state, structure = jax.tree.flatten(arrays.state)
    states = solve(a, b, tuple(state), reverse, axis_name)
    states = jax.tree.unflatten(structure, states)
    return last_of_all(last_of(states, reverse), reverse, axis_name), states


def _coefficients(cell, arrays, rank):
    """Returns A, K x K planes [T, *batch, H] (with axes of size 1 where x does not reach them), and b, the
    step from zero: K of [T, *batch, H]."""
    u = cell.project(arrays.params, arrays.xs)
    step = lambda state, u: jax.tree.leaves(cell.step(arrays.params, state, u))
    leaves, structure = jax.tree.flatten(arrays.state)
    zeros = lambda lead: [jnp.zeros((*lead, *s.shape[rank:]), s.dtype) for s in leaves]
    unflatten = lambda leaves: jax.tree.unflatten(structure, leaves)

    def column(j, zero, u):
        """Computes ∂ state / ∂ leaf j of the state: one product with ones, since the step is elementwise."""
        ones = unflatten([jnp.full_like(s, i == j) for i, s in enumerate(zero)])
        return jax.jvp(lambda state: step(state, u), (unflatten(zero),), (ones,))[1]

    times_ = jax.tree.leaves(arrays.xs)[0].shape[: rank + 1]
    every, one = zeros(times_), zeros((1,) * (rank + 1))
    check_affine(cell, lambda state, u: step(unflatten(state), u), every, u)
    first = jax.tree.map(lambda x: x[(slice(1),) * (rank + 1)], u)
    reached = elementwise_dependence(lambda *state: step(unflatten(state), u), *every)
    columns = []
    for j in range(len(leaves)):
        moves = elementwise_dependence(lambda u, j=j: column(j, every, u), u)
        choices = zip(reached, moves, column(j, every, u), column(j, one, first), strict=True)
        columns.append([None if j not in r else a if m else fixed for r, m, a, fixed in choices])
    return tuple(zip(*columns, strict=True)), tuple(step(unflatten(every), u))


def check_affine(cell, step, state, u):
    """Raises ValueError where a derivative of the step by the state reads the state: K of [T, *batch, H]."""
    slope = lambda state, change, u: jax.jvp(lambda state: step(state, u), (state,), (change,))[1]
    reached = dependence(jax.make_jaxpr(slope)(state, state, u).jaxpr)
    if any(j < len(state) for inputs in reached for j in inputs):
        raise ValueError(
            f"{type(cell).__name__}.affine is True, but its step is not affine in the state: "
            "say affine = False."
        )


def _flagged(a, b, arrays):
    """Returns A (planes [T, *batch, H]) and b with mask (A = I, b = 0) and, before it, reset (A = 0, b the
    step from s0)."""
    mask, reset = arrays.flags
    if mask is not None:
        one = lambda i, j: jnp.ones_like(b[i]) if i == j else None
        rows = [[_where(mask, x, one(i, j), b[i]) for j, x in enumerate(row)] for i, row in enumerate(a)]
        a, b = tuple(map(tuple, rows)), tuple(_where(mask, x, None, x) for x in b)
    if reset is not None:
        leaves = zip(jax.tree.leaves(arrays.initial), b, strict=True)
        initial = tuple(jnp.broadcast_to(s, x.shape) for s, x in leaves)
        afresh = add(times(a, initial), b)
        b = tuple(_where(reset, new, x, x) for new, x in zip(afresh, b, strict=True))
        a = tuple(tuple(_where(reset, None, x, like) for x in row) for row, like in zip(a, b, strict=True))
    return a, b


def _where(flag, on_true, on_false, like):
    """Selects per step and sequence; None stands for zeros like `like`."""
    if on_true is None and on_false is None:
        return None
    on_true, on_false = (jnp.zeros_like(like) if x is None else x for x in (on_true, on_false))
    return jnp.where(flag.reshape(*flag.shape, *(1,) * (like.ndim - flag.ndim)), on_true, on_false)
