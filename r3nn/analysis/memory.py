"""Estimates how many bytes a program holds at its fullest, from its jaxpr: nothing is compiled or run.

An array lives from the equation that makes it to the last one that reads it. XLA writes what is elementwise
into what reads it: such a result takes no memory, and what it is made of lives as long as it. On a CPU this
comes to between half and twice of what XLA reports once it has compiled the program.
"""

import collections
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
from jax.extend.core import Jaxpr, Literal, Var

from r3nn._jaxprs import CALLS, equations

FUSED = frozenset(
    """
    abs add and broadcast_in_dim bitcast_convert_type cbrt ceil clamp convert_element_type copy copy_p cos div
    eq erf erf_inv exp exp2 expand_dims expm1 floor ge gt integer_pow iota is_finite le log log1p logistic lt
    max min mul ne neg nextafter not or pow random_unwrap random_wrap rem reshape round rsqrt select_n
    shift_left shift_right_arithmetic shift_right_logical sign sin slice sqrt square squeeze stop_gradient sub
    tan tanh transpose xor
    """.split()
)
#: whose results are the same bytes in another shape
VIEWS = frozenset(("expand_dims", "reshape", "squeeze"))


def live_bytes(function: Callable, *args: Any) -> int:
    """Returns the most bytes that one call of `function` holds at a time, those of its arguments included.

    Args:
      function: anything that `jax.make_jaxpr` can trace; of `shard_map`, one device's share counts.
      args: its arguments; `jax.ShapeDtypeStruct`s will do.
    """
    jaxpr = jax.make_jaxpr(function)(*args).jaxpr
    return sum(map(_bytes, (*jaxpr.invars, *jaxpr.constvars))) + _most(jaxpr)


def _most(jaxpr: Jaxpr, results: Iterable[Var] | None = None) -> int:
    """Returns the most bytes that the arrays made in a jaxpr take at a time.

    results: the outputs that are read, by default all.
    """
    results = {*_variables(jaxpr.outvars if results is None else results)}
    last = _last_reads(jaxpr, results)
    live = most = 0
    ending = collections.Counter()  # number of an equation -> bytes that no later one reads
    for number, (equation, inner) in enumerate(equations(jaxpr)):
        used = [made for made in equation.outvars if made in last]
        if not used:
            continue
        name = equation.primitive.name
        kept = [made for made in used if name not in FUSED or (made in results and name not in VIEWS)]
        before, live = live, live + sum(map(_bytes, kept))
        if name in CALLS:
            read = [made in last for made in equation.outvars]
            inside = max((_most(one, itertools.compress(one.outvars, read)) for one in inner), default=0)
            at_once = max(before + inside, live)
        else:
            at_once = live + max(map(_most, inner), default=0)
        most = max(most, at_once)
        for made in kept:
            ending[last[made]] += _bytes(made)
        live -= ending[number]
    return most


def _last_reads(jaxpr: Jaxpr, results: set[Var]) -> dict[Var, int]:
    """Returns by variable the number of the last equation that reads it, or reads what is fused with it. For
    a result that is the number of equations. Variables that nothing reads are left out."""
    end = len(jaxpr.eqns)
    last = dict.fromkeys(results, end)
    for number, equation in reversed([*enumerate(jaxpr.eqns)]):
        reads = [last[made] for made in equation.outvars if made in last]
        if not reads:
            continue
        name, at = equation.primitive.name, max(reads)
        if name not in FUSED or (at == end and name not in VIEWS):
            at = number
        for read in _variables(equation.invars):
            last[read] = max(last.get(read, number), at)
    return last


def _variables(atoms) -> Iterator[Var]:
    return (atom for atom in atoms if not isinstance(atom, Literal))


def _bytes(variable: Var) -> int:
    aval = variable.aval
    return math.prod(aval.shape) * aval.dtype.itemsize if hasattr(aval, "shape") else 0
