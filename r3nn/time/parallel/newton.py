"""Solves all steps of a window at once, for nonlinear cells: Newton's method on s_t = F(s_{t-1}, x_t) for all
t.

Linearised around an iterate, the recurrence is a linear one, s_t = J_t s_{t-1} + (F_t - J_t s_{t-1}), which
`linear_scan` solves in parallel. Windows follow each other, each from the state at which the last one ended.
No result is trusted unchecked: a window whose residual stays above the tolerance is run again, step by step,
from its entry; and where rounding errors would grow along the solution (chaos), all windows are run again.
Sources: Lim, Zhu, Selfridge & Kasim 2024, "Parallelizing non-linear sequential models over the sequence
length" (DEER), arXiv 2309.12252; diagonal cells: Danieli et al. 2025, "ParaRNN", arXiv 2510.21450; the
diagonal of a full Jacobian: Gonzalez et al. 2024 (quasi-DEER), arXiv 2407.19115.
"""

import dataclasses
import numbers
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from r3nn._lookup import check_choice, check_int
from r3nn._serialize import serializable
from r3nn._value import Value
from r3nn.time.arrays.trees import known, length_of, match_varying_axes
from r3nn.time.deferred.scan import scan, scan_blocks, sequential
from r3nn.time.parallel.jacobian import KINDS, exact_by_unit, kind_of, steps_of
from r3nn.time.parallel.linear_scan import given
from r3nn.time.parallel.shards import entry_of, last_of, last_of_all

#: steps of a window on a CPU and on accelerators, and iterations at most, unless told otherwise
WINDOW, WINDOW_ACCELERATED, ITERATIONS = 64, 512, 64
#: the residual to reach, in units in the last place; what errors may grow to along the solution, in residuals
RESIDUAL, DRIFT = 8, 8


@dataclasses.dataclass(frozen=True)
class Newton(Value):
    """Selects mode="newton", with options.

    window: steps solved at once; None: 64 on a CPU, 512 elsewhere, and all of them with axis_name. All, too,
    where T is symbolic.
    jacobian: "full" ([N, N] for every step of a sequence with N numbers of state: small H), "diagonal" (a
    K x K block per unit: exact where recurrence is diagonal or none), "auto" (full for opaque cells alone).
    tolerance: of the residual max |F(s_{t-1}, x_t) - s_t| / max(1, |s_t|); None: 8 units in the last place.
    max_iterations: of a window; None: its steps, at most 64.
    axis_name: inside `shard_map`, the mesh axis over which time is sharded (recurrence diagonal or none).
    """

    window: int | None = None
    jacobian: str = "auto"
    tolerance: float | None = None
    max_iterations: int | None = None
    axis_name: str | None = None

    def __post_init__(self):
        check_choice("jacobian", self.jacobian, KINDS)
        for name in ("window", "max_iterations"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name), 1)
        positive = isinstance(self.tolerance, numbers.Real) and self.tolerance > 0
        if self.tolerance is not None and not positive:
            raise ValueError(f"tolerance={self.tolerance!r}: must be a number above 0.")
        if self.window is not None and self.axis_name is not None:
            raise ValueError(f"window={self.window}: with axis_name, all steps are one window.")


@serializable
class NewtonInfo(NamedTuple):
    """Says how Newton's method went: one entry per window, in the order of time."""

    iterations: jax.Array  # int: updates until the residual was below the tolerance
    residual: jax.Array  # of the states that Newton ended with
    rerun: jax.Array  # bool: whether the window was run again, step by step


def solve_newton(plan, arrays, axes, options: Newton):
    """Solves all steps -> (final state, states [T, ...], NewtonInfo). It has no derivative: the adjoint needs
    the states alone.

    Raises: ValueError, TypeError for a cell that options do not fit, in one sentence.
    """
    kind_of(plan.cell, options.jacobian, options.axis_name)
    plan = plan._replace(save=False)
    window = _window(options, length_of(arrays.xs))

    def solve(carry, inputs, _):
        state, drift = carry
        here = arrays._replace(state=state, xs=inputs[0], flags=inputs[1])
        states, drift, info, chaotic = _solve_window(plan, here, axes, options, drift)
        return last_of((states, drift), plan.reverse), (states, (info, chaotic))

    carry = arrays.state, jax.tree.map(jnp.zeros_like, arrays.state)
    index = None if options.axis_name is None else lax.axis_index(options.axis_name)
    *carry, _ = match_varying_axes(*carry, (arrays, index))
    inputs = (arrays.xs, arrays.flags)
    (final, _), (states, (info, chaotic)) = scan_blocks(
        solve, tuple(carry), inputs, None, window, plan.reverse
    )
    again = lambda: _in_turn(plan, arrays, axes, options.axis_name)
    final, states = lax.cond(
        chaotic.any(), lambda: match_varying_axes(*again()), lambda: match_varying_axes(final, states)
    )
    info = info._replace(rerun=info.rerun | chaotic.any())
    final = last_of_all(final, plan.reverse, options.axis_name)
    if options.axis_name is not None:
        info, _ = match_varying_axes(info, index)
        same = lambda x: lax.pmax(x.astype(_dtype(arrays)), options.axis_name).astype(x.dtype)
        info = jax.tree.map(same, info)
    return final, states, info


