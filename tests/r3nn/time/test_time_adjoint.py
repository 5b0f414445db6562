"""λ of every part at every step: what the gradients of all parameters are made of."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from r3nn import CELLS, chain, deep, recurrent_dropout, refine, residual, slow, unroll, zoneout
from r3nn.cells import elman, gru, lstm
from r3nn.cells._composition import run_part
from r3nn.time import adjoint
from r3nn.time.arrays.flags import Flags, advance, carry_masked
from r3nn.time.arrays.trees import batch_axes
from r3nn.time.deferred.parts import step_by
from tests.helpers import (
    COMPOSITIONS,
    assert_close,
    compiled,
    in_size,
    number,
    pad,
    problem,
    unless_slow,
)

T, B, D, H = 7, 3, 2, 4

close = functools.partial(assert_close, rtol=1e-10, atol=1e-10)

CASES = CELLS | COMPOSITIONS | {"one part each": chain(refine(elman, 2), slow(gru, 2))}
FEW = ("gru_reset_before", "deep, tied", "R3NN", "one part each")


def gathered(cell, params, state, xs, flags, parts, cotangents):
    """A number whose gradient wrt params is Σ_t λ_tᵀ ∂F/∂θ over all parts: what comes after a part sees its
    state as a constant. What θ does to outputs beside, `cotangents` gathers."""
    axes, prepared = batch_axes(cell, params), cell.prepare(params)
    initial = cell.initial_state(params, (B,))

    def body(state, inputs):
        x, flag, parts = inputs
        left, sums = iter(parts), []

        def run(cell, params, state, u):
            part, after = next(left), cell.step(params, state, u)
            sums.append(jax.tree.map(jnp.vdot, part.adjoint, after))
            return part.state

        with jax.disable_jit():
            step = lambda s: (step_by(run, cell, prepared, s, cell.project(prepared, x)), None)
            state, _ = advance(step, initial, state, flag, axes)
        return state, (cell.output(prepared, state, x), sums)

    final, (ys, sums) = lax.scan(body, state, (xs, flags, parts))
    return sum(map(jnp.sum, jax.tree.leaves((sums, jax.tree.map(jnp.multiply, cotangents, (final, ys))))))


@pytest.mark.parametrize("name", unless_slow(CASES, FEW))
def test_makes_the_gradient_of_params(name, x64):
    """Masked and reset, with NaN where there is no step."""
    cell = CASES[name]
    p = problem(cell, T, (B,), in_size(name, D, H), H)
    flags, how = Flags(p.mask, p.reset), dict(mask=p.mask, reset=p.reset)
    given = pad(p.xs, p.mask)

    @compiled
    def run(params, state):
        def loss(params):
            ends = unroll(cell, params, state, given, **how)
            return number(ends), ends

        engine, ends = jax.grad(loss, has_aux=True)(params)
        parts = adjoint(cell, params, state, given, lambda *ends: number(ends), **how)
        xs, cotangents = carry_masked(given, flags, reverse=False), jax.grad(number)(ends)
        gather = functools.partial(gathered, cell)
        return parts, jax.grad(gather)(params, state, xs, flags, parts, cotangents), engine

    parts, ours, engine = run(p.params, p.state)
    close(ours, engine)
    for part in parts:
        masked = jax.tree.map(lambda leaf: leaf[~p.mask] if leaf.shape[:2] == (T, B) else 0, part.adjoint)
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(masked))


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_is_the_derivative_by_the_entry_of_what_follows(reverse, x64):
    """Of a cell by itself, λ_t is the gradient wrt the state from which the steps behind t start."""
    p = problem(lstm, T, (B,), D, H)
    t, rest = (4, np.s_[:4]) if reverse else (2, np.s_[3:])

    def loss(final, ys):
        return jnp.sum(jnp.sin(ys) * (1 + jnp.cos(p.xs[..., :1]))) + number(final)

    def follows(state, y_of):
        final, ys = unroll(lstm, p.params, state, p.xs[rest], reverse=reverse, mode="plain")
        whole = jnp.zeros((T, B, H)).at[rest].set(ys).at[t].set(y_of(state))
        return loss(final, whole)

    @compiled
    def run():
        (part,) = adjoint(lstm, p.params, p.state, p.xs, loss, reverse=reverse)
        at_t = jax.tree.map(lambda leaf: leaf[t], part)
        return at_t.adjoint, jax.grad(follows)(at_t.state, lambda state: state.h)

    close(*run())


@pytest.mark.parametrize("depth", [3, 6])  # written out, and a loop
def test_reaches_all_depths_within_a_step(depth):
    cell = deep(gru, depth)
    p = problem(cell, 2, (B,), D, H)
    run = lambda params: adjoint(cell, params, None, p.xs, lambda _, ys: jnp.sum(ys[-1] ** 2))
    levels = compiled(run)(p.params)
    assert [level.cell for level in levels] == [gru] * depth
    assert all(level.adjoint.shape == level.state.shape == (2, B, H) for level in levels)
    assert all(np.all(level.adjoint[-1] != 0) for level in levels)


def test_states_and_noise_are_those_of_unroll(x64):
    cell = chain(gru, zoneout(lstm, 0.4, 0.2))
    p, key = problem(cell, T, (B,), D, H), jax.random.key(1)
    how = dict(mask=p.mask, reset=p.reset, key=key)

    @compiled
    def run(params, state):
        parts = adjoint(cell, params, state, p.xs, lambda _, ys: jnp.sum(ys), **how)
        return parts[-1].state.h, unroll(cell, params, state, p.xs, **how)[1]

    ours, ys = run(p.params, p.state)
    close(ours[p.mask], ys[p.mask])


@dataclasses.dataclass(frozen=True)
class Sometimes(type(residual(gru))):
    """Takes a step while the state is small."""

    def step(self, params, state, u, call=run_part):
        small = jnp.sum(state * state) < 1
        return lax.cond(small, lambda: call(self.cell, params, state, u), lambda: state)


def test_refuses():
    p = problem(gru, T, (B,), H, H)
    run = functools.partial(adjoint, params=p.params, state=None, xs=p.xs)
    with pytest.raises(TypeError, match="no Cell"):
        run(lambda params, state, x: (state, state), loss=lambda _, ys: jnp.sum(ys))
    with pytest.raises(TypeError, match="branch"):
        run(Sometimes(gru), loss=lambda _, ys: jnp.sum(ys))
    with pytest.raises(TypeError, match="scalar"):
        run(gru, loss=lambda _, ys: ys)
    with pytest.raises(ValueError, match="mask"):
        run(gru, loss=lambda _, ys: jnp.sum(ys), mask=np.ones(T, bool))


def test_a_part_is_the_cell_as_given():
    """Not the copy of it that a dropout makes for a step."""
    cell = recurrent_dropout(CELLS["mgu"], 0.5)
    params, xs = cell.init(jax.random.key(0), D, H), jnp.ones((T, B, D))
    (part,) = adjoint(cell, params, None, xs, lambda final, ys: ys.sum(), key=jax.random.key(1))
    assert part.cell == CELLS["mgu"]
