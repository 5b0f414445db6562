"""What is particular to a cell, beyond its equations: starts, limits, invariants, options."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn import CELLS, unroll
from r3nn.cells import (
    CoRNNState,
    antisymmetric,
    brc,
    cornn,
    deltanet,
    gated_deltanet,
    indrnn,
    janet,
    lem,
    lrc,
    lru,
    m2rnn,
    minlstm,
    pd_ssm,
    rglru,
    scornn,
    slstm,
    unicornn,
)
from r3nn.cells._pd_ssm import hardmax
from tests import cell_oracles
from tests.cell_oracles import U, W, b, σ
from tests.helpers import assert_close, compiled, problem

T, B, D, H = 9, 3, 2, 5

close = functools.partial(assert_close, rtol=1e-10, atol=1e-10)
finite = lambda tree: all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


def zeros(cell, in_size, hidden_size, **options):
    """Parameters in the shapes of `init`, all 0: nothing compiles."""
    init = functools.partial(cell.init, in_size=in_size, hidden_size=hidden_size, **options)
    return jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(init, jax.random.key(0))
    )


def by_steps(step, p, state, xs):
    """States after each step of an oracle."""
    states = []
    for x in xs:
        state = step(p, state, x)
        states.append(state)
    return states


# sLSTM.


def test_stabilised_slstm_equals_the_unstabilised(x64):
    """c and n as they are, with i = exp(ĩ) and f = σ(f̃): eq. 8 to 14."""
    p = problem(slstm, T, (), D, H)
    p = p._replace(params=p.params._replace(initial=None))

    def step(params, state, x):
        h, c, n = state
        a = {
            gate: W(params, gate) @ x + U(params, gate) @ h + b(params, gate) for gate in params.input._fields
        }
        c = σ(a["forget"]) * c + np.exp(a["input"]) * np.tanh(a["cell"])
        n = σ(a["forget"]) * n + np.exp(a["input"])
        return σ(a["output"]) * c / n, c, n

    expected = by_steps(step, p.params, (np.zeros(H),) * 3, p.xs)
    final, ys = jax.jit(functools.partial(unroll, slstm))(p.params, None, p.xs)
    close(ys, np.stack([h for h, _, _ in expected]))
    close((final.c * jnp.exp(final.m), final.n * jnp.exp(final.m)), expected[-1][1:])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_slstm_is_finite_at_gates_of_300(dtype):
    """All combinations of gates at -300, 0 and 300, for all pairs of steps: states, values and gradients."""
    values = 300 * np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 4), -1).reshape(-1, 4).astype(dtype)
    n = len(values) ** 2
    first, second = np.repeat(values, len(values), 0), np.tile(values, (len(values), 1))
    gates = lambda u: slstm.gates(*jnp.split(u, 4, axis=-1))
    r = gates(np.zeros((n, 4), dtype))

    @compiled
    def run(params):
        def h(first, second, start):
            state = jax.tree.map(lambda leaf: leaf + start, slstm.initial_state(params, (n,)))
            for u in (first, second):
                state = slstm.core(params, state, gates(u), r)
            return state.h

        h, transpose = jax.vjp(h, first, second, jnp.zeros((), dtype))
        return h, transpose(jnp.ones_like(h))

    for learned in (False, True):
        params = slstm.init(jax.random.key(0), D, 1, learn_initial=learned, dtype=dtype)
        h, gradients = run(params)
        assert finite(slstm.initial_state(params)) and h.dtype == dtype
        assert finite((h, gradients)) and abs(h).max() <= 1


def test_slstm_in_float16_starts_as_in_float32():
    p = problem(slstm, T, (B,), D, H)
    params = p.params._replace(initial=None)
    half = lambda tree: jax.tree.map(lambda leaf: leaf.astype(jnp.float16), tree)
    run = jax.jit(lambda params, xs: unroll(slstm, params, None, xs)[1])
    assert_close(run(half(params), half(p.xs)).astype(jnp.float32), run(params, p.xs), 0.02, 0.02)


def test_a_learned_first_state_of_slstm_counts():
    p = problem(slstm, 1, (), D, H)
    first_output = lambda params: slstm(params, slstm.initial_state(params), p.xs[0])[1].sum()
    assert all((leaf != 0).all() for leaf in compiled(jax.grad(first_output))(p.params).initial)


# LRU.


def test_eigenvalues_of_lru_start_in_the_ring_and_stay_in_the_disc():
    params = lru.init(jax.random.key(0), D, 500, r_min=0.6, r_max=0.9, max_phase=1.0)
    λ = cell_oracles.complex_of(jax.tree.map(np.asarray, lru.prepare(params).eigenvalue))
    assert abs(λ).min() >= 0.6 - 1e-5 and abs(λ).max() <= 0.9 + 1e-5
    assert abs((abs(λ) ** 2).mean() - (0.6**2 + 0.9**2) / 2) < 0.01  # uniform in area
    assert 0 <= np.angle(λ).min() and np.angle(λ).max() <= 1 and abs(np.angle(λ).mean() - 0.5) < 0.05
    assert_close(np.exp(params.log_scale), np.sqrt(1 - abs(λ) ** 2), rtol=1e-4)

    rng = np.random.default_rng(0)
    for _ in range(5):  # as training might move them
        moved = lambda leaf: leaf + rng.normal(size=leaf.shape).astype(np.float32)
        params = params._replace(log_decay=moved(params.log_decay), log_phase=moved(params.log_phase))
        λ = lru.prepare(params).eigenvalue
        assert (λ.re**2 + λ.im**2).max() <= 1 and finite(λ)


def test_start_of_lru_keeps_the_size_of_its_input():
    """γ: for white input the states have its variance, at every modulus."""
    params = lru.init(jax.random.key(0), 1, 100, r_min=0.9, r_max=0.99)
    params = params._replace(input=jax.tree.map(lambda w: jnp.full_like(w, 0.5**0.5), params.input))
    xs = np.random.default_rng(0).normal(size=(300, 20, 1)).astype(np.float32)
    final, _ = jax.jit(functools.partial(unroll, lru))(params, None, xs)
    assert abs((final.re**2 + final.im**2).mean() - 1) < 0.1


# RG-LRU, minLSTM, IndRNN: starts and limits.


def test_rglru_on_its_own_width_is_the_papers(x64):
    """With the identity for the layer before it: eq. 4 reads x itself."""
    p = problem(rglru, T, (), H, H)
    layer = {"input": p.params.input._replace(candidate=jnp.eye(H))}
    layer["bias"] = p.params.bias._replace(candidate=jnp.zeros(H))
    params = p.params._replace(**layer)

    def step(params, h, x):
        r, i = (σ(W(params, gate) @ x + b(params, gate)) for gate in ("recurrence", "input"))
        log_a = -8 * np.log1p(np.exp(-params.decay)) * r
        return np.exp(log_a) * h + np.sqrt(1 - np.exp(2 * log_a)) * (i * x)

    _, ys = jax.jit(functools.partial(unroll, rglru))(params, p.state, p.xs)
    close(ys, np.stack(by_steps(step, params, p.state, p.xs)))


def test_start_and_limits_of_rglru():
    params = rglru.init(jax.random.key(0), D, 2000)
    kept = σ(np.float64(params.decay)) ** 8
    assert 0.9 - 1e-4 < kept.min() and kept.max() < 0.999 + 1e-4 and abs(kept.mean() - 0.9495) < 0.003

    params = rglru.init(jax.random.key(0), D, H)
    shut = params._replace(bias=params.bias._replace(recurrence=jnp.full(H, -200.0)))
    step = lambda params: rglru(params, jnp.ones(H), jnp.ones(D))[1]
    y, gradients = compiled(lambda params: (step(params), jax.grad(lambda p: step(p).sum())(params)))(shut)
    assert_close(y, np.ones(H))
    assert finite(gradients)


def test_minlstm_where_both_gates_are_shut():
    """f / (f + i) = 1 / (1 + exp(b_i - b_f)) as both go to 0, not 0 / 0."""
    params = minlstm.init(jax.random.key(0), D, H)
    shut = params.bias._replace(forget=jnp.full(H, -200.0), input=jnp.full(H, -201.0), candidate=jnp.ones(H))
    step = lambda bias: minlstm(params._replace(bias=bias), jnp.zeros(H), jnp.zeros(D))[1]
    y, gradients = compiled(lambda bias: (step(bias), jax.grad(lambda b: step(b).sum())(bias)))(shut)
    assert_close(y, np.full(H, 1 - σ(1.0)), rtol=1e-4)
    assert finite(gradients)


def test_indrnn_starts_with_memories_of_all_lengths():
    u = indrnn.init(jax.random.key(0), D, 2000).recurrent.candidate
    assert u.min() >= 0 and u.max() <= 1 and abs(u.mean() - 0.5) < 0.02 and abs(u.std() - 12**-0.5) < 0.02


# The diagonal cells.


@pytest.mark.parametrize("name", ["diagonal_gru", "diagonal_lstm"])
def test_std_of_the_recurrent_vectors(name):
    cell = CELLS[name]
    for options, std in (({"recurrent_std": 3.0}, 3), ({}, 2000**-0.5)):
        params = cell.init(jax.random.key(0), D, 2000, **options)
        vectors = [*params.recurrent, *getattr(params, "peephole", ())]
        assert len(vectors) == {"diagonal_gru": 3, "diagonal_lstm": 5}[name]
        assert all(abs(v.std() / std - 1) < 0.06 for v in vectors)


@pytest.mark.parametrize("name", ["indrnn", "brc", "unicornn", "diagonal_gru", "diagonal_lstm", "lrc"])
def test_units_see_themselves_alone(name):
    p = problem(CELLS[name], 1, (), D, H)
    jacobian = jax.jacobian(lambda state: CELLS[name](p.params, state, p.xs[0])[0])(p.state)
    for block in jax.tree.leaves(jacobian):
        assert (block == np.diag(np.diag(block))).all() and block.any()


def test_a_unit_of_brc_has_two_stable_states_where_a_is_above_1():
    """a = 2 without input: h = tanh(2 h) at ±0.9575; a = 0: both starts are forgotten."""
    params = zeros(brc, D, 2)
    step = functools.partial(unroll, brc, mode="plain")
    for feedback, expected in ((20.0, 0.957504), (-20.0, 0.0)):
        bias = params.bias._replace(feedback=jnp.full(2, feedback))
        final, _ = step(params._replace(bias=bias), jnp.array([0.1, -0.1]), np.zeros((100, D), np.float32))
        assert_close(final, np.array([expected, -expected]), atol=1e-5)


def test_starts_of_unicornn_and_lrc():
    params = unicornn.init(jax.random.key(0), 4, 500)
    w, V = params.recurrent.candidate, params.input.candidate
    assert w.min() >= 0 and w.max() <= 1 and abs(w.mean() - 0.5) < 0.05
    for leaf, bound in ((params.control, 0.1), (V, (6 / 65 / 4) ** 0.5)):
        assert abs(leaf).max() <= bound and abs(leaf.std() / bound - 3**-0.5) < 0.05
    assert not params.bias.candidate.any()
    leaves = jax.tree.leaves(lrc.init(jax.random.key(0), 200, 400))
    for i, leaf in enumerate(leaves):
        assert abs(leaf).max() <= 0.05 and abs(leaf.std() * 20 - 3**-0.5) < 0.1
        assert not any(np.allclose(leaf.ravel()[:200], other.ravel()[:200]) for other in leaves[:i])


# Oscillators, two time scales: the papers' explicit schemes, with numbers of one's own.


def test_unicornn_with_numbers_of_its_own(x64):
    cell = dataclasses.replace(unicornn, dt=0.3, alpha=2.0)
    p = problem(cell, T, (), D, H)
    expected = by_steps(functools.partial(cell_oracles.unicornn, Δt=0.3, α=2.0), p.params, p.state, p.xs)
    final, ys = jax.jit(functools.partial(unroll, cell))(p.params, p.state, p.xs)
    close((final, ys), (expected[-1], np.stack([state.y for state in expected])))


def test_a_step_of_unicornn_keeps_volumes(x64):
    """The Jacobian of (y, z) has the determinant 1: nothing is forgotten by contraction."""
    p = problem(unicornn, 1, (), D, 1)
    jacobian = jax.jacobian(lambda s: jnp.stack(unicornn(p.params, CoRNNState(*s), p.xs[0])[0]))
    close(jnp.linalg.det(jacobian(jnp.stack(p.state))[:, 0, :, 0]), 1.0)


def test_antisymmetric_with_numbers_of_its_own(x64):
    cell = dataclasses.replace(antisymmetric, epsilon=0.5, gamma=0.3)
    p = problem(cell, T, (), D, H)
    expected = by_steps(functools.partial(cell_oracles.antisymmetric, ε=0.5, γ=0.3), p.params, p.state, p.xs)
    _, ys = jax.jit(functools.partial(unroll, cell))(p.params, p.state, p.xs)
    close(ys, np.stack(expected))
    matrix = np.asarray(cell.prepare(p.params).recurrent.candidate)
    assert np.allclose(np.linalg.eigvals(matrix).real, -0.3)


def test_janet_with_a_beta_of_its_own(x64):
    cell = dataclasses.replace(janet, beta=0.0)
    assert cell.bounds == (-1, 1)
    p = problem(cell, T, (), D, H)
    expected = by_steps(functools.partial(cell_oracles.janet, β=0.0), p.params, p.state, p.xs)
    close(jax.jit(functools.partial(unroll, cell))(p.params, p.state, p.xs)[1], np.stack(expected))


def test_lem_with_a_step_of_its_own(x64):
    cell = dataclasses.replace(lem, dt=0.3)
    p = problem(cell, T, (), D, H)
    expected = by_steps(functools.partial(cell_oracles.lem, Δt=0.3), p.params, p.state, p.xs)
    final, ys = jax.jit(functools.partial(unroll, cell))(p.params, p.state, p.xs)
    close((final, ys), (expected[-1], np.stack([state.y for state in expected])))


def test_cornn_with_numbers_of_its_own(x64):
    cell = dataclasses.replace(cornn, dt=0.2, gamma=3.0, epsilon=2.0)
    p = problem(cell, T, (), D, H)
    expected = by_steps(functools.partial(cell_oracles.cornn, Δt=0.2, γ=3.0, ε=2.0), p.params, p.state, p.xs)
    final, ys = jax.jit(functools.partial(unroll, cell))(p.params, p.state, p.xs)
    close((final, ys), (expected[-1], np.stack([state.y for state in expected])))


def test_cornn_without_a_force_is_a_damped_oscillator(x64):
    """y'' = -γ y - ε y', small Δt: y(t) = exp(-ε t / 2) (cos ωt + ε / 2ω sin ωt), ω² = γ - ε² / 4."""
    cell = dataclasses.replace(cornn, dt=1e-4, gamma=9.0, epsilon=1.0)
    params = zeros(cell, 1, 1, dtype=jnp.float64)
    state = CoRNNState(jnp.ones(1), jnp.zeros(1))
    final, _ = jax.jit(functools.partial(unroll, cell))(params, state, np.zeros((20_000, 1)))
    t, ω = 2.0, (9 - 1 / 4) ** 0.5
    assert_close(final.y[0], np.exp(-t / 2) * (np.cos(ω * t) + np.sin(ω * t) / (2 * ω)), atol=1e-3)


