"""What the outputs of a function can depend on, by its jaxpr."""

from jax.extend.core import Literal


def dependence(jaxpr) -> list[set[int]]:
    """For each output of a jaxpr, the numbers of the inputs that it can depend on."""
    reached = {var: {j} for j, var in enumerate(jaxpr.invars)}
    look_up = lambda var: set() if isinstance(var, Literal) else reached.get(var, set())
    for equation in jaxpr.eqns:
        sources = set().union(*map(look_up, equation.invars))
        reached |= dict.fromkeys(equation.outvars, sources)
    return [look_up(var) for var in jaxpr.outvars]
