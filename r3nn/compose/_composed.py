"""What all compositions have in common."""

import dataclasses
from collections.abc import Iterator

import jax

from r3nn.cells import Cell
from r3nn.cells._base import parts


@dataclasses.dataclass(frozen=True)
class Composed(Cell):
    """A cell made of the cells among its fields."""

    rerun = False

    @property
    def noisy(self) -> bool:
        """Whether a part draws noise."""
        return any(part.noisy for part in parts(self))


def all_parts(cell: Cell) -> Iterator[Cell]:
    """A cell and all cells in it."""
    yield cell
    for entry in parts(cell):
        yield from all_parts(entry)


def take(tree, index):
    """Each leaf's entry, or entries, at this index of its first axis."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def dtype_of(cell: Cell, params):
    """The dtype of a cell's state: that of its params, and of what a composition adds to them."""
    return jax.tree.leaves(jax.eval_shape(cell.initial_state, params))[0].dtype


def output_shape(cell: Cell, params, state, batch_shape, output=None) -> jax.ShapeDtypeStruct:
    """Of what a cell puts out (or another method of its) in this state, from params not yet prepared."""
    dtype = jax.tree.leaves(state)[0].dtype
    x = jax.ShapeDtypeStruct((*batch_shape, cell.in_size(params)), dtype)
    call = lambda p, s, x: (output or cell.output)(cell.prepare(p), s, x)
    return jax.eval_shape(call, params, state, x)
