"""Defines group word problems: the running product of a sequence of group elements."""

import dataclasses
import functools
import itertools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from r3nn._lookup import FieldError
from r3nn.tasks._base import Batch
from r3nn.tasks._kinds import Classification

_MAX_ORDER = 720


@dataclasses.dataclass(frozen=True)
class WordProblem(Classification):
    """Which element is the product of all group elements read so far?

        x[t] ~ U(G),    y[0] = x[0],    y[t] = y[t-1] * x[t]

    `group` is "S3", "S5" (all permutations of n points), "A5" (the even ones) or "Z60" (the
    rotations, integers mod n under addition), and the like. Elements are permutations in
    lexicographic order, so 0 is the identity; (a * b)(p) = a(b(p)): the newest factor acts first.
    Inputs and targets ids int32 [B, T] in [0, |G|); every step counts.

    Example, S3 = (012, 021, 102, 120, 201, 210), element 3 sending points 0, 1, 2 to 1, 2, 0:

        x    1   2   2   3
        y    1   4   1   5        y[1](p) = x[0](x[1](p)): 0 -> 1 -> 2, 1 -> 0 -> 0, 2 -> 2 -> 1,
                                  the permutation 201, element 4

    Baseline: without the inputs the products are independent and uniform: cross-entropy ln |G|,
    accuracy 1/|G|, every step right |G|^-length.

    Source: Barrington 1989 (for non-solvable G, such as S5 and A5, the word problem is complete
    for NC1); Merrill, Petty & Sabharwal 2024, "The Illusion of State in State-Space Models".
    """

    group: str = "S3"

    metric = "sequence_accuracy"

    def __post_init__(self) -> None:
        multiplication_table(self.group)

    @property
    def vocab(self) -> int:
        """Returns |G|, the number of ids."""
        return len(multiplication_table(self.group))

    @property
    def out_size(self) -> int:
        """Returns |G|, the number of classes."""
        return self.vocab

    def example(
        self, key: jax.Array, length: jax.Array, max_length: int
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Does what `Task.example` says."""
        word = jax.random.randint(key, (max_length,), 0, self.vocab, jnp.int32)
        mask = jnp.arange(max_length, dtype=jnp.int32) < length
        return word, prefix_products(self.group, word), mask

    def latent(self, batch: Batch) -> jax.Array:
        """Returns the running product, int32 [B, T]."""
        return batch.targets

    def baseline(self, length: int) -> dict[str, float]:
        """Gives even odds for every element; see the class."""
        return {
            "cross_entropy": math.log(self.vocab),
            "accuracy": 1 / self.vocab,
            "sequence_accuracy": (1 / self.vocab) ** length,
        }


def prefix_products(group: str, word: jax.Array) -> jax.Array:
    """Computes x[0], x[0] * x[1], ... for a word of element ids, int32 [T]; O(T) work, O(log T) depth."""
    table = jnp.asarray(multiplication_table(group))
    return lax.associative_scan(lambda a, b: table[a, b], word)


@functools.cache
def multiplication_table(group: str) -> np.ndarray:
    """Returns the id of a * b at [a, b], int32 [|G|, |G|], read-only.

    Raises:
      ValueError: `group` is not S, A or Z and a number, or has more than 720 elements.
    """
    elements = _permutations(group)
    index = {element: i for i, element in enumerate(elements)}
    rows = [[index[tuple(a[p] for p in b)] for b in elements] for a in elements]
    table = np.array(rows, np.int32)
    table.setflags(write=False)
    return table


def _permutations(group: str) -> list[tuple[int, ...]]:
    """Lists the elements of a named group, in lexicographic order."""
    match = re.fullmatch(r"([SAZ])([1-9]\d{0,2})", str(group))
    family, n = match.groups() if match else ("", "0")
    n = int(n)
    order = {"": 0, "Z": n, "S": math.factorial(n), "A": math.factorial(n) // 2}[family]
    if not 2 <= order <= _MAX_ORDER:
        must = f"be S, A or Z and a number, such as S3, A5 or Z60, and have from 2 to {_MAX_ORDER} elements"
        raise FieldError("group", f"group must {must}, got {group!r}.")
    if family == "Z":
        return [tuple((p + shift) % n for p in range(n)) for shift in range(n)]
    everything = itertools.permutations(range(n))
    return [p for p in everything if family == "S" or _is_even(p)]


def _is_even(permutation: tuple[int, ...]) -> bool:
    inversions = sum(a > b for a, b in itertools.combinations(permutation, 2))
    return inversions % 2 == 0