@pytest.mark.parametrize("cell", [lem, cornn], ids=["lem", "cornn"])
def test_uniform_starts(cell):
    width = 50
    bound = width**-0.5 if cell is lem else (4 + 2 * width) ** -0.5
    params = cell.init(jax.random.key(0), 4, width)
    for leaf in jax.tree.leaves(params):
        assert abs(leaf).max() <= bound and abs(leaf.std() / bound - 3**-0.5) < 0.15


# scoRNN.


def test_recurrent_matrix_of_scornn_stays_orthogonal(x64):
    params = scornn.init(jax.random.key(0), D, 6, dtype=jnp.float64)
    rng = np.random.default_rng(0)
    for scale in (0, 1, 10, 100):  # as training might move it
        skew = params.recurrent.candidate + scale * rng.normal(size=(6, 6))
        moved = params._replace(recurrent=params.recurrent._replace(candidate=skew))
        w = scornn.prepare(moved).recurrent.candidate
        close(w @ w.T, np.eye(6))
        assert np.linalg.det(w) == pytest.approx((-1) ** 3)  # three signs of six


def test_start_of_scornn_turns_by_angles_up_to_a_right_one():
    cell = dataclasses.replace(scornn, negative=0.0)
    w = cell.prepare(cell.init(jax.random.key(0), D, 400)).recurrent.candidate
    angles = np.angle(np.linalg.eigvals(np.asarray(w)))
    angles = angles[angles > 0]
    assert len(angles) == 200 and angles.max() < np.pi / 2 and abs(angles.mean() - np.pi / 4) < 0.1


