"""A composition as the structured cells that its step runs in turn.

Its step is run with a `call` of ours for these, its parts (`run_parts`). Their derivatives are noted for all
steps of a block at once (`record`). From these notes the step is then run as if it were linear in what its
parts read (`replay`): what the notes give, nothing forms again.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import get_opaque_trace_state

from r3nn.cells import Cell
from r3nn.cells._composition import Composition, parts
from r3nn.time.deferred.elementwise import Derivatives, derivatives
from r3nn.time.deferred.products import (
    Products,
    core_of,
    keep_products,
    packed_step,
    pairs_of,
    products,
    recur_of,
    restore,
    summed,
)


@partial(jax.tree_util.register_dataclass, data_fields=("after", "of_core"), meta_fields=("pairs",))
@dataclasses.dataclass(frozen=True)
class Note:
    """Of one part at one step: its state behind the step, and the derivatives of its core, those of a product
    that core reads in a sum (`pairs_of`) once."""

    after: object
    of_core: Derivatives
    pairs: tuple  # of (leaf of r, leaf of u)


def parted(cell: Cell) -> bool:
    """Whether a cell's step is that of structured cells, in turn."""
    if isinstance(cell, Composition):
        return cell.in_turn and all(map(parted, parts(cell)))
    return cell.recurrence != "opaque"


def run_parts(run: Callable, cell: Cell, params, state, u) -> tuple:
    """A step -> (the state behind it, what each of the cell's structured parts left).

    run(number, part, params, state, u) -> (the part's state behind the step, what it leaves). number: how
    many parts were run before it. By its number a part is known from one run to the next, since `step` is
    the same Python code every time, on a cell that never changes, and so runs the same parts in the same
    order. What is opaque, or run inside a loop or a branch (another trace of JAX's), is run as it stands,
    and has no number.
    """
    left, trace = [], get_opaque_trace_state()

    def call(part, params, state, u):
        if not parted(part) or get_opaque_trace_state() != trace:
            return part.step(params, state, u)
        if isinstance(part, Composition):
            return part.step(params, state, u, call=call)
        state, of_part = run(len(left), part, params, state, u)
        left.append(of_part)
        return state

    return call(cell, params, state, u), left


class Packed(NamedTuple):
    """What a loop wants of a part ahead: the params it has, its products on packed weights, `pairs_of` it."""

    params: object
    products: Products | None
    pairs: dict | None


def stepper(cell: Cell, params, state, u, keep: bool):
    """(state, u) -> (state behind the step, what each part keeps of it), for a loop: each part's recurrent
    products are one wide one, on weights packed ahead of the loop.

    state, u: of any step. keep: whether parts keep their products (`keep_products`).
    """
    if not parted(cell):
        return lambda state, u: (cell.step(params, state, u), [])

    def pack(_, part, params, state, u):
        pairs = pairs_of(part, params, state, u) if keep else None
        ahead = Packed(params, products(part, params), pairs)
        return part.step(params, state, u), ahead

    _, packed = run_parts(pack, cell, params, state, u)

    def run(number, part, params, state, u):
        ahead = packed[number]
        # Params that the composition makes anew at each step, perhaps of its state, are packed there.
        made = ahead.products if params is ahead.params else products(part, params)
        after, r = packed_step(made, part, params, state, u)
        return after, keep_products(ahead.pairs, u, r) if keep else []

    return lambda state, u: run_parts(run, cell, params, state, u)


def record(cell: Cell, params, state, u, kept=None) -> list[Note]:
    """The notes of a step, one for each of its parts; none of a cell that has no such parts.

    kept: what a `stepper` kept of it.
    """

    def note(number, part, params, state, u):
        r, pairs = recur_of(part, params, state, u), pairs_of(part, params, state, u)
        of_part = kept[number] if kept else keep_products(pairs, u, r)
        u, r = restore(of_part, pairs, u, r)
        core = partial(core_of, part)
        of_core = derivatives(core, params, state, u, r)
        # The derivative by a product of a pair is the one by its leaf of u, which counts it already.
        once = [[None for _ in column] if j in pairs else column for j, column in enumerate(of_core.r)]
        after = core(params, state, u, r)
        return after, Note(after, of_core._replace(r=once), tuple(pairs.items()))

    return run_parts(note, cell, params, state, u)[1] if parted(cell) else []


def replay(cell: Cell, params, state, u, notes: list[Note], cut: bool = False):
    """(state behind the step, that of each part), differentiable with respect to all but `of_core`.

    cut: what comes after a part sees it as a constant. A cotangent of each part's state then is what the
    gradients of all parameters need.
    """

    def known(number, part, params, state, u):
        note = notes[number]
        u, r = summed(dict(note.pairs), u, recur_of(part, params, state, u, loop=not cut))
        after = _known(note.after, note.of_core, (params, state, u, r))
        return note.after if cut else after, after

    return run_parts(known, cell, params, state, u)


@jax.custom_jvp
def _known(after, of_core, inputs):
    """core(*inputs), which is `after`.

    To be differentiated with respect to some of its arguments, held apart from what `after` was made of: by a
    `jax.vjp` of its own. From outside of that one, it is a function of `after` and `of_core` alone.
    """
    return after


def _known_jvp(primals, tangents):
    """The sum over what core reads of derivative ⊙ tangent."""
    after, of_core, _ = primals
    d_after, _, d_inputs = tangents
    is_zero = lambda leaf: isinstance(leaf, SymbolicZero)
    flat = partial(jax.tree.leaves, is_leaf=is_zero)
    columns = [column for part in of_core for column in part]
    sums = [jnp.zeros_like(a) if is_zero(d) else d for a, d in zip(*map(flat, (after, d_after)), strict=True)]
    for column, tangent in zip(columns, flat(d_inputs), strict=True):
        if not is_zero(tangent):
            tangent = lax.broadcast_to_rank(tangent, sums[0].ndim)  # a parameter's is [H]
            sums = [s if d is None else s + d * tangent for s, d in zip(sums, column, strict=True)]
    return after, jax.tree.unflatten(jax.tree.structure(after), sums)


_known.defjvp(_known_jvp, symbolic_zeros=True)
