"""How far gradients reach, against products of Jacobians in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn.analysis import decay, gradient_flow
from r3nn.cells import elman, gru
from r3nn.compose import deep


def in_float64(cell, in_size, hidden, **options):
    params = cell.init(jax.random.key(0), in_size, hidden, **options)
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)


def test_of_one_cell(x64):
    """|w J_T ... J_{t+1}|, the root of the mean square over sequences."""
    params, xs = in_float64(gru, 2, 3), jax.random.normal(jax.random.key(1), (6, 4, 2))
    (flow,) = gradient_flow(gru, params, xs)
    w = np.array(jax.random.normal(jax.random.key(0), (4, 3)))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    squares = np.zeros(6)
    slope = jax.jit(jax.jacfwd(lambda h, x: gru(params, h, x)[0]))
    step = jax.jit(lambda h, x: gru(params, h, x)[0])
    for row in range(4):
        states = [jnp.zeros(3)]
        for x in xs[:, row]:
            states.append(step(states[-1], x))
        back = w[row]
        for t in reversed(range(6)):
            squares[t] += back @ back
            back = back @ np.asarray(slope(states[t], xs[t, row]))
    np.testing.assert_allclose(flow.size, np.sqrt(squares / 4), rtol=1e-10)
    assert flow.size[-1] == pytest.approx(1) and flow.cell == gru


def test_of_a_loss_at_all_depths(x64):
    """At the last step it is not 0 at any depth: it goes from level to level within the step."""
    cell = deep(gru, 3)
    params, xs = in_float64(cell, 2, 3), jax.random.normal(jax.random.key(1), (5, 2, 2))
    flows = gradient_flow(cell, params, xs, lambda final, ys: jnp.sum(ys[-1] ** 2))
    assert len(flows) == 3 and all(flow.size[-1] > 0 for flow in flows)
    twice = gradient_flow(cell, params, xs, lambda final, ys: 2 * jnp.sum(ys[-1] ** 2))
    np.testing.assert_allclose(twice[1].size, 2 * flows[1].size)


def test_behind_a_reset_nothing_arrives(x64):
    params, xs = in_float64(elman, 2, 3), jax.random.normal(jax.random.key(1), (6, 2, 2))
    reset = np.zeros((6, 2), bool)
    reset[3] = True
    (flow,) = gradient_flow(elman, params, xs, reset=reset)
    assert (np.asarray(flow.size)[:3] == 0).all() and (np.asarray(flow.size)[3:] > 0).all()


def test_decay():
    """A straight line in logarithms is found as it is; one that never falls has no horizon."""
    found = decay(np.exp(-0.1 * np.arange(200)[::-1]))
    assert found.horizon == 70 and found.rate == pytest.approx(-0.1) and found.error < 1e-12
    assert decay(np.ones(50)) == (None, 0, 0)
    crooked = decay(np.exp(-0.1 * np.arange(60)[::-1] + np.tile([0.1, -0.1], 30)))
    assert crooked.horizon is None and crooked.rate == pytest.approx(-0.1, abs=0.002) and crooked.error > 1e-4
    assert np.isnan(decay(np.array([0.0, 0, 0, 1])).rate)


@pytest.mark.slow
def test_horizons_at_the_start(x64):
    """elman forgets within 40 steps, gru within 100, and biases spread over 1,000 steps (chrono) keep all."""
    xs = jax.random.uniform(jax.random.key(1), (1000, 4, 2), jnp.float64)

    def horizon(cell, **options):
        return decay(gradient_flow(cell, in_float64(cell, 2, 64, **options), xs)[0].size).horizon

    assert 20 <= horizon(elman) <= 40 and horizon(gru) < 100 and horizon(gru, chrono=1000.0) is None