def test_scornn_keeps_the_size_of_what_it_holds():
    params = scornn.init(jax.random.key(0), D, 16)
    params = params._replace(bias=jax.tree.map(jnp.zeros_like, params.bias))
    h = np.random.default_rng(0).normal(size=16).astype(np.float32)
    final, _ = jax.jit(functools.partial(unroll, scornn))(params, h, np.zeros((1000, D), np.float32))
    assert_close(jnp.linalg.norm(final), np.linalg.norm(h), rtol=1e-3)


# M²RNN.


def test_m2rnn_of_several_heads(x64):
    cell = dataclasses.replace(m2rnn, heads=2, keys=3)
    p = problem(cell, T, (B,), D, 8)
    assert p.state.shape == (B, 2, 3, 4)
    final, ys = jax.jit(functools.partial(unroll, cell))(p.params, p.state, p.xs)
    for i in range(B):
        states = by_steps(cell_oracles.m2rnn, p.params, p.state[i], p.xs[:, i])
        outputs = [cell_oracles.m2rnn_output(p.params, S, x) for S, x in zip(states, p.xs[:, i], strict=True)]
        close((final[i], ys[:, i]), (states[-1], np.stack(outputs)))


def test_m2rnn_recalls_by_key():
    """Keys 0 .. 7 write their values, one after another; a query reads the value of its own key alone."""
    cell, n = dataclasses.replace(m2rnn, keys=8), 8
    params = zeros(cell, n + H, H)
    key, value = np.eye(n + H, n, dtype=np.float32), np.eye(n + H, H, -n, dtype=np.float32)
    forget = jnp.full(1, 3.0)
    params = params._replace(
        input=params.input._replace(query=key, key=key, value=value),
        bias=params.bias._replace(forget=forget),
        recurrent=jnp.eye(H)[None],
    )
    values = np.random.default_rng(0).normal(size=(n, H)).astype(np.float32)
    writes = np.concatenate([np.eye(n, dtype=np.float32), values], axis=1)
    state, _ = jax.jit(functools.partial(unroll, cell))(params, None, writes)
    read = cell.output(params, state, np.eye(n, n + H, dtype=np.float32)[:, None])[:, 0]
    shares = read / np.tanh(values)
    assert (shares > 0).all() and np.ptp(shares[-1]) < 1e-4  # the last: (1 - f) of its value, as written


