"""Mode `chunked`: block lengths from bytes, bytes as XLA has them, outputs inside the blocks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn import CELLS, chain, deep, feedback, unroll, with_output
from r3nn.cells import gru, indrnn, lstm, mgu, mingru
from r3nn.compose import WithOutputParams
from r3nn.time import Linear, Newton, explain
from r3nn.time._pick import modes_of
from tests.helpers import (
    TanhReadout,
    assert_close,
    compiled,
    equations,
    in_blocks,
    open_sizes,
    outcome,
    problem,
    scans,
    unless_slow,
)

T, B, D, H = 23, 3, 2, 4

close = functools.partial(assert_close, rtol=1e-9, atol=1e-10)


def squared_error(weights, y, target):
    return jnp.sum((y @ weights - target) ** 2, axis=-1)


def with_loss(cell, **sizes):
    """A cell with a readout and a per-step loss as its output: (cell, params, state, inputs and targets)."""
    p = problem(cell, **sizes)
    rng = np.random.default_rng(1)
    readout = rng.normal(size=(sizes["H"], 5)).astype(p.xs.dtype)
    targets = rng.normal(size=(*p.xs.shape[:-1], 5)).astype(p.xs.dtype)
    params = WithOutputParams(p.params, readout)
    return with_output(cell, squared_error), params, p.state, np.concatenate([p.xs, targets], -1), p


@pytest.mark.parametrize(
    "cell, chunks",
    [(gru, (1, 5, T, 99)), (lstm, (5,)), (mgu, (5,)), (deep(gru, 2), (5,))],
    ids=["gru", "lstm", "mgu", "deep gru"],
)
def test_a_loss_inside_the_blocks(cell, chunks, x64):
    """The losses and gradients of a readout behind `plain`, at any block length, T prime."""
    with_cell, params, state, xs, p = with_loss(cell, T=T, batch=(B,), D=D, H=H)
    flags = dict(mask=p.mask, reset=p.reset)

    def outside(params, state, xs):
        final, ys = unroll(cell, params.cell, state, xs[..., :D], mode="plain", **flags)
        losses = squared_error(params.extra, ys, xs[..., D:])
        return jnp.sum(jnp.where(p.mask, losses, 0)), final

    def inside(params, state, xs, chunk):
        final, losses = unroll(with_cell, params, state, xs, mode="chunked", chunk=chunk, **flags)
        return jnp.sum(jnp.where(p.mask, losses, 0)), final

    @compiled
    def run(*args):
        gradient = functools.partial(jax.value_and_grad, argnums=(0, 1, 2), has_aux=True)
        blocks = [gradient(functools.partial(inside, chunk=chunk))(*args) for chunk in chunks]
        return gradient(outside)(*args), blocks

    expected, blocks = run(params, state, xs)
    for actual in blocks:
        close(actual, expected)


@pytest.mark.parametrize(
    ("cell", "hidden"), [(gru, 32), (lstm, 32), (gru, 96), (mgu, 32)], ids=["gru", "lstm", "wide", "opaque"]
)
def test_predicted_bytes_are_those_of_xla(cell, hidden):
    """Within a half, for what each mode keeps (`wide`: products, too); `chunked` keeps a small part of it."""
    with_cell, params, _, xs, _ = with_loss(cell, T=2048, batch=(4,), D=16, H=hidden)
    loss = lambda params, xs, how: jnp.sum(unroll(with_cell, params, None, xs, **how)[1])
    taken = {}
    for mode, chunk in (("scan", None), ("chunked", None), ("chunked", 256)):
        how = dict(mode=mode, chunk=chunk)
        (picked,) = explain(with_cell, params, None, xs, **how)
        assert picked.keep == (hidden >= 96)
        gradient = jax.jit(jax.grad(functools.partial(loss, how=how), argnums=(0, 1)))
        taken[mode, chunk] = gradient.lower(params, xs).compile().memory_analysis().temp_size_in_bytes
        assert 0.66 < picked.bytes / taken[mode, chunk] < 1.5
    part = 3 if cell is mgu else 4  # of an opaque cell, a block's backward pass reads more
    assert taken["scan", None] > part * taken["chunked", None]


def test_memory_grows_with_the_square_root_of_the_length_at_most():
    predicted = []
    for steps in (10_000, 1_000_000):
        _, params, _, xs, _ = with_loss(gru, T=1, batch=(1,), D=8, H=128)
        xs = jax.ShapeDtypeStruct((steps, 1, 8), jnp.float32)
        (picked,) = explain(gru, params.cell, None, xs, mode="chunked")
        predicted.append(picked.bytes)
    assert predicted[1] < 10 * predicted[0]


def test_a_memory_budget_picks_the_block():
    p = problem(gru, 4000, (2,), D, 16)
    arguments = (gru, p.params, p.state, p.xs)
    roomy, tight = (explain(*arguments, memory=memory)[0] for memory in (10**7, 150_000))
    assert roomy.mode == tight.mode == "chunked"
    assert tight.bytes <= 150_000 < explain(*arguments, mode="scan")[0].bytes
    assert tight.chunk < roomy.chunk
    with pytest.raises(ValueError, match=r"memory=1000: mode='chunked' needs about \d+ bytes"):
        explain(*arguments, memory=1000)


def test_explain_says_what_and_why():
    stepwise = deep(mgu, 2, order="stepwise")
    cell = chain(stepwise, mgu, deep(gru, 3))
    p = problem(cell, 5, (B,), D, H)
    picks = explain(cell, p.params, p.state, p.xs)
    assert [(pick.cell, pick.mode) for pick in picks] == [(stepwise, "plain"), (mgu, "scan"), (gru, "scan")]
    assert "a step of several products" in picks[0].reason and "no gate" in picks[1].reason
    p = problem(mingru, 5, (B,), D, H)
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), (p.params, p.xs))
    assert explain(mingru, shapes[0], None, shapes[1])[0].mode == "linear"
    wide = jax.ShapeDtypeStruct((10**6, 128, D), jnp.float32)
    (pick,) = explain(gru, problem(gru, 1, (), D, H).params, None, wide)
    assert pick.mode == "chunked" and "above 1 GiB" in pick.reason


def test_the_loops_of_chunked_hold_recurrent_products_alone():
    """Forward, re-run and backward each one [B, H]-sized product a step; no weight-shaped carry there."""
    p = problem(gru, 24, (B,), D, H)
    run = functools.partial(outcome, gru, mode="chunked", chunk=6)
    jaxpr = jax.make_jaxpr(run)(p.params, p.state, p.xs).jaxpr
    loops = [steps for blocks in scans(jaxpr) for steps in scans(blocks.params["jaxpr"].jaxpr)]
    assert len(loops) == 3
    for steps in loops:
        body = steps.params["jaxpr"].jaxpr
        (product,) = [e for e in body.eqns if e.primitive.name == "dot_general"]
        assert product.invars[0].aval.shape in [(B, H), (B, 3 * H)]
        leaving = zip(body.outvars, steps.outvars, strict=True)
        assert {v.aval.shape for v, out in leaving if v.aval.shape == out.aval.shape} == {(B, H)}


# Products in bfloat16.


@pytest.mark.parametrize(
    "name",  # dense, opaque, elementwise, complex; the others hold more of the first kind
    [*("gru", "mgu", "diagonal_gru", "lru"), *unless_slow(["slstm", "mlstm"], ())],
)
def test_bfloat16_products(name):
    """Near the float32 numbers, the same in all modes, state and gradients in float32."""
    cell = CELLS[name]
    p = problem(cell, 9, (B,), 6, 8)

    @compiled
    def run(params, state, xs):
        flags = dict(mask=p.mask, reset=p.reset)
        rounded = functools.partial(outcome, cell, params, state, xs, compute_dtype=jnp.bfloat16, **flags)
        low = [rounded(mode=mode, **in_blocks(cell, mode, 4)) for mode in modes_of(cell)]
        return low, outcome(cell, params, state, xs, mode="plain", **flags)

    (plain, *others), exact = run(p.params, p.state, p.xs)
    for low in others:
        assert_close(low, plain, rtol=0.05, atol=0.05)
    assert_close(plain[0], exact[0], rtol=0.1, atol=0.1)
    assert {leaf.dtype.name for leaf in jax.tree.leaves((plain, others))} == {"float32"}
    differ = [(a != b).any() for a, b in zip(*map(jax.tree.leaves, (plain[0], exact[0])), strict=True)]
    assert any(differ)


@pytest.mark.parametrize("cell", [gru, mingru], ids=["gru", "mingru"])
def test_bfloat16_products_of_numpy_arrays(cell):
    """Outside of jit, where NumPy would take `xs @ weight` for its own."""
    p = problem(cell, 5, (B,), D, H)
    run = lambda xs: unroll(cell, p.params, p.state, xs, compute_dtype=jnp.bfloat16)
    assert_close(run(np.asarray(p.xs)), run(p.xs))


def test_bfloat16_products_have_bfloat16_operands_and_float32_sums():
    p = problem(gru, 8, (B,), D, H)
    run = functools.partial(outcome, gru, mode="scan", chunk=4, compute_dtype=jnp.bfloat16)
    jaxpr = jax.make_jaxpr(run)(p.params, p.state, p.xs).jaxpr
    products = [e for e in equations(jaxpr) if e.primitive.name == "dot_general"]
    assert len(products) >= 6
    for product in products:
        assert {v.aval.dtype.name for v in product.invars} == {"bfloat16"}
        assert product.outvars[0].aval.dtype == jnp.float32


def test_symbolic_sizes_are_unknown():
    p = open_sizes(gru, problem(gru, 5, (B,), D, H), "T, b")
    (pick,) = explain(gru, *p[:3])
    assert (pick.mode, pick.bytes) == ("scan", None)
    (pick,) = explain(gru, *open_sizes(gru, problem(gru, 5, (B,), D, H), "7*n, b")[:3], chunk=7)
    assert pick.chunk == 7
    with pytest.raises(ValueError, match="memory=1000: nothing is predicted for symbolic sizes; give chunk"):
        explain(gru, *p[:3], memory=1000)


# Errors, in one sentence each.


@pytest.mark.parametrize(
    "cell, change, error, message",
    [
        (gru, {"memory": 0}, ValueError, r"memory \(bytes\) must be an integer at least 1, got 0"),
        (gru, {"memory": 10**6, "chunk": 3}, ValueError, "chunk=3, memory=1000000: give the steps or"),
        (gru, {"mode": "plain", "chunk": 3}, ValueError, "chunk=3: mode='plain' has no blocks of steps"),
        (mingru, {"mode": Linear(), "chunk": 3}, ValueError, "chunk=3: mode=Linear.* has no blocks"),
        (indrnn, {"mode": "newton", "chunk": 3}, ValueError, "chunk=3: mode='newton' has no blocks of steps"),
        (deep(indrnn, 2), {"mode": Newton(), "chunk": 3}, ValueError, "chunk=3: .* has no blocks of steps"),
        (gru, {"mode": "linear"}, ValueError, "mode='linear': GRU runs in plain, scan, chunked, newton"),
        (gru, {"mode": Linear()}, ValueError, "mode='linear': GRU runs in plain, scan, chunked, newton"),
        (
            feedback(gru, TanhReadout()),
            {"mode": "newton"},
            ValueError,
            "mode='newton': Feedback runs in plain,",
        ),
        (
            feedback(gru, TanhReadout()),
            {"mode": "linear"},
            ValueError,
            "mode='linear': Feedback runs in plain,",
        ),
        (gru, {"compute_dtype": jnp.int8}, TypeError, "compute_dtype=.*int8.*: must be a floating dtype"),
        (gru.__call__, {"compute_dtype": jnp.bfloat16}, ValueError, "compute_dtype: the products of a bare"),
        (
            gru.__call__,
            {"mode": "newton"},
            ValueError,
            "mode='newton': Function runs in plain, scan, chunked",
        ),
    ],
)
def test_errors(cell, change, error, message):
    p = problem(gru if cell == gru.__call__ else cell, 5, (B,), D, H)
    with pytest.raises(error, match=message):
        unroll(cell, p.params, p.state, p.xs, **change)