def _window(options, steps):
    """Returns the steps of a window: all of them where T is symbolic."""
    if options.axis_name or not known(steps):
        return steps
    default = WINDOW if jax.default_backend() == "cpu" else WINDOW_ACCELERATED
    return min(options.window or default, steps)


def _solve_window(plan, arrays, axes, options, drift):
    """Solves a window from its entry -> (states [W, ...], drift [W, ...], NewtonInfo, whether rounding errors
    grow)."""
    steps = steps_of(plan, arrays, axes, options.jacobian, options.axis_name)
    tolerance = options.tolerance or RESIDUAL * _eps(arrays)
    states, iterations = _iterate(plan, arrays, options, steps, tolerance)
    previous = steps.previous(arrays.state, states)
    gaps = jax.tree.map(jnp.subtract, steps.values(previous), states)
    residual = _largest(gaps, states, options)
    drift = _propagate(steps, previous, states, gaps, drift, iterations)
    chaotic = ~(_largest(drift, states, options) <= DRIFT * tolerance)
    stalled = ~(residual <= tolerance)
    in_turn = lambda: match_varying_axes(_in_turn(plan, arrays, axes, options.axis_name)[1], states)[0]
    states = lax.cond(stalled, in_turn, lambda: states)
    return states, drift, NewtonInfo(iterations, residual, stalled), chaotic


def _iterate(plan, arrays, options, steps, tolerance):
    """Iterates -> (states [W, ...], the number of updates until the residual was below the tolerance).

    Each update ends with one more step s <- F(s). If the first states are exact, it makes the next one exact
    too, which halves the updates of strongly nonlinear cells at a third more work.
    """
    length = length_of(arrays.xs)
    length *= 1 if options.axis_name is None else lax.axis_size(options.axis_name)
    limit = options.max_iterations or (min(length, ITERATIONS) if known(length) else ITERATIONS)
    low, high = _box(plan.cell, arrays)
    into_box = lambda s: s if low is None else jax.tree.map(jnp.clip, s, low, high)

    def unfinished(carry):
        count, _, residual = carry
        return ~(residual <= tolerance) & (count <= limit)

    def update(carry):
        count, s, _ = carry
        previous = steps.previous(arrays.state, s)
        f, j = steps.values(previous), steps.linearize(previous)
        residual = _largest(jax.tree.map(jnp.subtract, f, s), s, options)
        new = steps.solve(j, jax.tree.map(jnp.subtract, f, steps.times(j, previous)), arrays.state)
        stepped = steps.values(steps.previous(arrays.state, into_box(jax.tree.map(_finite, new, f))))
        return match_varying_axes(count + 1, stepped, residual)

    guess = into_box(steps.guess())
    start = match_varying_axes(jnp.zeros((), jnp.int32), guess, jnp.full((), jnp.inf, _dtype(arrays)))
    count, states, _ = lax.while_loop(unfinished, update, start)
    return states, count - 1


def _box(cell, arrays):
    """Returns the cell's bounds as (lowest, highest), [1, ...], widened to hold the states that come from
    outside; (None, None) where it has none."""
    if cell.bounds is None:
        return None, None
    initial = arrays.state if arrays.initial is None else arrays.initial
    low, high = cell.bounds
    lowest = jax.tree.map(lambda a, b: jnp.minimum(low, jnp.minimum(a, b))[None], arrays.state, initial)
    highest = jax.tree.map(lambda a, b: jnp.maximum(high, jnp.maximum(a, b))[None], arrays.state, initial)
    return lowest, highest


def _finite(new, otherwise):
    """Returns the update, and where it overflows, the value of the step instead."""
    otherwise = jnp.where(jnp.isfinite(otherwise), otherwise, jnp.zeros_like(otherwise))
    return jnp.where(jnp.isfinite(new), new, otherwise)