# The delta rule.


def test_gated_deltanet_of_several_heads(x64):
    """And with β up to 1."""
    cell = dataclasses.replace(gated_deltanet, heads=2, keys=3, beta_max=1.0)
    p = problem(cell, T, (B,), D, 8)
    assert p.state.shape == (B, 2, 4, 3)
    final, ys = jax.jit(functools.partial(unroll, cell))(p.params, p.state, p.xs)

    def step(params, S, x):
        α = σ(W(params, "decay") @ x + b(params, "decay"))
        return cell_oracles.deltanet(params, S, x, α=α, β_max=1.0)

    for i in range(B):
        states = by_steps(step, p.params, p.state[i], p.xs[:, i])
        outputs = [
            cell_oracles.deltanet_output(p.params, S, x) for S, x in zip(states, p.xs[:, i], strict=True)
        ]
        close((final[i], ys[:, i]), (states[-1], np.stack(outputs)))


def test_deltanet_replaces_a_value_at_1_and_reflects_it_at_2(x64):
    params = zeros(deltanet, 1, H, dtype=jnp.float64)
    S, run = np.random.default_rng(0).normal(size=(1, H, 16)), compiled(deltanet)
    v, e = np.arange(H, dtype=float), np.eye(16)[3]
    for bias, left, written in ((0.0, 0, 1), (40.0, -1, 2), (-40.0, 1, 0)):  # β = 1, 2 and 0
        biases = params.bias._replace(key=1000 * e, value=v, rate=jnp.full(1, bias))
        after, _ = run(params._replace(bias=biases), S, np.zeros(1))
        expected = S.copy()
        expected[0, :, 3] = left * S[0, :, 3] + written * v
        assert_close(after, expected, rtol=1e-9, atol=1e-9)


