"""Solves s_t = a_t s_{t-1} + b_t for all t: the linear recurrence, with its own derivative.

Its adjoint is the same recurrence run backwards, λ_t = g_t + a_{t+1}ᵀ λ_{t+1}, so nothing but a and s is kept
for it. On a CPU the steps run one after the other, at the speed of memory. On accelerators: reduce, then
scan. Time is cut into tiles, which run all at once from zero and multiply up their coefficients; the tiles'
entries are a shorter recurrence of the same kind; from them, all tiles run at once again. Sources: Blelloch
1990, "Prefix sums and their applications", section 1.4; the adjoint: Martin & Cundy 2018, arXiv 1709.04057,
appendix A.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from r3nn._lookup import check_int
from r3nn.time.arrays.trees import before, length_of, match_varying_axes
from r3nn.time.parallel.linear_loops import all_states, reduce, row, usual_tile
from r3nn.time.parallel.per_unit import add, outer, sum_to, times, transpose

#: up to which K the K x K blocks are held as planes [T, ...] each, rather than as matrices [..., K, K]
PLANES = 4


def linear_scan(
    a, b, h0=None, *, reverse: bool = False, blocks: bool = False, axis_name=None, tile: int | None = None
):
    """Solves s_t = a_t s_{t-1} + b_t, from s_0 = h0: all s [T, ...], in the shape of b.

    Differentiable in reverse mode, to any order (to the first order with axis_name).

    Args:
      a: coefficients that broadcast to b, real or complex. With a time axis of length 1, or fewer axes
        than b, they are the same at every step, and never repeated in memory.
      b: [T, ...].
      h0: the state before the first step, [...]; None: zeros.
      reverse: s_t = a_t s_{t+1} + b_t, from the last step to the first.
      blocks: a are K x K matrices [..., K, K], which multiply the vectors b [T, ..., K].
      axis_name: inside `shard_map`, the mesh axis over which time is sharded, in order: a (unless
        constant), b and s are this shard's steps; h0 is the same on all shards.
      tile: steps of a tile, where tiles run at once; 1: steps run one after the other. None: 32, and 1 on a
        CPU.

    Raises: ValueError for shapes, TypeError for dtypes that do not fit together, in one sentence.
    """
    a, b = jnp.asarray(a), jnp.asarray(b)
    h0 = jnp.zeros_like(b, shape=b.shape[1:]) if h0 is None else jnp.asarray(h0)
    _check(a, b, h0, blocks)
    if tile is not None:
        check_int("tile", tile, 1)
    how = How(reverse, axis_name, tile)
    a = a.reshape((1,) * (b.ndim + blocks - a.ndim) + a.shape)
    if not blocks:
        return solve(((a,),), (b,), (h0,), *how)[0]
    size = b.shape[-1]
    if size > PLANES:
        return solve(a, b, h0, *how)
    planes = tuple(tuple(a[..., i, j] for j in range(size)) for i in range(size))
    columns = lambda x: tuple(x[..., i] for i in range(size))
    return jnp.stack(solve(planes, columns(b), columns(h0), *how), axis=-1)


def _check(a, b, h0, blocks):
    if b.ndim < 1 + blocks or h0.shape != b.shape[1:]:
        raise ValueError(f"h0 {h0.shape}: must have the shape of b {b.shape} behind its time axis.")
    whole = (*b.shape, b.shape[-1]) if blocks else b.shape
    pairs = zip(reversed(a.shape), reversed(whole), strict=False)
    if a.ndim > len(whole) or any(n not in (1, m) for n, m in pairs) or blocks and a.shape[-2:] != whole[-2:]:
        raise ValueError(f"a {a.shape}: must broadcast to {whole}, with b {b.shape} and blocks={blocks}.")
    if not (a.dtype == b.dtype == h0.dtype and jnp.issubdtype(b.dtype, jnp.inexact)):
        raise TypeError(f"a, b, h0 are {a.dtype}, {b.dtype}, {h0.dtype}: must be of one inexact dtype.")


def solve(a, b, h0, reverse: bool = False, axis_name=None, tile: int | None = None):
    """Does as `linear_scan`, on coefficients and vectors as `per_unit` has them -> all s, in the shape of b.

    Leaves of a have a time axis of length T, or of 1 where they are the same at every step.
    """
    if length_of(b) == 0:
        return b
    if axis_name is not None:
        a, b, h0, _ = match_varying_axes(a, b, h0, lax.axis_index(axis_name))
    return _solve(How(reverse, axis_name, tile), *match_varying_axes(a, b, h0))


def run(a, b, h0, reverse: bool = False, axis_name=None):
    """Does as `solve`, without a derivative of its own."""
    return _solve_fwd(How(reverse, axis_name), a, b, h0)[0]


def adjoint(a, g, last, reverse: bool = False, tile: int | None = None):
    """Solves λ_t = g_t + a_{t+1}ᵀ λ_{t+1}, for the recurrence that `reverse` says, starting from `last`.

    a: blocks of the recurrence [T, ...]. g [T, ...]: what reaches each state from outside. last: what
    reaches the last state from the steps that follow it.
    Returns: (all λ [T, ...], a_1ᵀ λ_1, which reaches the state before the first step).
    """
    a, g, last = match_varying_axes(a, g, last)
    μ = solve(transpose(a), times(transpose(a), g), last, not reverse, tile=tile)
    return add(g, before(last, μ, not reverse)), row(μ, -1 if reverse else 0)


def given(s, a, b, h0, reverse: bool = False, axis_name=None):
    """Returns s, known to be `solve(a, b, h0)`, with that function's derivatives with respect to b and h0.

    For s that solves a nonlinear recurrence, a its Jacobians there and b what they leave over, these are
    the derivatives of s, by the implicit function theorem; there, none passes through a.
    """
    if axis_name is not None:
        s, a, b, h0, _ = match_varying_axes(s, a, b, h0, lax.axis_index(axis_name))
    return _given(How(reverse, axis_name), *match_varying_axes(s, a, b, h0))


class How(NamedTuple):
    """Holds what is static about a recurrence."""

    reverse: bool
    axis_name: str | None
    tile: int | None = None

    @property
    def steps(self) -> int:
        """Returns the steps of a tile."""
        return self.tile or usual_tile()

    @property
    def adjoint(self):
        """Returns the adjoint that differentiates once: in tiles, or step after step."""
        return functools.partial(adjoint, tile=self.tile) if self.steps > 1 else _adjoint_in_turn


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _solve(how, a, b, h0):
    return _solve_fwd(how, a, b, h0)[0]


def _solve_fwd(how, a, b, h0):
    entry = _entry(how, a, b, h0)
    s = all_states(a, b, entry, how.reverse, how.steps)
    return s, (a, s, entry)


def _solve_bwd(how, residuals, g):
    return _transposed(how, *match_varying_axes(*residuals, g))


_solve.defvjp(_solve_fwd, _solve_bwd)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _transposed(how, a, s, entry, g):
    """Computes the cotangents of (a, b, h0) from g [T, ...], that of all s."""
    return _cotangents(how, a, s, entry, g, how.adjoint)


def _transposed_fwd(how, *arrays):
    return _transposed(how, *arrays), arrays


def _transposed_bwd(how, arrays, cotangents):
    if how.axis_name is not None:
        raise NotImplementedError("linear_scan(axis_name=...) has first derivatives only.")
    again = functools.partial(_cotangents, how, adjoint=functools.partial(adjoint, tile=how.tile))
    return jax.vjp(again, *arrays)[1](cotangents)


_transposed.defvjp(_transposed_fwd, _transposed_bwd)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _given(how, s, a, b, h0):
    return s


def _given_fwd(how, s, a, b, h0):
    return s, (a, h0)


def _given_bwd(how, residuals, g):
    return None, None, *_given_transposed(how, *match_varying_axes(*residuals, g))


_given.defvjp(_given_fwd, _given_bwd)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _given_transposed(how, a, h0, g):
    zero = jax.tree.map(jnp.zeros_like, h0)
    return _pull(how, a, g, zero, how.adjoint)


def _given_again(how, *_):
    raise NotImplementedError("newton has first derivatives only: for more, mode='scan' or 'plain'.")


_given_transposed.defvjp(lambda how, *arrays: (_given_transposed(how, *arrays), None), _given_again)


def _cotangents(how, a, s, entry, g, adjoint):
    """Computes all λ_t, then all λ_t s_{t-1}ᵀ -> cotangents of (a, b, h0)."""
    λ, first = _pull(how, a, g, jax.tree.map(jnp.zeros_like, entry), adjoint)
    return sum_to(outer(λ, before(entry, s, how.reverse), a), a), λ, first


def _pull(how, a, g, zero, adjoint):
    """Computes all λ_t, and what reaches h0: over shards, what reaches the entry of the leading one."""
    if how.axis_name is None:
        return adjoint(a, g, zero, how.reverse)
    back = How(not how.reverse, how.axis_name, how.tile)
    last = _entry(back, transpose(a), times(transpose(a), g), zero)
    λ, first = adjoint(a, g, last, how.reverse)
    leads = lax.axis_index(how.axis_name) == _shards(how)[0]
    return λ, jax.tree.map(lambda leaf: jnp.where(leads, leaf, jnp.zeros_like(leaf)), first)


def _adjoint_in_turn(a, g, last, reverse):
    """Does as `adjoint`, step after step, with no efficient derivative of its own."""
    length = length_of(g)
    end, onward = (0, -1) if reverse else (length - 1, 1)
    pull = lambda t, λ: times(transpose(row(a, t)), λ)

    def body(λ, t):  # of λ itself, a step writes one array; handing on aᵀ λ, it would write two
        following = pull(jnp.clip(t + onward, 0, length - 1), λ)
        following = jax.tree.map(lambda last, λ: jnp.where(t == end, last, λ), λ, following)
        λ = add(row(g, t), following)
        return λ, λ

    λ, λs = lax.scan(body, last, jnp.arange(length), reverse=not reverse)
    return λs, pull(length - 1 - end, λ)


def _entry(how, a, b, h0):
    """Folds the shards before this one -> the state before this shard's first step, in the shape of h0."""
    if how.axis_name is None:
        return h0
    products, lasts = lax.all_gather(reduce(a, b, how.reverse, how.steps), how.axis_name)
    here = lax.axis_index(how.axis_name)
    state = entry = h0
    shards = _shards(how)
    for shard, following in zip(shards[:-1], shards[1:], strict=True):
        state = add(times(row(products, shard), state), row(lasts, shard))
        entry = jax.tree.map(lambda new, old, at=following: jnp.where(here == at, new, old), state, entry)
    return entry


def _shards(how):
    """Lists the shards in the order of the recurrence."""
    shards = range(lax.axis_size(how.axis_name))
    return shards[::-1] if how.reverse else shards
