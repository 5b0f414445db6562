"""The step of a composition, taken apart into the structured cells that it runs in turn: its parts.

`run_parts` runs the composition's own step, with a `call` that treats each part as its caller wants. There
are three such callers. `stepper` is the forward: it steps on packed weights. `record` runs all steps of a
block at once and writes down, for each part, the state behind it and the derivatives of its core there: a
`Note`. `replay` runs the step again from these notes. It computes no core a second time, and its derivative
is the one noted, so that the backward loop contains no gate. README.md, section 7, says why.

A single structured cell is the case of one part. Arrays are [N, H], with time and batch merged into N, in
`record` and in the `replay` behind the loop; they are [*batch, H], one step, everywhere else.
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
    packed_step,
    pairs_of,
    products,
    recur_of,
    restore,
    save_products,
    summed,
)


@partial(jax.tree_util.register_dataclass, data_fields=("after", "of_core"), meta_fields=("pairs",))
@dataclasses.dataclass(frozen=True)
class Note:
    """What is known of one part at one step.

    after: the part's state behind the step.
    of_core: the derivatives of its core. Where core reads a recurrent product in a sum u + r alone, the
      derivative by r is the one by u, and only that one is held.
    pairs: these sums, as (number of the leaf of r, number of the leaf of u).
    """

    after: object
    of_core: Derivatives
    pairs: tuple


def parted(cell: Cell) -> bool:
    """Whether a cell is structured, or a composition whose step runs nothing but such cells in turn."""
    if isinstance(cell, Composition):
        return cell.in_turn and all(map(parted, parts(cell)))
    return cell.recurrence != "opaque" and type(cell).step is Cell.step


def run_parts(run: Callable, cell: Cell, params, state, u) -> tuple:
    """Runs a step -> (the state behind it, a list of what `run` returned for each part).

    run(number, part, params, state, u) -> (the part's state behind the step, anything). number: how many
    parts ran before this one. The number identifies a part from one call of `run_parts` to the next: `step`
    is the same Python code every time, on a cell that never changes, and so runs the same parts in the same
    order. A part that is opaque, or that runs inside a loop or a branch (which JAX traces apart), is run as
    it stands and has no number.
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


def step_by(run, cell, params, state, u):
    """Takes the cell's step, in which run(part, params, state, u) -> state takes that of each of its
    parts."""
    if cell.recurrence != "opaque" or not (isinstance(cell, Composition) and cell.hands_out):
        return run(cell, params, state, u)
    return cell.step(params, state, u, call=partial(step_by, run))


class Packed(NamedTuple):
    """What a loop over time needs of a part, made ahead of the loop."""

    params: object  # those that were packed
    products: Products | None  # on packed weights; None where the part has none
    pairs: dict | None  # of `pairs_of`, where products are saved


def stepper(cell: Cell, params, state, u, save: bool):
    """Makes the step that a loop over time runs: (state, u) -> (state behind the step, what each part saves).

    Each part's recurrent products are one wide product, on weights that are packed here, ahead of the loop.
    state, u: those of any one step, [*batch, H]. save: whether parts save their products (`save_products`).
    """
    if not parted(cell):
        return lambda state, u: (cell.step(params, state, u), [])

    def pack(_, part, params, state, u):
        pairs = pairs_of(part, params, state, u) if save else None
        ahead = Packed(params, products(part, params), pairs)
        return part.step(params, state, u), ahead

    _, packed = run_parts(pack, cell, params, state, u)

    def run(number, part, params, state, u):
        ahead = packed[number]
        # Params that a composition makes anew at each step, perhaps from its state, are packed here.
        own = ahead.products if params is ahead.params else products(part, params)
        after, r = packed_step(own, part, params, state, u)
        return after, save_products(ahead.pairs, u, r) if save else []

    return lambda state, u: run_parts(run, cell, params, state, u)


def record(cell: Cell, params, state, u, saved=None) -> list[Note]:
    """Runs all steps of a block at once, from their start states, and notes each part: [N, H].

    saved: what the `stepper` saved, an entry for each part; None: products are formed again.
    Returns: a `Note` for each part; no note where the cell is opaque.
    """

    def note(number, part, params, state, u):
        r, pairs = recur_of(part, params, state, u), pairs_of(part, params, state, u)
        of_part = saved[number] if saved else save_products(pairs, u, r)
        u, r = restore(of_part, pairs, u, r)
        core = partial(core_of, part)
        of_core = derivatives(core, params, state, u, r)
        # `restore` has put the sum u + r into u: its derivative is that by u, and there is none left by r.
        once = [[None for _ in column] if j in pairs else column for j, column in enumerate(of_core.r)]
        after = core(params, state, u, r)
        return after, Note(after, of_core._replace(r=once), tuple(pairs.items()))

    return run_parts(note, cell, params, state, u)[1] if parted(cell) else []


def replay(cell: Cell, params, state, u, notes: list[Note], cut: bool = False):
    """Runs the step from its notes -> (state behind the step, the state behind each part).

    It can be differentiated with respect to params, state, u, and each note's `after`.
    cut: whether what comes after a part in the step sees the part's state as a constant. So it is behind the
      loop, where the cotangent λ of each part's state is known already and has counted these paths: the
      gradient of a part's parameters then needs that part's step alone.
    """

    def known(number, part, params, state, u):
        note = notes[number]
        u, r = summed(dict(note.pairs), u, recur_of(part, params, state, u, loop=not cut))
        after = _known(note.after, note.of_core, (params, state, u, r))
        return note.after if cut else after, after

    return run_parts(known, cell, params, state, u)


@jax.custom_jvp
def _known(after, of_core, inputs):
    """core(*inputs), of which the value `after` and the derivatives `of_core` are known.

    `inputs` only carry tangents: d_after = Σ derivative ⊙ d_input, by `_known_jvp`. A `jax.vjp` with respect
    to the inputs therefore has residuals `of_core` and nothing else of core.
    """
    return after


def _known_jvp(primals, tangents):
    """d_after = Σ derivative ⊙ tangent, over all leaves that core reads; [..., H] each."""
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
