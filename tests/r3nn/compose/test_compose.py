"""Compositions: each against its definition as a loop, in both orders; sharing, size of program, errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn import chain, deep, delay, every_depth, feedback, norm, residual, unroll
from r3nn.cells import elman, gru, lstm, ugrnn
from r3nn.compose import DeepParams
from tests import oracles
from tests.helpers import (
    COMPOSITIONS,
    TanhReadout,
    assert_close,
    compiled,
    equations,
    in_blocks,
    in_size,
    outcome,
    pad,
    problem,
    scans,
    unless_slow,
)

T, B, D, H = 6, 3, 2, 4

close = functools.partial(assert_close, rtol=1e-9, atol=1e-10)


#: whose combinators, ways to share and orders are each in another row too, in the company of others
AGAIN = {
    *("chain", "deep", "deep, tied", "deep, cycle", "deep of deep", "norm", "feedback of residual"),
    *("R3NN", "slow of refine", "wavefront"),
}


@pytest.mark.parametrize("name", unless_slow(COMPOSITIONS, COMPOSITIONS.keys() - AGAIN))
def test_equals_its_definition(name, x64):
    """One step, and a masked, packed sequence: `plain` is stepwise, `scan` in the deep cell's own order."""
    cell = COMPOSITIONS[name]
    reverse = bool(list(COMPOSITIONS).index(name) % 2)
    p = problem(cell, T, (B,), in_size(name, D, H), H)
    xs = pad(p.xs, p.mask)

    @compiled
    def run(params, state, xs):
        how = dict(mask=p.mask, reset=p.reset, reverse=reverse)
        by_mode = ({"mode": "plain"}, {"mode": "scan", "chunk": 3})
        return cell(params, state, p.xs[0]), *(outcome(cell, params, state, xs, **how, **m) for m in by_mode)

    one, plain, scan = run(p.params, p.state, xs)
    close(scan, plain)
    params, state = jax.tree.map(np.asarray, (p.params, p.state))
    for b in range(B):
        first = oracles.entry(cell, state, b)
        stepped = oracles.step(cell, params, first, p.xs[0, b])
        close(oracles.entry(cell, one[0], b), stepped)
        close(one[1][..., b, :], oracles.output(cell, params, stepped, p.xs[0, b]))
        flags = dict(mask=p.mask[:, b], reset=p.reset[:, b])
        expected = oracles.unroll(cell, params, first, xs[:, b], reverse=reverse, **flags)
        close((oracles.entry(cell, plain[0][0], b), plain[0][1][..., b, :]), expected)


def test_a_chain_of_different_widths(x64):
    """Each cell takes what the one before it puts out; in three modes, with gradients."""
    cell, widths, key = chain(lstm, gru), [H, H + 3], jax.random.key(0)
    params = cell.init(key, D, widths, dtype=jnp.float64)
    assert [p.recurrent.candidate.shape[-1] for p in params[1:]] == [H + 3] and params[1].input[0].shape[
        0
    ] == H
    close(cell.init(key, D, [H, H]), cell.init(key, D, H))
    xs = np.random.default_rng(0).normal(size=(T, B, D))

    def loop(params, xs):
        state, ys = jax.lax.scan(
            lambda state, x: cell(params, state, x), cell.initial_state(params, (B,)), xs
        )
        return jnp.sum(jnp.sin(ys)) + sum(map(jnp.sum, jax.tree.leaves(state)))

    def unrolled(mode, params, xs):
        state, ys = unroll(cell, params, None, xs, mode=mode)
        return jnp.sum(jnp.sin(ys)) + sum(map(jnp.sum, jax.tree.leaves(state)))

    @compiled
    def run(params, xs):
        ways = [functools.partial(unrolled, mode) for mode in ("plain", "scan", "chunked")]
        return [jax.value_and_grad(way, argnums=(0, 1))(params, xs) for way in (loop, *ways)]

    expected, *given = run(params, xs)
    close(given, [expected] * 3)
    with pytest.raises(ValueError, match=r"hidden_size=\[4\]: must be one for all, or a list of 2"):
        cell.init(key, D, [H])


@pytest.mark.parametrize("depth", [3, 5])
def test_layerwise_equals_stepwise(depth, x64):
    """Under the same fast mode, few levels and more; `plain`, above, is a third way."""
    p = problem(deep(residual(ugrnn), depth), T, (B,), H, H)

    @compiled
    def run(params, state, xs):
        cells = [deep(residual(ugrnn), depth, order=order) for order in ("stepwise", "layerwise")]
        return [outcome(cell, params, state, xs, mode="scan", mask=p.mask) for cell in cells]

    stepwise, layerwise = run(p.params, p.state, p.xs)
    close(layerwise, stepwise)


# Sharing over depth.


