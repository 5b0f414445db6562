"""Finds shapes and dtypes of the cells that compositions are made of."""

import jax

from r3nn.cells import Cell


def dtype_of(cell: Cell, params):
    """Returns the dtype of a cell's state: that of its params, and of what a composition adds to them."""
    return jax.tree.leaves(jax.eval_shape(cell.initial_state, params))[0].dtype


def output_shape(cell: Cell, params, state, batch_shape, output=None) -> jax.ShapeDtypeStruct:
    """Returns the shape of a cell's output (or of another method of its) in this state; params are not yet
    prepared."""
    dtype = jax.tree.leaves(state)[0].dtype
    x = jax.ShapeDtypeStruct((*batch_shape, cell.in_size(params)), dtype)
    call = lambda p, s, x: (output or cell.output)(cell.prepare(p), s, x)
    return jax.eval_shape(call, params, state, x)
