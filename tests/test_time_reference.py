"""The plainest deferred gradient: equal to the modes "scan" and "plain", and to NumPy's differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn import CELLS, unroll
from r3nn.time._reference import reference
from tests import oracles
from tests.helpers import assert_close, compiled, number, pad, problem, unless_slow

T, B, D, H = 9, 3, 2, 4

STRUCTURED = [name for name, cell in CELLS.items() if cell.recurrence != "opaque"]
#: each way to read the state, and one that prepares its params
FEW = ("gru", "scornn", "mugrnn", "diagonal_lstm", "lru")


def along_a_line(cell, p, xs, ε, direction):
    """number of what NumPy makes of params, state and xs, ε along `direction` from them."""
    params, state, xs = jax.tree.map(lambda a, d: np.asarray(a) + ε * d, (p.params, p.state, xs), direction)
    finals, ys = [], []
    for b in range(B):
        run = functools.partial(oracles.unroll, cell, params, oracles.entry(cell, state, b), xs[:, b])
        final, y = run(mask=p.mask[:, b], reset=p.reset[:, b])
        finals.append(final)
        ys.append(y)
    final = jax.tree.map(lambda *leaves: np.stack(leaves), *finals)
    return number(jax.tree.map(jnp.asarray, (final, np.stack(ys, axis=1))))


@pytest.mark.parametrize("name", unless_slow(STRUCTURED, FEW))
def test_equal_scan_plain_and_numpy(name, x64):
    """Values and gradients wrt params, entry state and inputs; masked and reset."""
    cell = CELLS[name]
    p = problem(cell, T, (B,), D, H)
    xs = pad(p.xs, p.mask)
    ways = [reference] + [functools.partial(unroll, mode=mode) for mode in ("scan", "plain")]

    @compiled
    def run(params, state, xs):
        def loss(params, state, xs, way):
            values = way(cell, params, state, xs, mask=p.mask, reset=p.reset)
            return number(values), values

        gradient = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)
        return [gradient(params, state, xs, way) for way in ways]

    ours, *others = run(p.params, p.state, xs)
    for other in others:
        assert_close(ours, other, rtol=1e-10, atol=1e-11)
    draw = np.random.default_rng(1)
    direction = jax.tree.map(lambda leaf: draw.normal(size=leaf.shape), (p.params, p.state, xs))
    above, below = (along_a_line(cell, p, xs, ε, direction) for ε in (1e-6, -1e-6))
    slope = sum(jax.tree.leaves(jax.tree.map(lambda a, d: jnp.sum(a * d), ours[1], direction)))
    np.testing.assert_allclose(slope, (above - below) / 2e-6, rtol=1e-6)
