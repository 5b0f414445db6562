"""`linear_scan` against loops in NumPy, whichever way it runs; mode="linear" against mode="plain"."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from r3nn.cells import gru, lru, mingru
from r3nn.time._unroll import unroll
from r3nn.time.arrays.flags import Flags
from r3nn.time.deferred.scan import Arrays, Plan, sequential
from r3nn.time.parallel.linear import Linear, _coefficients, solve_linear
from r3nn.time.parallel.linear_scan import adjoint, linear_scan
from tests.helpers import assert_close, compiled, equations, inside, number, outcome, pad, problem

close = functools.partial(assert_close, rtol=1e-11, atol=1e-12)
B, H, K = 2, 3, 2

#: name: (shape of a behind its time axis, whether it has one, dtype, blocks)
KINDS = {
    "diagonal": ((B, H), True, float, False),
    "complex": ((B, H), True, complex, False),
    "same for the batch": ((1, H), True, float, False),
    "constant": ((H,), False, float, False),
    "complex constant": ((1, H), False, complex, False),
    "planes": ((B, H, K, K), True, float, True),
    "constant planes": ((K, K), False, float, True),
    "matrices": ((B, 5, 5), True, float, True),
}


def draw(kind, T, seed=0):
    """(a, b, h0, dL/ds): what a function of `linear_scan` is given."""
    shape, moves, dtype, blocks = KINDS[kind]
    rng = np.random.default_rng(seed)
    real = lambda *shape: rng.normal(size=shape)
    some = (lambda *s: real(*s) + 1j * real(*s)) if dtype is complex else real
    vector = {"matrices": (B, 5)}.get(kind, (B, H, K) if blocks else (B, H))
    a = 0.5 * some(*((T,) if moves else ()), *shape)
    return a, some(T, *vector), some(*vector), some(T, *vector)


def loop(a, b, h0, g, reverse, blocks):
    """(s, (da, db, dh0)) by two loops: the recurrence, and its adjoint."""
    whole = np.broadcast_to(a, (*b.shape, b.shape[-1]) if blocks else b.shape)
    times = (lambda a, s: np.einsum("...ij,...j->...i", a, s)) if blocks else np.multiply
    outer = (lambda λ, s: np.einsum("...i,...j->...ij", λ, s)) if blocks else np.multiply
    transpose = (lambda a: np.swapaxes(a, -1, -2)) if blocks else (lambda a: a)
    order = range(len(b))[::-1] if reverse else range(len(b))
    s, before, d_a, λs = np.zeros_like(b), np.zeros_like(b), np.zeros_like(whole), np.zeros_like(b)
    state = h0
    for t in order:
        before[t] = state
        state = s[t] = times(whole[t], state) + b[t]
    μ = np.zeros_like(h0)
    for t in reversed(order):
        λs[t] = g[t] + μ
        d_a[t] = outer(λs[t], before[t])
        μ = times(transpose(whole[t]), λs[t])
    missing = d_a.ndim - a.ndim
    d_a = d_a.sum(axis=tuple(range(missing)))
    axes = tuple(i for i, n in enumerate(a.shape) if n < d_a.shape[i])
    return s, (d_a.sum(axis=axes, keepdims=True), λs, μ)


@pytest.mark.parametrize("way", ["in turn", "at once"])
def test_values_and_gradients_of_every_kind(x64, way):
    """All kinds of coefficients, both directions, at a prime T and at T = 1."""
    if way == "in turn":
        cases = [(kind, T, reverse) for kind in KINDS for T in (1, 23) for reverse in (False, True)]
    else:  # which compiles slowly, and in which the direction matters to each kind alike: it alternates
        cases = [(kind, 23, i % 2 == 0) for i, kind in enumerate(KINDS)]

    @compiled
    def ours(arguments):
        found = []
        for (a, b, h0, g), (kind, _, reverse) in zip(arguments, cases, strict=True):
            options = {"tile": 5 if way == "at once" else 1, "blocks": KINDS[kind][-1]}
            run = functools.partial(linear_scan, reverse=reverse, **options)
            s, pull = jax.vjp(run, a, b, h0)
            found.append((s, pull(g)))
        return found

    arguments = [draw(kind, T) for kind, T, _ in cases]
    found = ours(arguments)
    for case, args, values in zip(cases, arguments, found, strict=True):
        close(values, loop(*args, case[2], KINDS[case[0]][-1]))


def test_no_sequences():
    """An empty batch, with tiles at once as on accelerators."""
    b = np.zeros((8, 0, 3), np.float32)
    assert linear_scan(b, b, tile=4).shape == b.shape


def test_adjoint_is_that_of_the_recurrence(x64):
    a, b, h0, g = draw("diagonal", 7)
    for reverse in (False, True):
        λ, first = adjoint(((a,),), (g,), (np.zeros_like(h0),), reverse)
        close((λ[0], first[0]), loop(a, b, h0, g, reverse, False)[1][1:])


def test_second_derivatives(x64):
    a, b, h0, w = draw("same for the batch", 9)

    def plainly(a, b, h0):
        step = lambda s, ab: (ab[0] * s + ab[1],) * 2
        return lax.scan(step, h0, (a, b))[1]

    def twice(run):
        first = jax.grad(lambda *args: jnp.sum(w * jnp.sin(run(*args))), (0, 1, 2))
        return jax.grad(lambda *args: number(first(*args)), (0, 1, 2))

    close(*compiled(lambda *args: (twice(linear_scan)(*args), twice(plainly)(*args)))(a, b, h0))


def test_what_linear_scan_refuses():
    b = jnp.ones((4, 2, 3))
    with pytest.raises(ValueError, match=r"a \(4, 3, 3\): must broadcast to \(4, 2, 3\)"):
        linear_scan(jnp.ones((4, 3, 3)), b)
    with pytest.raises(ValueError, match=r"h0 \(3,\): must have the shape of b"):
        linear_scan(b, b, jnp.ones(3))
    with pytest.raises(ValueError, match="blocks=True"):
        linear_scan(b, b, blocks=True)
    with pytest.raises(TypeError, match="must be of one inexact dtype"):
        linear_scan(b.astype(jnp.complex64), b)
    assert linear_scan(b[:0], b[:0]).shape == (0, 2, 3)


@pytest.mark.parametrize("reverse", [False, True])
def test_linear_mode_is_plain(x64, reverse):
    """Per-step and constant coefficients, one state leaf and two, with mask, reset and a given state."""

    problems = [problem(cell, 13, (2,), 4, 3) for cell in (mingru, lru)]
    given = [p._replace(xs=pad(p.xs, p.mask)) for p in problems]
    flags = {"mask": problems[0].mask, "reset": problems[0].reset}
    run = lambda mode: compiled(
        lambda given, flags: [
            outcome(cell, *p[:3], **flags, reverse=reverse, mode=mode)
            for cell, p in zip((mingru, lru), given, strict=True)
        ]
    )(given, flags)
    close(run("linear"), run("plain"))


def test_constant_coefficients_are_not_repeated():
    params, state, xs, *_ = problem(lru, 6, (2,), 4, 3)
    arrays = Arrays(lru.prepare(params), None, state, xs, None)
    a, b = _coefficients(lru, arrays, 1)
    assert {x.shape for row in a for x in row} == {(1, 1, 3)} and {x.shape for x in b} == {(6, 2, 3)}
    a, _ = _coefficients(
        mingru, arrays._replace(params=problem(mingru, 6, (2,), 4, 3).params, state=b[0][0]), 1
    )
    assert a[0][0].shape == (6, 2, 3)


@pytest.mark.parametrize("mode", ["linear", "auto"])
def test_a_cell_that_says_it_is_affine_and_is_not(mode):
    """Its numbers would be those of another cell."""

    @dataclasses.dataclass(frozen=True)
    class Bent(type(mingru)):
        def core(self, params, state, u, r):
            return jnp.tanh(super().core(params, state, u, r))

    params = Bent().init(jax.random.key(0), 2, 3)
    with pytest.raises(ValueError, match="Bent.affine is True, but its step is not affine"):
        unroll(Bent(), params, None, jnp.ones((5, 2, 2)), mode=mode)


def test_linear_mode_without_an_affine_cell():
    with pytest.raises(ValueError, match="GRU"):
        unroll(gru, *problem(gru, 3, (2,), 4, 3)[:3], mode="linear")


@pytest.mark.parametrize("shards, reverse", [(2, True), (4, False)])
def test_time_sharded_over_devices(x64, shards, reverse):
    """Values and gradients equal those of one device; no collective is inside a loop."""
    mesh = jax.make_mesh((shards,), ("time",), (AxisType.Auto,), devices=jax.devices()[:shards])
    time, same = P("time"), P()
    params, state, xs, mask, _ = problem(lru, 12, (2,), 4, 3)
    params = lru.prepare(params)
    plan = Plan(lru, 4, 1, reverse, True, sequential)

    def run(params, state, xs, mask, axis_name=None):
        arrays = Arrays(params, None, state, xs, Flags(mask, None))
        return solve_linear(plan, arrays, jax.tree.map(lambda _: 0, state), Linear(axis_name))

    def scan(a, b, h0, axis_name=None):
        return linear_scan(a, b, h0, reverse=reverse, axis_name=axis_name)

    over = lambda function, ins, outs: jax.shard_map(
        functools.partial(function, axis_name="time"), mesh=mesh, in_specs=ins, out_specs=outs
    )
    sharded = over(run, (same, same, time, time), (same, time)), over(scan, (time, time, same), time)
    constant = over(scan, (same, time, same), time)

    def everything(run, scan, constant):
        def loss(params, state, xs, a, b, h0):
            values = run(params, state, xs, mask), scan(a, b, h0), constant(a[:1], b, h0)
            return number(values), values

        return jax.grad(loss, range(6), has_aux=True)

    arguments = (params, state, jnp.asarray(xs), *draw("diagonal", 12)[:3])
    jaxpr = jax.make_jaxpr(everything(*sharded, constant))(*arguments).jaxpr
    loops = [e for e in equations(jaxpr) if e.primitive.name in ("scan", "while")]
    names = {e.primitive.name for loop in loops for inner in inside(loop) for e in equations(inner)}
    assert loops and not [name for name in names if name.startswith(("all_", "psum", "ppermute", "pmax"))]
    close(*(compiled(everything(*run))(*arguments) for run in ((*sharded, constant), (run, scan, scan))))
