"""Gates of cells, of ours and of one that nobody has told about."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import r3nn
from r3nn.analysis import gates
from r3nn.cells import Cell, gru, lstm, ugrnn
from r3nn.compose import chain, deep, feedback
from tests.helpers import TanhReadout


def σ(a):
    return 1 / (1 + np.exp(-np.asarray(a)))


def drawn(cell, seed=0):
    params = cell.init(jax.random.key(seed), 3, 4)
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)


@pytest.fixture
def xs(x64):
    return jax.random.normal(jax.random.key(1), (6, 2, 3))


def test_they_are_the_equations(xs):
    params = drawn(ugrnn)
    ys, (found,) = gates(ugrnn, params, xs)
    before = np.concatenate([np.zeros((1, 2, 4)), ys[:-1]])
    z = σ(xs @ params.input.update + params.bias.update + before @ params.recurrent.update)
    np.testing.assert_allclose(found.values["update"], z, rtol=1e-12)
    candidate = np.tanh(
        xs @ params.input.candidate + params.bias.candidate + before @ params.recurrent.candidate
    )
    np.testing.assert_allclose(ys, (1 - z) * before + z * candidate, rtol=1e-12, atol=1e-15)
    assert found.cell == ugrnn and set(found.values) == {"update"}


def test_of_each_part_of_a_composition(xs):
    """Outputs are those of `unroll`; each level has its own."""
    cell = chain(lstm, deep(gru, 2))
    params = drawn(cell)
    ys, found = gates(cell, params, xs)
    np.testing.assert_allclose(
        ys, r3nn.unroll(cell, params, None, xs, mode="plain")[1], rtol=1e-12, atol=1e-15
    )
    assert [part.cell for part in found] == [lstm, gru, gru]
    assert [set(part.values) for part in found] == [{"input", "forget", "output"}] + 2 * [{"reset", "update"}]
    assert not np.allclose(found[1].values["reset"], found[2].values["reset"])


def test_a_change_acts(xs):
    """A shut update gate keeps the state at its start; an open one makes the cell a plain recurrence."""
    params = drawn(ugrnn)
    ys, (found,) = gates(ugrnn, params, xs, lambda name, z: jnp.zeros_like(z))
    assert not ys.any() and not found.values["update"].any()
    ys, _ = gates(ugrnn, params, xs, lambda name, z: jnp.ones_like(z) if name == "update" else z)
    h = np.zeros((2, 4))
    for t in range(6):
        a = xs[t] @ params.input.candidate + params.bias.candidate + h @ params.recurrent.candidate
        h = np.tanh(np.asarray(a))
        np.testing.assert_allclose(ys[t], h, rtol=1e-12, atol=1e-15)


@dataclasses.dataclass(frozen=True)
class Own(Cell):
    """A user's cell, whose gate reads the state alone, inside a function of his."""

    def init(self, key, in_size, hidden_size):
        return jax.random.normal(key, (in_size, hidden_size))

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, params.shape[1]), params.dtype)

    def step(self, params, state, u):
        keep = jax.jit(jax.nn.sigmoid)(state)
        return keep * state + (1 - keep) * jnp.tanh(u)

    def project(self, params, x):
        return x @ params


def test_of_a_users_cell(xs):
    cell = Own()
    params = drawn(cell)
    ys, (found,) = gates(cell, params, xs)
    before = np.concatenate([np.zeros((1, 2, 4)), ys[:-1]])
    np.testing.assert_allclose(found.values["state"], σ(before), rtol=1e-12)


def test_output_feedback(xs):
    cell = feedback(gru, TanhReadout())
    params = drawn(cell)
    ys, (found,) = gates(cell, params, xs)
    expected = r3nn.unroll(cell, params, None, xs, mode="plain")[1]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15), ys, expected)
    assert set(found.values) == {"reset", "update"}
