"""Defines group word problems: the running product of a sequence of group elements."""

import dataclasses
import functools
import hashlib
import itertools
import math
import re

import numpy as np

from r3nn._lookup import FieldError, check_int
from r3nn.tasks._base import Automaton
from r3nn.tasks._tracking import Tracking

_MAX_ORDER = 720


@dataclasses.dataclass(frozen=True)
class WordProblem(Tracking):
    """Which element is the product of all group elements read so far?

        x[t] ~ U(G),    y[0] = x[0],    y[t] = y[t-1] * x[t]

    `group` is "S3", "S5" (all permutations of n points), "A5" (the even ones) or "Z60" (the
    rotations, integers mod n under addition), and the like, or a product of such, "A4xZ5". Elements are
    permutations in lexicographic order, so 0 is the identity; (a * b)(p) = a(b(p)): the newest factor acts
    first. An element (a, b) of a product is a |B| + b.

    `generators=n` draws the factors from n elements instead, which generate the group: the published rows
    (A5, n) and (S5, n). Theirs are not public; ours are the first n elements, the identity left out, in the
    order of a hash of their numbers, the hash being the first under which they generate the group. Their ids
    are 0 .. n - 1.

    Inputs ids int32 [B, T], targets int32 [B, T] in [0, |G|); every step counts, or with `labels="last"` the
    last. `words="mixed"` adds periodic, sparse and repeated words to the random ones.

    Example, S3 = (012, 021, 102, 120, 201, 210), element 3 sending points 0, 1, 2 to 1, 2, 0:

        x    1   2   2   3
        y    1   4   1   5        y[1](p) = x[0](x[1](p)): 0 -> 1 -> 2, 1 -> 0 -> 0, 2 -> 2 -> 1,
                                  the permutation 201, element 4

    Baseline: without the inputs the products are independent and uniform: cross-entropy ln |G|,
    accuracy 1/|G|, every step right |G|^-length. With few generators it is computed from the walk.

    Source: Barrington 1989 (for non-solvable G, such as S5 and A5, the word problem is complete
    for NC1); Merrill, Petty & Sabharwal 2024, "The Illusion of State in State-Space Models"; by generators
    Terzic et al. 2025, "Structured Sparse Transition Matrices to Enable State Tracking in State-Space
    Models".
    """

    group: str = "S3"
    labels: str = dataclasses.field(default="every", kw_only=True)
    generators: int = dataclasses.field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        order = len(multiplication_table(self.group))
        check_int("generators", self.generators, 0, order - 1)
        self.automaton()

    @property
    def metric(self) -> str:
        """Names sequence_accuracy where every step counts."""
        return "sequence_accuracy" if self.labels == "every" else "accuracy"

    def automaton(self) -> Automaton:
        """Returns the machine whose states are the elements, which are their own outputs."""
        return _machine(self.group, self.generators)


@functools.cache
def _machine(group: str, generators: int) -> Automaton:
    table = multiplication_table(group)
    factors = generating(group, generators) if generators else np.arange(len(table))
    return Automaton(table[:, factors], np.arange(len(table), dtype=np.int32), 0)


@functools.cache
def generating(group: str, count: int) -> np.ndarray:
    """Returns the elements by which the group is generated, int [count]; see the class.

    Raises:
      FieldError: no `count` elements generate the group, as far as 1,000 drawings show.
    """
    table = multiplication_table(group)
    for number in range(1000):
        hashed = lambda element, number=number: hashlib.sha256(f"{number} {element}".encode()).digest()
        drawn = np.array(sorted(range(1, len(table)), key=hashed)[:count])
        reached, before = {0}, set()
        while reached != before:
            before = reached
            reached = before | set(table[np.ix_(sorted(before), drawn)].ravel().tolist())
        if len(reached) == len(table):
            return drawn
    raise FieldError("generators", f"generators={count}: no so many elements generate {group}, it seems.")


@functools.cache
def multiplication_table(group: str) -> np.ndarray:
    """Returns the id of a * b at [a, b], int32 [|G|, |G|], read-only.

    Raises:
      ValueError: `group` is not S, A or Z and a number, or a product of such, or has more than 720 elements.
    """
    parts = [_permutations(part, group) for part in str(group).split("x")]
    if math.prod(map(len, parts)) > _MAX_ORDER:
        raise _unknown(group)
    table = np.zeros((1, 1), np.int64)
    for elements in parts:
        index = {element: i for i, element in enumerate(elements)}
        part = np.array([[index[tuple(a[p] for p in b)] for b in elements] for a in elements])
        size, whole = len(part), len(table) * len(part)
        table = (table[:, None, :, None] * size + part[None, :, None, :]).reshape(whole, whole)
    table = table.astype(np.int32)
    table.setflags(write=False)
    return table


def _permutations(name: str, group: str) -> list[tuple[int, ...]]:
    """Lists the elements of a named group, in lexicographic order."""
    match = re.fullmatch(r"([SAZ])([1-9]\d{0,2})", name)
    family, n = match.groups() if match else ("", "0")
    n = int(n)
    order = {"": 0, "Z": n, "S": math.factorial(n), "A": math.factorial(n) // 2}[family]
    if not 2 <= order <= _MAX_ORDER:
        raise _unknown(group)
    if family == "Z":
        return [tuple((p + shift) % n for p in range(n)) for shift in range(n)]
    everything = itertools.permutations(range(n))
    return [p for p in everything if family == "S" or _is_even(p)]


def _unknown(group: str) -> FieldError:
    what = "S, A or Z and a number, such as S3, A5 or Z60, or a product of such, A4xZ5"
    must = f"must be {what}, and have from 2 to {_MAX_ORDER} elements"
    return FieldError("group", f"group {must}, got {group!r}.")


def _is_even(permutation: tuple[int, ...]) -> bool:
    inversions = sum(a > b for a, b in itertools.combinations(permutation, 2))
    return inversions % 2 == 0
