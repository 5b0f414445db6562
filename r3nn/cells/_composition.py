"""Defines what a composition is, as far as the code that runs cells over time has to know it."""

import copy
import dataclasses
import inspect
from collections.abc import Iterator

from r3nn.cells._base import Array, Cell, Params, State


def run_part(cell: Cell, params: Params, state: State, u) -> State:
    """Takes a part's own step. It is the `call` of `Composition.step` unless a driver passes another one."""
    return cell.step(params, state, u)


def prepare_part(cell: Cell, params: Params) -> Params:
    """Prepares a part's params. It is the `call` of `Composition.prepare` unless a driver passes another
    one."""
    return cell.prepare(params)


def takes_call(cell: Cell, method: str) -> bool:
    """Says whether a method of the cell has an argument `call`, through which it runs each of its parts."""
    return "call" in inspect.signature(getattr(type(cell), method)).parameters


def altered(cell: Cell, **functions) -> Cell:
    """Returns a copy of a part with other functions in the place of methods, such as hidden=...

    The functions may close over arrays of the step at hand, so the copy serves that step: it must not be kept
    or hashed. No `__post_init__` runs on it.
    """
    copied = copy.copy(cell)
    vars(copied).update(functions, _original=original(cell))
    return copied


def original(cell: Cell) -> Cell:
    """Returns the cell of which `altered` has made this copy, or the cell itself where it is none."""
    return vars(cell).get("_original", cell)


@dataclasses.dataclass(frozen=True)
class Composition(Cell):
    """A composition is a cell made of other cells, its *parts*: those among its fields, alone or in a tuple.

    A subclass gives what any `Cell` gives, and its `step` hands out how a part is run:

        def step(self, params, state, u, call=run_part):
            first = call(self.first, params.first, state.first, u)  # for self.first.step(params.first, ...)
            ...

    A driver, which runs the cell over time, passes a `call` of its own: it runs a part with its recurrent
    products packed, or notes its derivatives, and returns the part's new state. So the backward pass takes
    each part by its own structure, whatever the composition does between them. A `step` without `call` gives
    the same numbers more slowly: the composition is then opaque as a whole. `prepare(self, params,
    call=prepare_part)` is the same for the params of each part, which a driver may round to a lower
    precision.
    """

    @property
    def noisy(self) -> bool:
        """Says whether a part draws noise."""
        return any(part.noisy for part in parts(self))

    @property
    def hands_out(self) -> bool:
        """Says whether `step` runs its parts through an argument `call`."""
        return takes_call(self, "step")

    @property
    def in_turn(self) -> bool:
        """Says whether `step` runs all its parts through `call`, one after the other, outside of loops and
        branches (where `call` runs a part as it stands). Unless a subclass says otherwise, it does if it
        takes a `call`."""
        return self.hands_out

    def unroll_parts(self, run, params: Params, state: State, xs: Array):
        """Runs all time steps, part by part -> (final state, outputs [T, ...]), from xs [T, *batch, D].

        run(cell, params, state, xs) does so for a part. None: this cell takes its steps one by one.
        """
        return None


def parts(cell: Cell) -> Iterator[Cell]:
    """Yields the cells among a cell's fields."""
    for field in dataclasses.fields(cell):
        value = getattr(cell, field.name)
        for entry in value if isinstance(value, tuple) else (value,):
            if isinstance(entry, Cell):
                yield entry


def all_parts(cell: Cell) -> Iterator[Cell]:
    """Yields all cells inside a cell, the innermost first, and then the cell itself."""
    for part in parts(cell):
        yield from all_parts(part)
    yield cell
