"""Answers what is asked of jaxprs in more than one place."""

from collections.abc import Iterable

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

#: operations that call the one jaxpr in them, argument by argument: their results are that jaxpr's
CALLS = frozenset(
    """
    checkpoint closed_call core_call custom_jvp_call custom_vjp_call custom_vjp_call_jaxpr jit pjit remat
    remat2 shard_map
    """.split()
)


def equations(jaxpr: Jaxpr) -> list[tuple[JaxprEqn, list[Jaxpr]]]:
    """Lists the operations of a jaxpr, each with the jaxprs that it calls, such as the body of a `jit` or a
    scan."""
    return [(equation, _among(equation.params.values())) for equation in jaxpr.eqns]


def _among(values: Iterable) -> list[Jaxpr]:
    found = []
    for value in values:
        if isinstance(value, ClosedJaxpr):
            found.append(value.jaxpr)
        elif isinstance(value, Jaxpr):
            found.append(value)
        elif isinstance(value, tuple | list):
            found += _among(value)
    return found
