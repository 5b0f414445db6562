"""Says which cell of ours is which of another library's."""

import dataclasses
from collections.abc import Callable, Iterable

import jax.numpy as jnp

from r3nn.cells import CELLS, Cell, GatedCell
from r3nn.cells._activations import shown


def name_among(cell: Cell, names: Iterable[str], library: str) -> str:
    """Returns the name of a cell that `library` has too, whatever its activation. Raises: ValueError for
    others."""
    found = [name for name in names if is_named(cell, name)]
    if not found:
        raise ValueError(f"{cell} is not among {library}'s cells, which are our {', '.join(names)}.")
    return found[0]


def is_named(cell: Cell, name: str) -> bool:
    """Says whether the cell is that row of CELLS (whose activation is tanh), apart from its activation."""
    if isinstance(cell, GatedCell) and cell.activation is not None:
        cell = dataclasses.replace(cell, activation=jnp.tanh)
    return cell == CELLS[name]


def refuse_initial(name: str, params, library: str) -> None:
    """Raises ValueError for a learned initial state, which no other library's cell holds."""
    if params.initial is not None:
        raise ValueError(
            f"{name}: {library}'s cells have no place for a learned initial state (params.initial)."
        )


def check_said(name: str, cell: Cell, activation: Callable) -> None:
    """Raises ValueError unless the caller says which activation the cell has, as its arrays cannot."""
    if cell.activation is not activation:
        own, given = shown(cell.activation), shown(activation)
        raise ValueError(
            f"{name}: activation={given}, but the cell's is {own}, which arrays cannot say: "
            "give that one here, and load them into a layer that has it."
        )
