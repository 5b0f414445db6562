"""Shapes and dtypes of cells that compositions are made of."""

import jax

from r3nn.cells import Cell


def dtype_of(cell: Cell, params):
    """The dtype of a cell's state: that of its params, and of what a composition adds to them."""
    return jax.tree.leaves(jax.eval_shape(cell.initial_state, params))[0].dtype


def output_shape(cell: Cell, params, state, batch_shape, output=None) -> jax.ShapeDtypeStruct:
    """Of what a cell puts out (or another method of its) in this state, from params not yet prepared."""
    dtype = jax.tree.leaves(state)[0].dtype
    x = jax.ShapeDtypeStruct((*batch_shape, cell.in_size(params)), dtype)
    call = lambda p, s, x: (output or cell.output)(cell.prepare(p), s, x)
    return jax.eval_shape(call, params, state, x)
