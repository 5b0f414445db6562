"""Reads what a program costs off its jaxpr: nothing is compiled or run."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Jaxpr, JaxprEqn

from r3nn._jaxprs import equations


def matmul_flops(function: Callable, *args: Any) -> int:
    """Counts the floating-point operations of all matrix products in one call of `function`.

    A product of [m, k] and [k, n] counts 2·m·k·n, the body of a scan as often as it runs, the dearest branch
    of a conditional. A `while` loop counts once: its jaxpr does not say how often it runs.

    Args:
      function: anything that `jax.make_jaxpr` can trace.
      args: its arguments; `jax.ShapeDtypeStruct`s will do.
    """
    return _flops(jax.make_jaxpr(function)(*args).jaxpr)


def _flops(jaxpr: Jaxpr) -> int:
    return sum(_equation(equation, inner) for equation, inner in equations(jaxpr))


def _equation(equation: JaxprEqn, called: list[Jaxpr]) -> int:
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        left, out = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
        return 2 * math.prod(out) * math.prod(left[axis] for axis in contracted)
    inner = [*map(_flops, called)]
    if equation.primitive.name == "cond":
        return max(inner)
    return sum(inner) * equation.params.get("length", 1) if equation.primitive.name == "scan" else sum(inner)
