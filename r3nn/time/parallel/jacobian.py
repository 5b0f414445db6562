"""Evaluates all steps of a window at once: their values, their Jacobians, and the linear recurrences of
those."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from r3nn.cells._base import along
from r3nn.time.arrays.flags import advance
from r3nn.time.arrays.precision import Weight
from r3nn.time.arrays.trees import before, length_of
from r3nn.time.deferred.elementwise import elementwise_dependence
from r3nn.time.deferred.parts import run_parts, stepper
from r3nn.time.deferred.products import PACKED, products
from r3nn.time.parallel.linear_scan import run
from r3nn.time.parallel.per_unit import times
from r3nn.time.parallel.shards import entry_of, last_of

KINDS = ("auto", "full", "diagonal")
ELEMENTWISE = ("diagonal", "none")


class Steps(NamedTuple):
    """Holds a window's steps as functions of the states before them, [W, *batch, ...] in and out."""

    values: Callable  # s -> F(s)
    push: Callable  # (s, e) -> F'(s) e
    guess: Callable  # () -> states to start from
    previous: Callable  # (entry, states) -> the states before each step
    linearize: Callable  # s -> the Jacobians at s, as blocks: exact, or the blocks' diagonals
    times: Callable  # (blocks, s) -> their product
    solve: Callable  # (blocks, vectors, entry) -> all states of the linear recurrence, as trees
    exact: bool


def steps_of(plan, arrays, axes, jacobian: str, axis_name=None) -> Steps:
    """Makes the `Steps` of arrays.xs [W, *batch, D], from arrays.state.

    Raises: ValueError where the cell has no such Jacobian, TypeError for a state of other than floats.
    """
    jacobian = kind_of(plan.cell, jacobian, axis_name)
    _check_state(plan.cell, arrays.state)
    cell, params = plan.cell, arrays.params
    u = cell.project(params, arrays.xs)
    size = length_of(arrays.xs)
    repeated = lambda state: jax.tree.map(lambda s: jnp.broadcast_to(s, (size, *s.shape)), state)
    if exact_by_unit(cell, jacobian):
        elementwise_dependence(lambda state: cell.step(params, state, u), repeated(arrays.state))
    step = stepper(cell, params, arrays.state, jax.tree.map(lambda leaf: leaf[0], u), save=False)
    bare = _unrounded(params)
    of_step = lambda s, u, e: jax.jvp(lambda s: cell.step(bare, s, u), (s,), (e,))
    approximate = jacobian == "diagonal" and cell.recurrence in PACKED
    of_block = partial(_of_diagonal, cell, bare) if approximate else of_step

    def values(s):
        one = lambda s, u, flag: advance(lambda s: step(s, u), arrays.initial, s, flag, axes)[0]
        return jax.vmap(one)(s, u, arrays.flags)

    def push(tangent, s, e):
        """Pushes a tangent e through each step and its flags: (state, tangent) goes where the state would
        go."""
        pair = lambda u: lambda both: (tangent(both[0], u, both[1]), ())
        start = (arrays.initial, jax.tree.map(jnp.zeros_like, arrays.state))

        def one(s, e, u, flag):
            return advance(pair(u), start, (s, e), flag, (axes, axes))[0][1]

        return jax.vmap(one)(s, e, u, arrays.flags)

    push_block = partial(push, of_block)
    by_unit = lambda: _by_unit(push_block, arrays.state, plan.reverse, axis_name)
    linearize, product, solve = by_unit() if jacobian == "diagonal" else _whole(push_block, plan, axes)
    previous = partial(_previous, plan.reverse, axis_name)
    guess = lambda: values(repeated(arrays.state))
    return Steps(values, partial(push, of_step), guess, previous, linearize, product, solve, not approximate)


def exact_by_unit(cell, jacobian) -> bool:
    """Says whether the diagonals are all there is of the Jacobian, and are what is asked for."""
    return cell.recurrence in ELEMENTWISE and jacobian != "full"


def kind_of(cell, jacobian, axis_name=None) -> str:
    """Returns "full" or "diagonal". Raises: ValueError where the cell has no such Jacobian."""
    if axis_name is not None and not exact_by_unit(cell, jacobian):
        raise ValueError(f"axis_name={axis_name!r}: newton over devices needs a recurrence in {ELEMENTWISE}.")
    if jacobian == "diagonal" and cell.recurrence == "opaque":
        raise ValueError("jacobian='diagonal': nothing is known of an opaque cell's step; take 'full'.")
    if jacobian == "auto":
        return "full" if cell.recurrence == "opaque" else "diagonal"
    return jacobian


