"""Finds which variables of a Flax cell its step changes."""

import jax

CALLS = ("jit", "pjit", "checkpoint", "remat", "remat2")


def changed(step, variables, *inputs) -> list[str]:
    """Lists the names of the leaves that step(variables, *inputs) -> variables returns as others than it
    took.

    The step is traced, not run; inputs may be shapes. A leaf that only passes through, also through `jax.jit`
    or `jax.checkpoint`, is unchanged.
    """
    program, shapes = jax.make_jaxpr(step, return_shape=True)(variables, *inputs)
    same = _sources(program.jaxpr)
    before = dict(zip(_names(variables), map(id, program.jaxpr.invars), strict=False))
    after = dict(zip(_names(shapes), (same.get(id(out)) for out in program.jaxpr.outvars), strict=True))
    return sorted(name for name in before | after if before.get(name) != after.get(name))


def _names(tree) -> list[str]:
    paths = (path for path, _ in jax.tree_util.tree_leaves_with_path(tree))
    return [jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value") for path in paths]


def _sources(jaxpr) -> dict[int, int]:
    """Maps each value of a program that is one of its arguments to that argument; both by id."""
    same = {id(var): id(var) for var in jaxpr.invars}
    for equation in jaxpr.eqns:
        if equation.primitive.name not in CALLS:
            continue
        inner = equation.params["jaxpr"]
        inner = getattr(inner, "jaxpr", inner)
        inside, outer = _sources(inner), [same.get(id(var)) for var in equation.invars]
        given = dict(zip(map(id, inner.invars), outer, strict=True))
        for out, result in zip(equation.outvars, inner.outvars, strict=True):
            same[id(out)] = given.get(inside.get(id(result)))
    return same
