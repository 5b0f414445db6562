"""Lyapunov exponents against those that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn.analysis import cell_exponents, lyapunov_exponents
from r3nn.cells import gru
from r3nn.compose import slow
from r3nn.tasks._lorenz import lorenz_step


def of_map(step, state, steps, k=None, **options):
    found = lyapunov_exponents(lambda s, _: step(s), state, steps, k, **options)
    return np.asarray(found)


def test_henon(x64):
    """The published .4192; the sum is the logarithm of the determinant .3, which is the same everywhere."""
    step = lambda s: jnp.stack([1 - 1.4 * s[0] ** 2 + s[1], 0.3 * s[0]])
    found = of_map(step, jnp.array([0.1, 0.1]), 20_000, warmup=100)
    assert found[0] == pytest.approx(0.4192, rel=0.02) and found.sum() == pytest.approx(np.log(0.3), abs=1e-3)


def test_a_linear_map(x64):
    """Logarithms of the singular directions of a normal matrix; a QR only every third step gives the same."""
    turn = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (4, 4)))[0]
    step = lambda s: turn @ (jnp.array([1.0, 0.9, 0.5, 0.4]) * (turn.T @ s))
    for every in (1, 3):
        found = of_map(step, jnp.ones(4), 3000, 3, every=every)
        np.testing.assert_allclose(found, np.log([1, 0.9, 0.5]), atol=2e-3)


@pytest.mark.slow
def test_lorenz(x64):
    found = of_map(lambda s: lorenz_step(s, 0.01), jnp.ones(3), 200_000, warmup=5000, every=5) / 0.01
    assert found[0] == pytest.approx(0.9056, rel=0.02) and abs(found[1]) < 0.005
    assert found[2] == pytest.approx(-14.57, rel=0.01)


def test_a_random_network(x64):
    """Below the edge the rate is that of the linear part; beyond it, chaos. Sompolinsky et al. 1988."""
    J = jax.random.normal(jax.random.key(1), (60, 60)) / np.sqrt(60)
    radius = np.abs(np.linalg.eigvals(np.asarray(J))).max()
    of = lambda g: of_map(lambda s: jnp.tanh(g * (J @ s)), jnp.ones(60), 2500, 2, warmup=300)[0]
    assert of(0.8) == pytest.approx(np.log(0.8 * radius), abs=0.01) and of(2.5) > 0


def test_of_a_cell_against_products_of_jacobians(x64):
    """NumPy: the mean logarithm of the singular values of the product, QR by QR."""
    cast = lambda tree: jax.tree.map(lambda leaf: leaf.astype(jnp.float64), tree)
    params, xs = cast(gru.init(jax.random.key(0), 2, 3)), jax.random.normal(jax.random.key(1), (40, 2, 2))
    found = cell_exponents(gru, params, xs, 2)
    step = jax.jit(lambda h, x: gru(params, h, x)[0])
    slope = jax.jit(jax.jacfwd(step))
    for row in range(2):
        state, q = jnp.zeros(3), np.linalg.qr(np.asarray(jax.random.normal(jax.random.key(0), (3, 2))))[0]
        total = 0
        for x in xs[:, row]:
            q, r = np.linalg.qr(np.asarray(slope(state, x)) @ q)
            state, total = step(state, x), total + np.log(np.abs(np.diag(r)))
        np.testing.assert_allclose(found.each[row], total / 40, rtol=1e-8)
    np.testing.assert_allclose(found.exponents, found.each.mean(0))
    np.testing.assert_allclose(found.error, np.abs(found.each[0] - found.each[1]) / 2)


def test_states_with_counters():
    """An integer in the state is carried along; a slow cell that stands still moves no tangent."""
    cell = slow(gru, 2)
    params = cell.init(jax.random.key(0), 2, 3)
    found = cell_exponents(cell, params, jnp.ones((8, 1, 2)), 1)
    assert np.isfinite(found.exponents).all() and np.isnan(found.error).all()


def test_too_few_steps():
    with pytest.raises(ValueError, match="xs must have at least 1 steps more than warmup=5, got 5"):
        of_map(lambda s: s, jnp.ones(2), 5, warmup=5)
