"""Computes products in a lower precision: operands rounded to a compute dtype, sums and results in
float32."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp

from r3nn.cells._composition import takes_call


@functools.partial(jax.tree_util.register_dataclass, data_fields=("array",), meta_fields=("compute",))
@dataclasses.dataclass(frozen=True)
class Weight:
    """Wraps a matrix [..., in, out] whose products `x @ weight` round both operands to `compute`.

    Its gradient is that of the product so rounded, summed and returned in the array's own dtype.
    """

    __array_ufunc__ = None  # a NumPy x leaves `x @ weight` to __rmatmul__
    array: jax.Array
    compute: jnp.dtype

    def __rmatmul__(self, x):
        return _product(self.compute, x, self.array)

    def ready(self):
        """Rounds the matrix once, for the products inside a loop."""
        return dataclasses.replace(self, array=self.array.astype(self.compute))

    @property
    def mT(self):
        """Returns the matrix with its last two axes exchanged."""
        return dataclasses.replace(self, array=jnp.swapaxes(self.array, -1, -2))

    shape = property(lambda self: self.array.shape)
    ndim = property(lambda self: self.array.ndim)
    dtype = property(lambda self: self.array.dtype)


def prepare(compute, cell, params):
    """Prepares the params of a cell, with its matrices, leaves of two axes or more, as `Weight`s; in a
    composition that hands out how its parts are prepared, part by part."""
    if takes_call(cell, "prepare"):
        return cell.prepare(params, functools.partial(prepare, compute))
    wrap = lambda leaf: leaf if jnp.ndim(leaf) < 2 else Weight(leaf, jnp.dtype(compute))
    return jax.tree.map(wrap, cell.prepare(params))


def _rounded(equation, compute, *operands):
    low = (operand.astype(compute) for operand in operands)
    return jnp.einsum(equation, *low, preferred_element_type=jnp.float32)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _product(compute, x, w):
    """Computes x [..., i] @ w [i, o], or x [..., n, k, i] @ w [n, i, o]."""
    equation = "...i,io->...o" if w.ndim == 2 else "...nki,nio->...nko"
    return _rounded(equation, compute, x, w).astype(jnp.promote_types(x.dtype, jnp.float32))


def _product_fwd(compute, x, w):
    return _product(compute, x, w), (x, w)


def _product_bwd(compute, residuals, ct):
    """Computes the cotangents of x and w, from ct [..., o] or [..., n, k, o], in one rounded product each."""
    x, w = residuals
    tail = 1 if w.ndim == 2 else 3
    flat = lambda leaf: leaf.reshape(math.prod(leaf.shape[:-tail]), *leaf.shape[leaf.ndim - tail :])
    back, outer = ("...o,io->...i", "bi,bo->io")
    if w.ndim == 3:
        back, outer = ("...nko,nio->...nki", "bnki,bnko->nio")
    d_x, d_w = _rounded(back, compute, ct, w), _rounded(outer, compute, flat(x), flat(ct))
    return d_x.astype(x.dtype), d_w.astype(w.dtype)


_product.defvjp(_product_fwd, _product_bwd)
