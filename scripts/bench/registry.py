"""Lists the cases, says what each has to reach, and how they are run."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

CASES: dict[str, "Case"] = {}
SHARE = "share of the matmul floor"  # the time of the matrix products alone over ours


class Setup(NamedTuple):
    """Says how to measure.

    repeats: timed runs of each contender at most. seconds: after which a row stops earlier, but not before
    three. limit: no dimension of a shape above it (to try the program out). peers: libraries to compare with.
    """

    repeats: int = 15
    seconds: float = 2.0
    limit: int | None = None
    peers: tuple[str, ...] = ("flax",)

    def cut(self, *sizes: int) -> tuple[int, ...]:
        """Returns the sizes, none above the limit."""
        return sizes if self.limit is None else tuple(min(size, self.limit) for size in sizes)


class Bar(NamedTuple):
    """Says what the ratios of a case to one rival should reach: their geometric mean, and the least one."""

    mean: float | None = None
    least: float | None = None


class Row(NamedTuple):
    """Holds one line of the table.

    ratios: by rival, above 1 where r3nn is the better. figures: further numbers, by name.
    contenders: what was timed, r3nn first, each with ms, compile_s, temp_bytes, total_bytes, state (dtype).
    """

    title: str
    ratios: dict[str, float]
    figures: dict[str, float] = {}
    contenders: list[dict[str, Any]] = []


class Case(NamedTuple):
    """Holds how a case is run.

    rows(setup): gives the rows, one by one. place: "together" with other cases in one process, which has one
    device; "cores": in a process with one device per core; "apart": in one of its own, for its memory.
    """

    rows: Callable[[Setup], Iterator[Row]]
    bars: dict[str, Bar]
    place: str
    default: bool


def case(name: str = "", place: str = "together", default: bool = True, bars: dict[str, Bar] | None = None):
    """Registers a generator of rows, under the function's name unless another is given."""

    def register(function):
        CASES[name or function.__name__] = Case(function, bars or {}, place, default)
        return function

    return register