@pytest.mark.parametrize(
    "tie, sets, of_levels",
    [("none", 4, [0, 1, 2, 3]), ("all", 1, [0] * 4), (3, 3, [0, 1, 2, 0]), (9, 4, [0, 1, 2, 3])],
)
def test_levels_share_parameters(tie, sets, of_levels, x64):
    """Levels 2 to 5 take their sets in turn, and a set's gradient is the sum of those of its levels."""
    p = problem(deep(elman, 5, tie=tie), 3, (), D, H)
    assert {leaf.shape[0] for leaf in jax.tree.leaves(p.params.rest)} == {sets}

    @compiled
    def gradients(params, xs):
        untied = params._replace(rest=oracles.take(params.rest, np.array(of_levels)))
        run = lambda params, tie: outcome(deep(elman, 5, tie=tie), params, None, xs)[1][0]
        return run(params, tie), run(untied, "none")

    tied, untied = gradients(p.params, p.xs)
    share = lambda leaf: np.stack([leaf[np.array(of_levels) == i].sum(0) for i in range(sets)])
    close(tied, DeepParams(untied.first, jax.tree.map(share, untied.rest)))


def test_fully_tied_levels_share_one_set(x64):
    p = problem(deep(elman, 4, tie="full"), 3, (), H, H)
    assert p.params.rest is None

    @compiled
    def gradients(params, xs):
        untied = DeepParams(params.first, jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), params.first))
        run = lambda params, tie: outcome(deep(elman, 4, tie=tie), params, None, xs)[1][0]
        return run(params, "full").first, run(untied, "none")

    tied, untied = gradients(p.params, p.xs)
    close(tied, jax.tree.map(lambda first, rest: first + rest.sum(0), untied.first, untied.rest))


@pytest.mark.parametrize("tie", ["all", 2, "full"])
def test_tied_depth_can_change_at_test_time(tie, x64):
    params = problem(deep(elman, 3, tie=tie), 3, (), H, H).params
    for depth in (1, 6):
        cell = deep(elman, depth, tie=tie)
        xs = problem(cell, 3, (), H, H).xs
        expected = oracles.unroll(cell, jax.tree.map(np.asarray, params), None, xs)
        close(compiled(functools.partial(unroll, cell))(params, None, xs), expected)


@pytest.mark.parametrize("tie, sets", [("none", None), ("all", 2), (2, 3), ("full", 1)])
@pytest.mark.parametrize("depth", [4, 5])
def test_prepared_params_tell_the_initial_state(depth, tie, sets):
    """Also where they are no longer stacked, with a state of its own for each level."""
    cell = deep(lstm, depth, tie=tie)
    params = cell.init(jax.random.key(0), H, H, learn_initial=True)
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    drawn = [jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)]
    params = jax.tree.unflatten(structure, drawn)
    states = [cell.initial_state(p, (B,)) for p in (params, cell.prepare(params))]
    assert_close(*states)
    sets = sets or depth
    assert states[0].h.shape == (depth, B, H) and len(np.unique(states[0].h)) == H * sets


@pytest.mark.parametrize("tie", ["none", "full"])
def test_depth_one_is_the_bare_cell(tie, x64):
    p = problem(lstm, T, (B,), H, H)
    cell = deep(lstm, 1, tie=tie)
    shapes = jax.eval_shape(functools.partial(cell.init, in_size=H, hidden_size=H), jax.random.key(0))
    assert shapes.rest is None

    @compiled
    def run(params, state, xs):
        stacked = jax.tree.map(lambda leaf: leaf[None], state)
        return outcome(cell, DeepParams(params, None), stacked, xs), outcome(lstm, params, state, xs)

    ((final, ys), (d_params, d_state, d_xs)), bare = run(p.params, p.state, p.xs)
    close(((oracles.take(final, 0), ys), (d_params.first, oracles.take(d_state, 0), d_xs)), bare)


# How parameters start.


@pytest.mark.parametrize(
    "cell, count",
    [
        (deep(elman, 3), 6),
        (chain(elman, elman, elman), 6),
        (deep(chain(elman, elman), 2), 8),
        (feedback(elman, TanhReadout()), 3),
    ],
    ids=["deep", "chain", "deep of chain", "feedback"],
)
def test_every_part_has_a_draw_of_its_own(cell, count):
    params = cell.init(jax.random.key(0), H, H, bias=False)
    matrices = [np.asarray(leaf).reshape(-1, *leaf.shape[-2:]) for leaf in jax.tree.leaves(params)]
    rows = [matrix[0] for stack in matrices for matrix in stack]
    assert len(rows) == count
    assert all(not np.allclose(a[:2], b[:2]) for i, a in enumerate(rows) for b in rows[:i])


