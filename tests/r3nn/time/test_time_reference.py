"""The plainest deferred gradient equals "scan", "plain" and NumPy's differences; its README.md is true."""

import functools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn import CELLS, time, unroll
from r3nn.cells import gru
from r3nn.time.deferred.reference import reference
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


TIME = Path(time.__file__).parent


def readme():
    return (TIME / "deferred" / "README.md").read_text("utf-8")


def test_the_readme_takes_a_step_of_a_gru_back(x64):
    p = problem(gru, 1, (B,), D, H)
    program = {"jnp": jnp, "sigmoid": jax.nn.sigmoid}
    exec(re.search(r"^```python\n(.*?)^```$", readme(), re.DOTALL | re.MULTILINE)[1], program)

    def step(h, u, U, b):
        gates = type(p.params.recurrent)(*jnp.split(U, 3, axis=-1))
        return gru.step(p.params._replace(recurrent=gates, recurrent_bias=b), h, type(gates)(*u))

    u, U, b = tuple(gru.project(p.params, p.xs[0])), jnp.concatenate(p.params.recurrent, axis=-1), p.params[3]
    λ = jnp.sin(jnp.arange(B * H * 1.0)).reshape(B, H)
    back = program["gru_step_back"](U, b[None], u, p.state, λ)
    assert_close(back, jax.vjp(step, p.state, u, U, b)[1](λ), rtol=1e-12, atol=1e-13)


def test_what_the_readme_names_is_there():
    named = re.findall(r"`(\w+/\w+\.py|_\w+\.py)(?::(\w+))?`", readme())
    assert len(named) > 15
    for name, function in named:
        assert re.search(rf"^(def|class) {function}\b", (TIME / name).read_text("utf-8"), re.MULTILINE)
