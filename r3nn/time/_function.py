"""Lets `unroll` take a bare function of one step: the function becomes an opaque cell."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from r3nn._lookup import check_int
from r3nn.cells import Cell
from r3nn.time._inputs import check_flags
from r3nn.time.arrays.flags import zero_masked
from r3nn.time.arrays.trees import length_of, match_varying_axes
from r3nn.time.deferred.scan import Arrays


@dataclasses.dataclass(frozen=True)
class Function(Cell):
    """Makes a cell of a bare (params, state, x) -> (state, y). The cell's state is (state, y)."""

    stepwise = True
    function: Callable

    def step(self, params, state, u):
        """Calls the function; params: (params, arrays that the function closed over)."""
        params, closed_over = params
        return self.function(params, state[0], u, *closed_over)

    def output(self, params, state, x):
        """Returns y, which the function returned."""
        return state[1]


def as_cell(function, params, state, xs, mask, reset, length, compute):
    """Makes a cell of a bare function of one step -> (cell, its `Arrays`, batch axes of its state).

    The arrays that it closes over are made arguments, so that they get gradients. Its steps are to be mapped
    rather than merged into the batch: it need not broadcast over any axis.
    """
    if compute is not None:
        raise ValueError("compute_dtype: the products of a bare function are its own; make it a Cell.")
    if reset is not None:
        raise ValueError("reset: a bare function has no initial_state to go back to; make it a Cell.")
    if not jax.tree.leaves(xs):
        check_int("length (with xs=None)", length, 0)
        given, nothing, xs = function, xs, jnp.zeros((length, 0))
        function = lambda params, state, _: given(params, state, nothing)
    state, xs = jax.tree.map(jnp.asarray, (state, xs))
    steps = length_of(xs)
    if length not in (None, steps):
        raise ValueError(f"length={length}: xs has {steps} steps.")
    flags = check_flags(mask, None, (steps, *(() if mask is None else jnp.shape(mask)[1:])))
    if flags.mask is not None:
        xs = zero_masked(xs, flags.mask)
    first = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), xs)
    params, state, xs, flags = match_varying_axes(params, state, xs, flags)
    y = jax.tree.map(lambda y: jnp.zeros(y.shape, y.dtype), jax.eval_shape(function, params, state, first)[1])
    converted, closed_over = jax.closure_convert(function, params, state, first)
    cell, params, state = Function(converted), (params, closed_over), (state, y)
    axes = jax.tree.map(lambda _: 0, state)
    return cell, Arrays(*match_varying_axes(params, None, state, xs), flags), axes