# PD-SSM.


def test_hardmax_has_the_derivative_of_a_softmax(x64):
    m, direction = np.random.default_rng(0).normal(size=(2, 4, 6, 6))
    p, tangent = jax.jvp(hardmax, (m,), (direction,))
    assert (p.sum(-2) == 1).all() and (p.max(-2) == 1).all() and (p.argmax(-2) == m.argmax(-2)).all()
    close(tangent, jax.jvp(lambda m: jax.nn.softmax(m, axis=-2), (m,), (direction,))[1])


def test_pd_ssm_counts_modulo_five():
    """Each symbol turns a unit vector by its own number of places, for as long as one likes."""
    cell = dataclasses.replace(pd_ssm, dictionary=5)
    params = zeros(cell, 5, 5, learn_initial=True)
    turns = np.stack([np.roll(np.eye(5), k, axis=0) for k in range(5)])
    params = params._replace(
        input=params.input._replace(select=20 * jnp.eye(5)),
        bias=params.bias._replace(decay=jnp.full(5, 20.0)),  # tanh is 1
        recurrent=jnp.asarray(turns, jnp.float32),
        initial=jnp.eye(5)[0],
    )
    symbols = np.random.default_rng(0).integers(0, 5, 1000)
    _, ys = jax.jit(functools.partial(unroll, cell))(params, None, np.eye(5, dtype=np.float32)[symbols])
    assert (ys == np.eye(5)[np.cumsum(symbols) % 5]).all()