def _check_state(cell, state):
    for leaf in jax.tree.leaves(state):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise TypeError(
                f"mode='newton': {type(cell).__name__} has a state of {leaf.dtype}, not of floats."
            )


def _unrounded(params):
    """Returns the params with `Weight`s as plain arrays: good enough for a Jacobian, and differentiable
    forwards."""
    is_weight = lambda leaf: isinstance(leaf, Weight)
    return jax.tree.map(lambda w: w.array if is_weight(w) else w, params, is_leaf=is_weight)


def _of_diagonal(cell, params, s, u, e):
    """Takes a step from s and its derivative along e, where only the diagonal of each recurrent product
    counts."""

    def run(_, part, params, state, u):
        packed = products(part, params)
        v, h = packed.of_u(u), part.hidden(state)
        change = h - lax.stop_gradient(h)  # 0, with the derivative of h
        by_diagonal = lambda r, diagonal: lax.stop_gradient(r) + along(diagonal, h) * change
        r = jax.tree.map(by_diagonal, packed.forward(h, v), packed.diagonals(v))
        return part.core(params, state, u, r), None

    return jax.jvp(lambda s: run_parts(run, cell, params, s, u)[0], (s,), (e,))


def _by_unit(push, entry, reverse, axis_name):
    """Makes (linearize, product, solve) on K x K planes, one column for each state leaf: exact where the step
    is elementwise."""
    structure = jax.tree.structure(entry)
    flat = lambda tree: tuple(jax.tree.leaves(tree))

    def linearize(s):
        leaves = flat(s)
        seeds = [[jnp.full_like(x, i == j) for i, x in enumerate(leaves)] for j in range(len(leaves))]
        columns = [flat(push(s, jax.tree.unflatten(structure, seed))) for seed in seeds]
        return tuple(zip(*columns, strict=True))

    def solve(blocks, vectors, entry):
        states = run(blocks, flat(vectors), flat(entry), reverse, axis_name)
        return jax.tree.unflatten(structure, states)

    return linearize, lambda blocks, s: jax.tree.unflatten(structure, times(blocks, flat(s))), solve


def _whole(push, plan, axes):
    """Makes (linearize, product, solve) on [N, N] matrices, with a column for each component of a sequence's
    state."""
    vector = partial(_to_vectors, axes, plan.rank)

    def linearize(s):
        vectors = vector(s)
        seeds = jnp.eye(vectors.shape[-1], dtype=vectors.dtype)
        back = partial(_from_vectors, axes, plan.rank, s)
        column = lambda seed: vector(push(s, back(jnp.broadcast_to(seed, vectors.shape))))
        return jax.vmap(column, out_axes=-1)(seeds)

    def solve(blocks, vectors, entry):
        first = vector(jax.tree.map(lambda s: s[None], entry))[0]
        states = run(blocks, vector(vectors), first, plan.reverse)
        return _from_vectors(axes, plan.rank, vectors, states)

    product = lambda blocks, s: _from_vectors(axes, plan.rank, s, times(blocks, vector(s)))
    return linearize, product, solve


def _to_vectors(axes, rank, tree):
    """Reshapes leaves [W, ..., *batch, ...], batch at 1 + axis, into one array [W, *batch, N]."""

    def flat(axis, leaf):
        leaf = jnp.moveaxis(leaf, range(1 + axis, 1 + axis + rank), range(1, 1 + rank))
        return leaf.reshape(*leaf.shape[: 1 + rank], math.prod(leaf.shape[1 + rank :]))

    return jnp.concatenate(jax.tree.leaves(jax.tree.map(flat, axes, tree)), axis=-1)


def _from_vectors(axes, rank, like, vectors):
    """Reshapes vectors [W, *batch, N] into leaves such as those of `like`; undoes `_to_vectors`."""
    leaves, structure = jax.tree.flatten(like)
    found, start = [], 0
    for axis, leaf in zip(jax.tree.leaves(axes), leaves, strict=True):
        shape = jnp.moveaxis(leaf, range(1 + axis, 1 + axis + rank), range(1, 1 + rank)).shape
        size = math.prod(shape[1 + rank :])
        part = vectors[..., start : start + size].reshape(shape)
        found.append(jnp.moveaxis(part, range(1, 1 + rank), range(1 + axis, 1 + axis + rank)))
        start += size
    return jax.tree.unflatten(structure, found)


def _previous(reverse, axis_name, entry, states):
    """Returns the states before each step; a shard's first one comes from the shard before it."""
    if axis_name is not None:
        entry = entry_of(entry, last_of(states, reverse), reverse, axis_name)
    return before(entry, states, reverse)
