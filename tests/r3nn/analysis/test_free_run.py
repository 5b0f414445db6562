"""Free runs, against a loop, and against systems whose exponents are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from r3nn import model
from r3nn.analysis import lyapunov_exponents, running_free, valid_steps
from r3nn.tasks import TASKS
from r3nn.tasks._lorenz import lorenz_step
from tests.helpers import assert_close, compiled, drawn


def largest_exponent(step, state, steps, skip=0):
    return lyapunov_exponents(lambda state, _: step(state), state, steps + skip, 1, warmup=skip)[0]


def test_the_exponent_of_lorenz_is_what_the_task_says():
    measure = compiled(lambda state: jax.vmap(lambda s: largest_exponent(lorenz_step, s, 4000, 1000))(state))
    starts = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32) + np.float32([[0, 0, 20]])
    assert measure(starts).mean() == pytest.approx(TASKS["lorenz"].lyapunov, rel=0.02)


def test_a_state_that_forgets_at_once():
    assert largest_exponent(jnp.zeros_like, jnp.ones(2), 5) < -80


@pytest.mark.parametrize("feedback", ["", "values"])
def test_a_free_run_is_a_loop_over_its_own_output(feedback):
    built = model.build(in_size=2, out_size=2, hidden_size=4, cell="gru", feedback=feedback, mode="scan")
    params = jax.tree.map(jnp.asarray, drawn(built.init))
    xs = np.random.default_rng(1).normal(size=(5, 3, 2)).astype(np.float32)
    step, state = running_free(built, params, xs)
    carry, ys = built.chunk(params, built.start(params, (3,)), xs)
    for _ in range(3):
        state = step(state)
        assert_close(state[1], ys[-1])
        carry, ys = built.chunk(params, carry, ys[-1:])


def test_the_exponent_of_a_network():
    """In float64, from the whole derivative of all steps together."""
    with jax.enable_x64(True):
        built = model.build(in_size=2, out_size=2, hidden_size=4, cell="gru", init={"dtype": jnp.float64})
        params = jax.tree.map(lambda leaf: 3 * jnp.asarray(leaf), drawn(built.init))
        step, state = running_free(built, params, np.ones((2, 2)))
        flat, back = ravel_pytree(state)
        moved = jax.jit(lambda flat: ravel_pytree(step(back(flat)))[0])
        jacobian, product, growth = jax.jit(jax.jacfwd(moved)), np.eye(len(flat)), []
        for _ in range(60):
            product = np.asarray(jacobian(flat)) @ product
            growth.append(np.log(np.linalg.norm(product, 2)))
            flat = moved(flat)
        wanted = (growth[-1] - growth[19]) / 40
        assert largest_exponent(step, state, 40, 20) == pytest.approx(wanted, abs=0.02)


def test_valid_steps_by_hand():
    """Of a scale of 5: off by 1.9, by 2.1 at step 2, by a NaN at step 1."""
    true = np.broadcast_to(np.float32([3, 4]), (3, 4, 2))
    found = true.copy()
    found[0, 1, 0] += 1.9
    found[1, 2, 1] -= 2.1
    found[2, 1, 0] = np.nan
    assert valid_steps(found, true).tolist() == [4, 2, 1]
    assert valid_steps(found, true, threshold=0.3).tolist() == [1, 2, 1]