# Options out of range.


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: dataclasses.replace(lem, dt=0.0), "lem: dt=0.0 must be above 0 and at most 1"),
        (lambda: dataclasses.replace(cornn, gamma=-1.0), "cornn: gamma=-1.0 must be above 0"),
        (lambda: dataclasses.replace(scornn, negative=2), "scornn: negative=2 must be from 0 to 1"),
        (lambda: dataclasses.replace(m2rnn, heads=0), "m2rnn: heads must be an integer at least 1, got 0"),
        (lambda: dataclasses.replace(janet, beta=-1), "janet: beta=-1 must be at least 0"),
        (lambda: dataclasses.replace(antisymmetric, epsilon=0), "antisymmetric: epsilon=0 must be above 0"),
        (lambda: dataclasses.replace(unicornn, alpha=-1), "unicornn: alpha=-1 must be at least 0"),
        (lambda: dataclasses.replace(lrc, dt=2), "lrc: dt=2 must be above 0 and at most 1"),
        (
            lambda: dataclasses.replace(deltanet, beta_max=3),
            "DeltaNet: beta_max=3 must be above 0 and at most 2",
        ),
        (lambda: dataclasses.replace(deltanet, heads=2).init(jax.random.key(0), D, H), "of the 2 heads"),
        (
            lambda: dataclasses.replace(pd_ssm, dictionary=0),
            "pd_ssm: dictionary must be an integer at least 1",
        ),
        (
            lambda: dataclasses.replace(m2rnn, heads=2).init(jax.random.key(0), D, H),
            "hidden_size=5: must be a multiple of the 2 heads",
        ),
        (
            lambda: lru.init(jax.random.key(0), D, H, r_min=0.9, r_max=0.5),
            "r_min=0.9, r_max=0.5: must be 0 <= r_min < r_max <= 1",
        ),
        (lambda: lru.init(jax.random.key(0), D, 0), "hidden_size must be an integer at least 1, got 0"),
    ],
)
def test_options_out_of_range(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
