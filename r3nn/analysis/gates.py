"""Reads the gates of a cell, and tries what happens when they are other than they are.

A gate is what a logistic function gives inside a step. It is found in the step's jaxpr, so that no cell has
to say where its gates are, not even one of one's own: the jaxpr is evaluated operation by operation, and what
a logistic function gives is noted, under the name of that part of the projected input which it depends on.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from r3nn._jaxprs import CALLS
from r3nn.cells import Cell
from r3nn.time.deferred.parts import step_by

Array = jax.Array


class Gates(NamedTuple):
    """Holds the gates of one part of a cell, such as a level of depth.

    Attributes:
      cell: the part.
      values: by name, each [T, B, H], in (0, 1). Empty: its step has no logistic function.
    """

    cell: Cell
    values: dict[str, Array]


def gates(
    cell: Cell, params: Any, xs: Array, change: Callable[[str, Array], Array] | None = None, state: Any = None
) -> tuple[Array, list[Gates]]:
    """Runs a cell or a composition over time -> (its outputs [T, B, ...], the gates of each part, in turn).

    change: (name, value) -> what stands in the place of a gate's value, from there on. With
    lambda name, z: jnp.round(z) the outputs are those of a network whose gates are open or shut: whether a
    trained gate is binary, as the article calls it, is what this does to the loss.

    xs: [T, B, D]. state: before the first step; None: the initial one.
    """
    state = cell.initial_state(params, (xs.shape[1],)) if state is None else state
    ready, cells = cell.prepare(params), []

    def body(state, x):
        found = []

        def run(part, params, state, u):
            after, values = _step(part, params, state, u, change or (lambda name, value: value))
            found.append((part, values))
            return after

        with jax.disable_jit():  # a loop over parts runs each of them by itself
            state = step_by(run, cell, ready, state, cell.project(ready, x))
        cells[:] = [part for part, _ in found]
        return state, (cell.output(ready, state, x), [values for _, values in found])

    _, (ys, values) = lax.scan(body, state, xs)
    return ys, [Gates(part, each) for part, each in zip(cells, values, strict=True)]


def _step(part: Cell, params: Any, state: Any, u: Any, change: Callable) -> tuple[Any, dict[str, Array]]:
    """Takes a step of a part -> (the state behind it, its gates by name)."""
    inputs, tree = jax.tree.flatten((state, u))
    step = lambda inputs: part.step(params, *jax.tree.unflatten(tree, inputs))
    with jax.disable_jit(False):
        jaxpr, shapes = jax.make_jaxpr(step, return_shape=True)(inputs)
    last = lambda path: jax.tree_util.keystr(path[-1:], simple=True)
    names = [last(path) for path, _ in jax.tree.leaves_with_path(u)]
    known = getattr(part, "gates", None)
    known = known._fields if known else ()
    values: dict[str, Array] = {}

    def note(sources: frozenset[str], value: Array) -> Array:
        sources = (sources & {*known}) or sources
        base = name = next((name or "u" for name in reversed(names) if name in sources), "state")
        number = 1
        while name in values:
            number += 1
            name = f"{base} {number}"
        values[name] = change(name, value)
        return values[name]

    sources = [frozenset()] * (len(inputs) - len(names)) + [frozenset([name]) for name in names]
    outputs = _evaluate(jaxpr.jaxpr, jaxpr.consts, inputs, sources, note)[0]
    return jax.tree.unflatten(jax.tree.structure(shapes), outputs), values


def _evaluate(jaxpr: Jaxpr, consts: list, inputs: list, sources: list, note: Callable) -> tuple[list, list]:
    """Evaluates a jaxpr -> (its results, the names that each depends on); what logistic functions give goes
    through `note`, (names, value) -> value."""
    value = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *inputs), strict=True))
    source = dict(zip(jaxpr.invars, sources, strict=True))
    read = lambda var: var.val if isinstance(var, Literal) else value[var]
    of = lambda var: frozenset() if isinstance(var, Literal) else source.get(var, frozenset())
    for equation in jaxpr.eqns:
        given, together = list(map(read, equation.invars)), frozenset().union(*map(of, equation.invars))
        name = equation.primitive.name
        inner = next((p for p in equation.params.values() if isinstance(p, ClosedJaxpr)), None)
        if name in CALLS and inner is not None:
            results, from_where = _evaluate(
                inner.jaxpr, inner.consts, given, [*map(of, equation.invars)], note
            )
        else:
            results = _bind(equation, given)
            if name == "logistic":
                results = [note(together, results[0])]
            from_where = [together] * len(results)
        value.update(zip(equation.outvars, results, strict=True))
        source.update(zip(equation.outvars, from_where, strict=True))
    return [read(var) for var in jaxpr.outvars], [of(var) for var in jaxpr.outvars]


def _bind(equation, given: list) -> list:
    """Carries out an operation -> its results."""
    results = equation.primitive.bind(*given, **equation.primitive.get_bind_params(equation.params))
    return results if equation.primitive.multiple_results else [results]
