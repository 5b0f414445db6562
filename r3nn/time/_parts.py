"""A composition as the structured cells that its step runs in turn.

Their derivatives are noted for all steps of a block at once (`record`). From these notes the step is then run
as if it were linear in what its parts read (`replay`): what the notes give, nothing forms again.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from r3nn._ranks import along
from r3nn.cells import Cell
from r3nn.cells._base import parts
from r3nn.time._elementwise import Derivatives, derivatives
from r3nn.time._products import packed_step, recur_of
from r3nn.time._sums import core_of, keep_products, pairs_of, restore, summed


@partial(jax.tree_util.register_dataclass, data_fields=("after", "of_core"), meta_fields=("pairs",))
@dataclasses.dataclass(frozen=True)
class Note:
    """Of one part at one step: its state behind the step, and the derivatives of its core, those of a product
    that core reads in a sum (`pairs_of`) once."""

    after: object
    of_core: Derivatives
    pairs: tuple  # of (leaf of r, leaf of u)


@dataclasses.dataclass(frozen=True)
class Part(Cell):
    """A cell of a composition whose steps are `take`'s to run: (cell, params, state, u) -> state."""

    cell: Cell
    take: Callable
    noisy = property(lambda self: self.cell.noisy)

    def project(self, params, x):
        """The cell's."""
        return self.cell.project(params, x)

    def step(self, params, state, u):
        """What `take` makes of it."""
        return self.take(self.cell, params, state, u)

    def hidden(self, state):
        """The cell's."""
        return self.cell.hidden(state)

    def output(self, params, state, x):
        """The cell's."""
        return self.cell.output(params, state, x)

    def in_size(self, params):
        """The cell's."""
        return self.cell.in_size(params)


def parted(cell: Cell) -> bool:
    """Whether a cell's step is that of structured cells, in turn."""
    if cell.recurrence != "opaque":
        return True
    in_turn = getattr(type(cell).step, "in_turn", None)
    return in_turn is not None and in_turn(cell) and all(map(parted, parts(cell)))


def stepper(cell: Cell, params, state, u, keep: bool):
    """(state, u) -> (state behind the step, what each part keeps of it), for a loop: each part's recurrent
    products are one wide one, on weights packed ahead of the loop.

    state, u: of any step. keep: whether parts keep their products (`keep_products`).
    """
    if not parted(cell):
        return lambda state, u: (cell.step(params, state, u), [])
    packed = []

    def prepare(part, params, state, u):
        packed.append((packed_step(part, params), pairs_of(part, params, state, u) if keep else None))
        return part.step(params, state, u)

    def step(state, u):
        left, kept = iter(packed), []

        def take(part, params, state, u):
            of_part, pairs = next(left)
            after, r = of_part(state, u)
            kept.append(keep_products(pairs, u, r) if keep else [])
            return after

        return with_parts(cell, take).step(params, state, u), kept

    with_parts(cell, prepare).step(params, state, u)
    return step


def record(cell: Cell, params, state, u, kept=None) -> list[Note]:
    """The notes of a step, in the order in which its parts are run; none of a cell that has no such parts.

    kept: what a `stepper` kept of it.
    """
    notes, kept = [], kept and iter(kept)

    def take(part, params, state, u):
        r, pairs = recur_of(part, params, state, u), pairs_of(part, params, state, u)
        of_part = next(kept) if kept else keep_products(pairs, u, r)
        u, r = restore(of_part, pairs, u, r)
        core = partial(core_of, part)
        of_core = derivatives(core, params, state, u, r)
        # The derivative by a product of a pair is the one by its leaf of u, which counts it already.
        once = [[None for _ in column] if j in pairs else column for j, column in enumerate(of_core.r)]
        notes.append(Note(core(params, state, u, r), of_core._replace(r=once), tuple(pairs.items())))
        return notes[-1].after

    if parted(cell):
        with_parts(cell, take).step(params, state, u)
    return notes


def replay(cell: Cell, params, state, u, notes: list[Note], cut: bool = False):
    """(state behind the step, that of each part), differentiable with respect to all but `of_core`.

    cut: what comes after a part sees it as a constant. A cotangent of each part's state then is what the
    gradients of all parameters need.
    """
    left, behind = iter(notes), []

    def take(part, params, state, u):
        note = next(left)
        u, r = summed(dict(note.pairs), u, recur_of(part, params, state, u, loop=not cut))
        after = _known(note.after, note.of_core, (params, state, u, r))
        behind.append(after)
        return note.after if cut else after

    return (with_parts(cell, take) if notes else cell).step(params, state, u), behind


def with_parts(cell, take):
    """The cell with a Part in place of each structured one."""
    if cell.recurrence != "opaque":
        return Part(cell, take)
    change = lambda value: with_parts(value, take) if isinstance(value, Cell) else value
    changed = {}
    for field in dataclasses.fields(cell):
        value = getattr(cell, field.name)
        if isinstance(value, Cell):
            changed[field.name] = change(value)
        elif isinstance(value, tuple) and any(isinstance(entry, Cell) for entry in value):
            changed[field.name] = tuple(map(change, value))
    return dataclasses.replace(cell, **changed)


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
            sums = [s if d is None else s + d * along(tangent, d) for s, d in zip(sums, column, strict=True)]
    return after, jax.tree.unflatten(jax.tree.structure(after), sums)


_known.defjvp(_known_jvp, symbolic_zeros=True)
