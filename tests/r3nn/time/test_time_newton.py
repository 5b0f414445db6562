"""Newton's method over time: the same numbers as step by step, whatever it takes."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from r3nn.cells import diagonal_gru, diagonal_lstm, gru, lstm, mgu, mugrnn
from r3nn.time import unroll
from r3nn.time._newton_info import newton
from r3nn.time.arrays.flags import Flags
from r3nn.time.deferred.scan import Arrays, Plan, scan, sequential
from r3nn.time.parallel.newton import Newton
from r3nn.time.parallel.newton import run_newton as solve
from tests.helpers import assert_close, compiled, number, outcome, pad, problem

close = functools.partial(assert_close, rtol=1e-9, atol=1e-10)
T, B, D, H = 13, 2, 4, 3

CASES = {
    "diagonal_gru": (diagonal_gru, Newton(window=5)),
    "diagonal_lstm": (diagonal_lstm, Newton(window=13)),
    "diagonal_gru, relu": (dataclasses.replace(diagonal_gru, activation=jax.nn.relu), Newton(window=13)),
    "gru, diagonal": (gru, Newton(window=13)),
    "gru, full": (gru, Newton(window=13, jacobian="full")),
    "lstm, full": (lstm, Newton(window=13, jacobian="full")),
    "mugrnn, diagonal": (mugrnn, Newton(window=13)),
    "mgu": (mgu, Newton()),
}


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_plain(x64, name):
    """With masks, resets, padding and a given state, in both directions between them; nothing re-run."""
    cell, options = CASES[name]
    reverse = list(CASES).index(name) % 2 == 1
    params, state, xs, mask, reset = problem(cell, T, (B,), D, H)

    @compiled
    def both(params, state, xs):
        flags = dict(mask=mask, reset=reset, reverse=reverse)
        *values, info = newton(cell, params, state, xs, **flags, options=options)
        return tuple(values), unroll(cell, params, state, xs, **flags, mode="plain"), info

    values, expected, info = both(params, state, pad(xs, mask))
    close(values, expected)
    assert not info.rerun.any() and info.residual.max() < 1e-14
    assert info.iterations.shape == (-(-T // (options.window or T)),) and info.iterations.min() >= 1


@pytest.mark.parametrize("cell", [gru, diagonal_lstm], ids=["approximate", "exact"])
def test_gradients_are_exact(x64, cell):
    """Also where the forward used an approximate Jacobian."""
    params, state, xs, mask, reset = problem(cell, T, (B,), D, H)

    @compiled
    def both(params, state, xs):
        modes = (Newton(window=T, jacobian="diagonal"), "plain")
        return [outcome(cell, params, state, xs, mask=mask, reset=reset, mode=mode) for mode in modes]

    close(*both(params, state, pad(xs, mask)))


@pytest.mark.parametrize("cell", [gru, diagonal_gru], ids=["dense", "diagonal"])
def test_a_stalled_window_is_run_again(x64, cell):
    args = problem(cell, T, (B,), D, H)[:3]

    @compiled
    def both(*args):
        return newton(cell, *args, options=Newton(window=T, max_iterations=1)), unroll(
            cell, *args, mode="plain"
        )

    (*values, info), expected = both(*args)
    close(tuple(values), expected)
    assert info.rerun.all() and (info.iterations == 1).all() and info.residual.max() > 1e-6


@pytest.mark.parametrize("cell, scale", [(diagonal_gru, 7.0), (gru, 12.0)], ids=["diagonal", "dense"])
def test_chaos_is_run_step_by_step(cell, scale):
    """In float32: rounding differences would grow to the size of the states."""
    params, state, xs, *_ = problem(cell, 256, (B,), D, 64 if cell is diagonal_gru else 8)
    params = params._replace(recurrent=jax.tree.map(lambda w: scale * w, params.recurrent))

    @compiled
    def both(*args):
        nudged = jax.tree.map(lambda s: s * (1 + 1e-6), args[1])
        options = Newton(window=64)
        plain = functools.partial(unroll, cell, mode="scan")
        return newton(cell, *args, options=options), plain(*args), plain(args[0], nudged, args[2])

    (*values, info), expected, nudged = both(params, state, xs)
    assert jnp.abs(expected[1] - nudged[1]).max() > 1e-2, "these weights are not chaotic"
    assert info.rerun.all()
    assert_close(tuple(values), expected, rtol=0, atol=1e-5)


def test_few_iterations(x64):
    """At a residual of 1e-6, the more the stronger the recurrence."""
    xs = jax.random.normal(jax.random.key(0), (256, B, 16))
    options = Newton(window=64, tolerance=1e-6)
    iterations = compiled(
        lambda params: newton(diagonal_gru, params, None, xs, options=options)[-1].iterations
    )
    init = functools.partial(diagonal_gru.init, jax.random.key(1), 16, 16, dtype=jnp.float64)
    found = [iterations(init(recurrent_std=std)) for std in (0.3, 1.0, 2.0, 4.0)]
    weak, one, two, four = map(np.asarray, found)
    assert weak.max() <= 4 and one.max() <= 8 and two.mean() <= 24 and four.max() <= 40, (
        weak,
        one,
        two,
        four,
    )


def test_vmap_over_params(x64):
    params, state, xs, *_ = problem(diagonal_gru, T, (B,), D, H)
    several = jax.tree.map(lambda w: jnp.stack([w, 4 * w]), params)
    run = lambda mode: jax.vmap(lambda p: unroll(diagonal_gru, p, state, xs, mode=mode))
    close(*compiled(lambda p: (run(Newton(window=T))(p), run("plain")(p)))(several))


def test_what_newton_refuses():
    for options, sentence in (
        (dict(window=0), "window"),
        (dict(tolerance=0.0), "tolerance=0.0: must be a number above 0"),
        (dict(jacobian="none"), "jacobian"),
        (dict(tolerance="small"), "tolerance='small': must be a number above 0"),
        (dict(window=3, axis_name="time"), "all steps are one window"),
    ):
        with pytest.raises(ValueError, match=sentence):
            Newton(**options)
    with pytest.raises(ValueError, match="opaque"):
        newton(mgu, *problem(mgu, 3, (B,), D, H)[:3], options=Newton(jacobian="diagonal"))
    p, options = problem(gru, 3, (B,), D, H), Newton(axis_name="time")
    with pytest.raises(ValueError, match="newton over devices needs"):
        run = lambda xs: newton(gru, p.params, p.state, xs, options=options)
        jax.vmap(run, axis_name="time")(p.xs[None])
    p = problem(diagonal_gru, 3, (B,), D, H)
    with pytest.raises(ValueError, match="time over devices takes .* no reset with reverse"):
        newton(diagonal_gru, *p[:3], reset=p.reset, reverse=True, options=options)
    with pytest.raises(ValueError, match="axis_name='time': no axis of that name .* inside jax.shard_map"):
        unroll(diagonal_gru, *p[:3], mode=options)
    with pytest.raises(NotImplementedError, match="first derivatives only"):
        args = problem(diagonal_gru, 3, (B,), D, H)[:3]
        loss = lambda xs: number(unroll(diagonal_gru, *args[:2], xs, mode=Newton()))
        jax.eval_shape(jax.grad(lambda xs: number(jax.grad(loss)(xs))), args[2])


@pytest.mark.parametrize("cell", [gru, diagonal_lstm], ids=["approximate", "exact"])
def test_states_of_bfloat16(cell):
    """Solved as far as their few digits go, with gradients."""
    low = lambda tree: jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), tree)
    args = low(problem(cell, T, (B,), D, H)[:3])
    both = compiled(lambda *args: [outcome(cell, *args, mode=mode) for mode in ("plain", "newton")])
    plain, solved = both(*args)
    assert_close(solved, plain, rtol=0.05, atol=0.05)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(solved)} == {"bfloat16"}


@pytest.mark.parametrize("shards, reverse, limit", [(2, True, None), (4, False, 1)])
def test_time_sharded_over_devices(x64, shards, reverse, limit):
    """Values and gradients equal those of one device, also where the devices have to take turns."""
    mesh = jax.make_mesh((shards,), ("time",), (AxisType.Auto,), devices=jax.devices()[:shards])
    params, state, xs, mask, _ = problem(diagonal_lstm, 12, (B,), D, H)
    plan = Plan(diagonal_lstm, 4, 1, reverse, True, sequential)
    axes = jax.tree.map(lambda _: 0, state)
    options = Newton(axis_name="time", max_iterations=limit)

    def sharded(params, state, xs, mask):
        return solve(plan, Arrays(params, None, state, xs, Flags(mask, None)), axes, options)

    time, same = P("time"), P()
    sharded = jax.shard_map(sharded, mesh=mesh, in_specs=(same, same, time, time), out_specs=(same, time))
    alone = lambda params, state, xs, mask: scan(
        plan, Arrays(params, None, state, xs, Flags(mask, None)), axes
    )

    def everything(run):
        def loss(params, state, xs):
            values = run(params, state, xs, mask)
            return number(values), values

        return compiled(jax.grad(loss, (0, 1, 2), has_aux=True))

    close(everything(sharded)(params, state, xs), everything(alone)(params, state, xs))
