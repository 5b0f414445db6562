"""`with_states`: the states of all steps are those that a loop passes through, with their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn import deep, unroll, with_states
from r3nn.cells import LSTMState, lru, lstm
from tests.helpers import assert_close, compiled

T, B, D, H = 9, 2, 3, 3
XS, MASK = np.random.default_rng(0).normal(size=(T, B, D)), np.random.default_rng(1).random((T, B)) < 0.7


@pytest.mark.parametrize(
    "cell, modes",
    [
        (lstm, ("chunked", "newton")),
        (lru, ("scan", "linear")),
        (deep(lstm, 2), ("scan", "chunked")),
        pytest.param(lstm, ("scan",), marks=pytest.mark.slow),
        pytest.param(lru, ("chunked",), marks=pytest.mark.slow),
    ],
    ids=["lstm", "lru", "deep", "lstm, scan", "lru, chunked"],
)
def test_states_and_their_gradients_in_each_mode(cell, modes, x64):
    # A bare function's states have their batch axes first; those of a deep cell are [L, B, H].
    mask = MASK if cell in (lstm, lru) else None
    params = compiled(lambda key: cell.init(key, D, H, dtype=jnp.float64))(jax.random.key(0))

    def states_of(cell, mode, chunk=None):
        def total(params, xs):
            states = unroll(cell, params, first, xs, mask=mask, mode=mode, chunk=chunk)[1]
            return sum(jnp.sum(jnp.sin((i + 1) * s)) for i, s in enumerate(jax.tree.leaves(states))), states

        return jax.value_and_grad(total, argnums=(0, 1), has_aux=True)

    @compiled
    def run(params, xs):
        ways = ((mode, 4 if mode == "chunked" else None) for mode in modes)
        inside = [states_of(with_states(cell), mode, chunk)(params, xs) for mode, chunk in ways]
        passed = lambda params, state, x: (cell(params, state, x)[0],) * 2  # of which nothing is known
        return states_of(passed, "plain")(params, xs), [
            *inside,
            states_of(with_states(cell), "plain")(params, xs),
        ]

    first = cell.initial_state(params, (B,))
    expected, given = run(params, XS)
    assert_close(given, [expected] * len(given), 1e-8, 1e-9)


def test_states_have_the_form_of_the_state():
    params = jax.eval_shape(lambda key: deep(lstm, 4).init(key, D, H), jax.random.key(0))
    cell, xs = with_states(deep(lstm, 4)), jnp.zeros((T, B, D))
    final, states = jax.eval_shape(lambda params: unroll(cell, params, None, xs), params)
    assert isinstance(states, LSTMState) and states.c.shape == (T, 4, B, H) == (T, *final.c.shape)


def test_what_is_no_cell_is_refused():
    with pytest.raises(TypeError, match="is no Cell"):
        with_states("lstm")