def test_norm_starts_as_the_bare_normalization():
    params = norm(elman, "layer").init(jax.random.key(0), D, H)
    assert_close((params.scale, params.shift), (np.ones(D), np.zeros(D)))
    assert norm(elman, "rms").init(jax.random.key(0), D, H).shift is None


# The program.


def lengths(jaxpr) -> list:
    """The lengths of nested scans: [(length, [those inside]), ...]"""
    return [(scan.params["length"], lengths(scan.params["jaxpr"].jaxpr)) for scan in scans(jaxpr)]


@pytest.mark.parametrize(
    "order, mode, expected",
    [
        ("stepwise", "plain", [(T, [(4, []), (4, [])])]),  # for each time step, levels 2 to 5; and outputs
        (
            "stepwise",
            "scan",
            [(1, [(T, [(4, [])])]), (4, [])],
        ),  # within the one block; and once for all outputs
        (
            "layerwise",
            "scan",
            [(1, [(T, [])]), (4, [(1, [(T, [])])])],
        ),  # level 1; for each level, all time steps
        ("auto", "scan", [(1, [(T, [])]), (4, [(1, [(T, [])])])]),
        ("wavefront", "auto", [(T + 5 - 1, [])]),  # all levels at once
    ],
)
def test_a_scan_in_a_scan(order, mode, expected):
    cell = deep(gru, 5, order=order)
    p = problem(cell, T, (B,), D, H)
    run = functools.partial(unroll, cell, mode=mode, **in_blocks(cell, mode, T))
    jaxpr = jax.make_jaxpr(run)(p.params, p.state, p.xs).jaxpr
    assert lengths(jaxpr) == expected


@pytest.mark.parametrize("tie", ["none", 2])
@pytest.mark.parametrize(
    "order, mode",
    [("stepwise", "plain"), ("stepwise", "scan"), ("layerwise", "scan"), ("wavefront", "auto")],
)
def test_the_program_does_not_grow_with_depth(order, mode, tie):
    def size(depth):
        cell = every_depth(deep(elman, depth, tie=tie, order=order))
        p = problem(cell, T, (B,), D, H)
        how = dict(mode=mode, mask=p.mask, reset=p.reset, **in_blocks(cell, mode, 3))
        run = functools.partial(outcome, cell, **how)
        return len(list(equations(jax.make_jaxpr(run)(p.params, p.state, p.xs).jaxpr)))

    few = 5 if order == "stepwise" else 4  # up to four levels are written out within a time step
    assert size(few) == size(23)


# Errors, in one sentence each.


def init(cell, in_size=D, hidden_size=H):
    return jax.eval_shape(
        functools.partial(cell.init, in_size=in_size, hidden_size=hidden_size), jax.random.key(0)
    )


def run_untied_at_another_depth():
    p = problem(deep(gru, 3), T, (B,), D, H)
    return unroll(deep(gru, 5), p.params, None, p.xs)


def run_first_level_deeper():
    p = problem(deep(gru, 1, tie="all"), T, (B,), D, H)
    return unroll(deep(gru, 2, tie="all"), p.params, None, p.xs)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: deep(gru, 0), ValueError, "depth must be an integer at least 1, got 0"),
        (
            lambda: deep(gru, 2, tie="some"),
            ValueError,
            "tie must be one of none, all, full, a cycle .* got 'some'",
        ),
        (lambda: deep(gru, 2, tie=0), ValueError, r"tie \(a cycle\) must be an integer at least 1, got 0"),
        (lambda: deep(gru, 2, order="sideways"), ValueError, "order must be one of auto, .* got 'sideways'"),
        (
            lambda: init(deep(gru, 2, tie="full")),
            ValueError,
            "tie='full': in_size=2 must equal hidden_size=4",
        ),
        (lambda: init(residual(gru)), ValueError, "residual: in_size=2 must equal hidden_size=4"),
        (lambda: init(deep(residual(gru), 2)), ValueError, "residual: in_size=2 must equal hidden_size=4"),
        (lambda: norm(gru, "batch"), ValueError, "norm kind must be one of rms, layer, got 'batch'"),
        (lambda: chain(), ValueError, "at least one cell"),
        (lambda: every_depth(gru), TypeError, r"takes a deep\(...\) cell"),
        (run_untied_at_another_depth, ValueError, "depth=5: these params have 3 untied levels"),
        (run_first_level_deeper, ValueError, "depth=2: these params have a first level only"),
        *(
            (
                lambda inside=inside: feedback(inside, TanhReadout()),
                ValueError,
                f"order='{order}': .* runs stepwise",
            )
            for order in ("layerwise", "wavefront")
            for part in [deep(gru, 2, order=order)]
            for inside in (part, chain(lstm, part), residual(delay(part)), deep(part, 2))
        ),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
