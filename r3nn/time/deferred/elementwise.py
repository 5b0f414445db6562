"""Computes derivatives of an elementwise `core`: one number per entry, for each pair of an input and an
output."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from r3nn._jaxprs import CALLS, equations
from r3nn.time.arrays.trees import join, split


class Derivatives(NamedTuple):
    """Holds, for each leaf of an input of core, ∂ out_k / ∂ in for each state leaf k out; None where it is 0.

    Each is of the shape of the state's leaves. params: of the leaves that core reads; None for others.
    """

    params: list
    state: list
    u: list
    r: list


def derivatives(core, params, state, u, r) -> Derivatives:
    """Differentiates core(params, state, u, r) -> state: exact, by one VJP with ones for each leaf out.

    Raises: ValueError where core is not elementwise over batch and units.
    """
    parts = (params, state, u, r)
    depends = elementwise_dependence(core, *parts)
    used = set().union(*depends)
    ins, structure = jax.tree.flatten(parts)
    shape = jax.tree.leaves(state)[0].shape
    counts = [len(jax.tree.leaves(part)) for part in parts]
    # What core broadcasts, such as a parameter [H], is repeated: each entry has a derivative of its own.
    ins = [jnp.broadcast_to(x, shape) if j in used else x for j, x in enumerate(ins)]
    chosen, others = split(ins)
    out, transpose = jax.vjp(
        lambda chosen: core(*jax.tree.unflatten(structure, join(chosen, others))), chosen
    )
    outs, structure_out = jax.tree.flatten(out)
    columns = [[] for _ in ins]
    for k, reached in enumerate(depends):
        seeds = [jnp.full_like(leaf, i == k) for i, leaf in enumerate(outs)]
        (row,) = transpose(jax.tree.unflatten(structure_out, seeds))
        for j, column in enumerate(columns):
            column.append(row[j] if j in reached else None)
    take = iter(columns)
    return Derivatives(*([next(take) for _ in range(count)] for count in counts))


#: how the names of operations begin that let one entry of an array reach another
MIXING = ("argm", "concat", "conv_", "cum", "dot_", "dynamic", "fft", "gather", "reduce_", "rev", "scatter")
MIXING += ("pad", "select_and", "slice", "sort", "split", "top_k", "transpose")


def _check_elementwise(jaxpr):
    for equation, called in equations(jaxpr):
        name = equation.primitive.name
        if name.startswith(MIXING) and name != "reduce_precision":
            raise ValueError(
                f"core must be elementwise over batch and units, but uses {name}: give the cell `step` "
                "instead and recurrence = 'opaque', or run it with mode='plain'."
            )
        for inner in called:
            _check_elementwise(inner)


def elementwise_dependence(fn, *args) -> list[set[int]]:
    """Does as `dependence`, for an elementwise function. Raises: ValueError for one that is not."""
    jaxpr = jax.make_jaxpr(fn)(*args).jaxpr
    _check_elementwise(jaxpr)
    return dependence(jaxpr)


def dependence(jaxpr) -> list[set[int]]:
    """Lists, for each output of a jaxpr, the numbers of the inputs that it can depend on."""
    reached = {var: {j} for j, var in enumerate(jaxpr.invars)}
    look_up = lambda var: set() if isinstance(var, Literal) else reached.get(var, set())
    for equation, inner in equations(jaxpr):
        sources = list(map(look_up, equation.invars))
        if equation.primitive.name in CALLS and len(inner) == 1 and len(inner[0].invars) == len(sources):
            within = dependence(inner[0])
        else:
            within = [range(len(sources))] * len(equation.outvars)
        for var, numbers in zip(equation.outvars, within, strict=True):
            reached[var] = set().union(*(sources[j] for j in numbers))
    return [look_up(var) for var in jaxpr.outvars]
