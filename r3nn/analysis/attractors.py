"""Finds the attractors of a map: where states go that a network takes under one token, or word, for ever."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree

Array = jax.Array


class Attractors(NamedTuple):
    """Holds the points at which iterating a map came to rest, as NumPy arrays.

    Attributes:
      points: [P, n], states as vectors, each further than `apart` from the others; the one that most starts
        reached comes first.
      reached: int [P], how many starts reached each.
      residual: [P], |f(s) - s|.
      eigenvalues: complex [P, n] of the derivative at each, by decreasing size: all below 1 in size where the
        point is stable.
      starts: how many starts there were. Those that came to no rest went round a cycle, or needed more steps.
    """

    points: np.ndarray
    reached: np.ndarray
    residual: np.ndarray
    eigenvalues: np.ndarray
    starts: int


def attractors(
    step: Callable, states: Any, *, steps: int = 5000, tolerance: float = 1e-6, apart: float = 1e-3
) -> Attractors:
    """Finds the fixed points that attract, by iterating the map from many starts.

    Gradient descent on the speed |f(s) - s|, as is often done, converged from none of 128 starts of a trained
    network where this did from all; but it is blind to points that repel (`fixed_points`).

    Args:
      step: state -> state: a network under one token; or under a word, whose tokens it takes in turn, so that
        a cycle under the token is a point here.
      states: a tree of leaves [B, ...], where to start: states that the network visits.
      steps: how many steps.
      tolerance: the largest |f(s) - s| of a state at rest.
      apart: the least distance of two attractors.
    """
    flat, f = _flat(step, states)
    go = jax.jit(lambda s: lax.fori_loop(0, steps, lambda _, s: f(s), s))
    return _collected(f, jax.vmap(go)(flat), tolerance, apart)


def fixed_points(
    step: Callable, states: Any, *, steps: int = 40, tolerance: float = 1e-6, apart: float = 1e-3
) -> Attractors:
    """Finds fixed points of any kind, saddles among them, by Newton's method from many starts.

    A step of Newton's is cut to the length 1, so that it leaves the region of the states seldom. Arguments:
    as of `attractors`; a state is a vector of n numbers, and a derivative [n, n] is solved for each step.
    """
    flat, f = _flat(step, states)

    def newton(_, s):
        move = jnp.linalg.solve(jnp.eye(s.size, dtype=s.dtype) - jax.jacfwd(f)(s), f(s) - s)
        return s + move * jnp.minimum(1, 1 / jnp.maximum(jnp.linalg.norm(move), 1e-30))

    go = jax.jit(lambda s: lax.fori_loop(0, steps, newton, s))
    return _collected(f, jax.vmap(go)(flat), tolerance, apart)


def _flat(step: Callable, states: Any) -> tuple[Array, Callable]:
    """Returns the states as vectors [B, n], and the map on vectors."""
    back = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], states))[1]
    flat = jax.vmap(lambda state: ravel_pytree(state)[0])(states)
    return flat, lambda s: ravel_pytree(step(back(s)))[0]


def _collected(f: Callable, ends: Array, tolerance: float, apart: float) -> Attractors:
    """Tells the states [B, n] apart that are at rest."""
    residual = np.asarray(jax.vmap(lambda s: jnp.linalg.norm(f(s) - s))(ends))
    ends = np.asarray(ends)
    at_rest = np.flatnonzero(residual <= tolerance)
    kept: list[int] = []
    reached: list[int] = []
    for i in at_rest[np.argsort(residual[at_rest], kind="stable")]:
        near = [n for n, j in enumerate(kept) if np.linalg.norm(ends[i] - ends[j]) <= apart]
        if near:
            reached[near[0]] += 1
        else:
            kept.append(i)
            reached.append(1)
    order = np.argsort([-count for count in reached], kind="stable")
    kept = [kept[n] for n in order]
    points = ends[kept] if kept else ends[:0]
    slopes = np.asarray(jax.vmap(jax.jacfwd(f))(points)) if kept else np.zeros((0, *2 * ends.shape[1:]))
    values = np.linalg.eigvals(slopes) if kept else np.zeros((0, ends.shape[1]), complex)
    values = np.take_along_axis(values, np.argsort(-np.abs(values), axis=-1, kind="stable"), axis=-1)
    return Attractors(points, np.array([reached[n] for n in order], int), residual[kept], values, len(ends))
