"""What holds for all flags of `unroll`, and for all coefficients of `linear_scan`. One program for each."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from r3nn import unroll
from r3nn.cells import gru
from r3nn.time import linear_scan
from tests.helpers import assert_close, compiled, problem
from tests.properties import few

T, B, D, H = 8, 2, 2, 3

flags = arrays(bool, (T, B))
numbers = functools.partial(arrays, np.float32, elements=st.floats(-2, 2, width=32, allow_subnormal=False))
P = problem(gru, T, (B,), D, H)


@functools.cache
def programs():
    """By mode and direction; and one step."""

    def run(mode, reverse, xs, mask, reset):
        return unroll(gru, P.params, P.state, xs, mask=mask, reset=reset, mode=mode, reverse=reverse)

    ways = {(m, r): compiled(functools.partial(run, m, r)) for m in ("plain", "scan") for r in (False, True)}
    step = compiled(lambda state, x: gru(P.params, state, x))
    return ways, step, jax.device_get(gru.initial_state(P.params, (B,)))


@few
@given(flags, flags, st.booleans())
def test_flags_mean_what_the_loop_says(mask, reset, reverse):
    """Steps that are masked are none, whatever their inputs; a segment starts anew, whichever the way."""
    ways, step, initial = programs()
    xs = np.where(mask[..., None], P.xs, np.nan)
    state, ys = np.asarray(P.state), np.zeros((T, B, H), np.float32)
    y = state  # the output of a GRU is its state
    for t in range(T)[:: -1 if reverse else 1]:
        first = reset[t] if not reverse else reset[t + 1] if t + 1 < T else np.zeros(B, bool)
        state = np.where(first[:, None], initial, state)
        stepped, _ = step(state, P.xs[t])
        state = y = np.where(mask[t][:, None], stepped, state)
        ys[t] = y
    for mode in ("plain", "scan"):
        assert_close(ways[mode, reverse](xs, mask, reset), (state, ys))


@functools.cache
def scanned(reverse):
    return compiled(functools.partial(linear_scan, reverse=reverse))


@few
@given(numbers((T, H)), numbers((T, H)), numbers((H,)), arrays(bool, (T,)), st.booleans())
def test_steps_that_change_nothing_are_none(a, b, h0, there, reverse):
    """s_t = 1 s_{t-1} + 0 among the others: theirs are those of the loop over them alone."""
    a, b = (np.where(there[:, None], x, np.float32(fill)) for x, fill in ((a, 1), (b, 0)))
    s, expected = h0.astype(float), np.zeros((T, H))
    for t in range(T)[:: -1 if reverse else 1]:
        s = a[t] * s + b[t] if there[t] else s
        expected[t] = s
    assert_close(scanned(reverse)(a, b, h0), expected, rtol=1e-4, atol=1e-4)


@few
@given(numbers((T, H)), numbers((2, T, H)), numbers((2, H)), st.integers(1, T - 1))
def test_it_is_linear_and_may_be_cut_anywhere(a, b, h0, cut):
    run = scanned(False)
    close = functools.partial(assert_close, rtol=1e-3, atol=1e-2)
    whole = run(a, b[0], h0[0])
    close(run(a, b[0] - 2 * b[1], h0[0] - 2 * h0[1]), whole - 2 * run(a, b[1], h0[1]))
    tail = np.arange(T)[:, None] >= cut  # before it: the state at the cut, which nothing changes
    rest = run(np.where(tail, a, np.float32(1)), np.where(tail, b[0], np.float32(0)), whole[cut - 1])
    close(rest[cut:], whole[cut:])
    mirrored = scanned(True)(a[::-1], b[0][::-1], h0[0])
    close(jnp.flip(mirrored, 0), whole)