def _propagate(steps, previous, states, gaps, entry, iterations):
    """Computes what the errors of all steps, half a unit in the last place or the residual, grow to, [W,
    *batch, ...], as the states.

    e_t = J_t e_{t-1} + error_t, signs at random: one linear recurrence where the Jacobian is exact, else
    the fixed point of as many as Newton took.
    """

    def error(gap, s):
        bits = jnp.arange(s.size, dtype=jnp.uint32).reshape(s.shape) * jnp.uint32(2654435761)
        size = jnp.maximum(jnp.abs(gap), 0.5 * float(jnp.finfo(s.dtype).eps) * jnp.maximum(1, jnp.abs(s)))
        return jnp.where(bits >> 31 == 1, size, -size)

    errors = jax.tree.map(error, gaps, states)
    j = steps.linearize(previous)
    if steps.exact:
        return steps.solve(j, errors, entry)

    def body(_, e):
        before_ = steps.previous(entry, e)
        rest = jax.tree.map(jnp.subtract, steps.push(previous, before_), steps.times(j, before_))
        return steps.solve(j, jax.tree.map(jnp.add, errors, rest), entry)

    return lax.fori_loop(0, iterations, body, steps.solve(j, errors, entry))


def _in_turn(plan, arrays, axes, axis_name):
    """Runs step by step -> (final state, states [T, ...]); over shards, each in its turn."""
    if axis_name is None:
        final, (states, _) = sequential(plan, arrays, axes)
        return final, states

    def turn(carry, _):
        entry, *_ = carry
        final, (states, _) = sequential(plan, arrays._replace(state=entry), axes)
        return (entry_of(arrays.state, final, plan.reverse, axis_name), final, states), None

    index = lax.axis_index(axis_name)
    repeat = lambda s: jnp.broadcast_to(s, (length_of(arrays.xs), *s.shape))
    *carry, _ = match_varying_axes(
        arrays.state, arrays.state, jax.tree.map(repeat, arrays.state), (index, arrays)
    )
    (_, final, states), _ = lax.scan(turn, tuple(carry), length=lax.axis_size(axis_name))
    return final, states


def _largest(values, states, options):
    """Computes max |value| / max(1, |state|), over everything, on all shards; NaN where there is any."""
    ratios = jax.tree.map(lambda v, s: jnp.abs(v) / jnp.maximum(1, jnp.abs(s)), values, states)
    largest = jnp.max(jnp.stack([r.max(initial=0) for r in jax.tree.leaves(ratios)]))
    return largest if options.axis_name is None else lax.pmax(largest, options.axis_name)


def _dtype(arrays):
    return jax.tree.leaves(arrays.state)[0].dtype


def _eps(arrays) -> float:
    return float(jnp.finfo(_dtype(arrays)).eps)


def run_newton(plan, arrays, axes, options: Newton):
    """Solves all steps -> (final state, states [T, ...]), differentiable: by the one backward of `scan`,
    which needs the states alone; or in parallel, where the Jacobian is exact."""
    if exact_by_unit(plan.cell, options.jacobian):
        return _parallel(plan, arrays, axes, options)
    return scan(plan._replace(forward=_Forward(options)), arrays, axes)


@dataclasses.dataclass(frozen=True)
class _Forward:
    """Solves by Newton's method as the forward of a `Plan`."""

    options: Newton

    def __call__(self, plan, arrays, axes):
        solve = jax.custom_jvp(lambda arrays: solve_newton(plan, arrays, axes, self.options)[:2])
        solve.defjvp(_no_more)
        final, states = solve(arrays)
        return final, (states, None)


def _no_more(*_):
    raise NotImplementedError("newton has first derivatives only: for more, mode='scan' or 'plain'.")


def _parallel(plan, arrays, axes, options):
    """Returns the solution, with the derivatives of the linear recurrence that it fulfils, s_t = J_t s_{t-1}
    + rest.

    They are those of the solution itself in x, params and the entry (the implicit function theorem), and
    run in parallel. The solution's own numbers stay: where it was run again, the recurrence would lose it.
    """
    _, solution, _ = solve_newton(plan, lax.stop_gradient(arrays), axes, options)
    steps = steps_of(plan, arrays, axes, options.jacobian, options.axis_name)
    previous = lax.stop_gradient(steps.previous(arrays.state, solution))
    structure = jax.tree.structure(solution)
    flat = lambda tree: tuple(jax.tree.leaves(tree))
    vectors = (flat(solution), steps.linearize(previous), flat(steps.values(previous)), flat(arrays.state))
    states = jax.tree.unflatten(structure, given(*vectors, plan.reverse, options.axis_name))
    return last_of_all(last_of(states, plan.reverse), plan.reverse, options.axis_name), states
