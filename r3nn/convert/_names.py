"""Which cell of ours is which of another library's."""

from collections.abc import Iterable

from r3nn.cells import CELLS, Cell


def name_among(cell: Cell, names: Iterable[str], library: str) -> str:
    """The name of a cell that `library` has too. Raises: ValueError for one that it has not."""
    found = [name for name in names if CELLS[name] == cell]
    if not found:
        raise ValueError(f"{cell} is not among {library}'s cells, which are our {', '.join(names)}")
    return found[0]


def refuse_initial(name: str, params, library: str) -> None:
    """Raises ValueError for a learned initial state, which no other library's cell holds."""
    if params.initial is not None:
        raise ValueError(
            f"{name}: {library}'s cells have no place for a learned initial state (params.initial)"
        )
