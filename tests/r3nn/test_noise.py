"""Noise: the same in every mode, order, block length, number of pieces and of devices; as the keys say."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from r3nn import (
    Cell,
    Noise,
    chain,
    deep,
    feedback,
    layer_norm,
    recurrent_dropout,
    refine,
    residual,
    slow,
    state_noise,
    unroll,
    variational_dropout,
    with_output,
    with_states,
    zoneout,
)
from r3nn.cells import (
    cornn,
    diagonal_gru,
    elman,
    gru,
    gru_reset_before,
    lem,
    lru,
    lstm,
    m2rnn,
    mingru,
    mugrnn,
    rglru,
    scornn,
    ugrnn,
)
from r3nn.compose import WithOutputParams
from r3nn.compose._layer_norm import LayerNorm
from r3nn.model import build
from r3nn.time import Linear, Newton
from tests import oracles, transform_oracles
from tests.helpers import TanhReadout, assert_close, compiled, drawn, in_size, outcome, pad, problem

T, B, D, H = 7, 3, 2, 4

close = functools.partial(assert_close, rtol=1e-9, atol=1e-10)

ROWS = {
    "all of them": zoneout(variational_dropout(recurrent_dropout(ugrnn, 0.3), 0.2, 0.4), 0.3),
    "in residual, square": residual(variational_dropout(gru, 0.3, 0.4)),
    "output that draws, square": zoneout(variational_dropout(residual(ugrnn), 0.4), 0.3),
    "feedback": feedback(
        chain(zoneout(lstm, 0.3, 0.4), deep(recurrent_dropout(ugrnn, 0.3), 2)), TanhReadout()
    ),
    "wavefront": deep(refine(zoneout(ugrnn, 0.3), 2), 3, order="wavefront"),
    "of a slow cell": recurrent_dropout(slow(gru, 2), 0.3),
    "of h and of c": state_noise(zoneout(lstm, 0.3), 0.4),
    "layerwise": variational_dropout(deep(slow(zoneout(ugrnn, 0.4), 2), 2), 0.3),
}
#: where programs round the draws themselves, which are float32
ROUNDED = {"of h and of c": {"rtol": 1e-6, "atol": 1e-6}}
#: structured cells, of a state of one array and of two, and an opaque one
WITH_GRADIENTS = ("all of them", "of a slow cell", "of h and of c")


@pytest.mark.parametrize("name", ROWS)
def test_equals_its_definition(name, x64):
    """Against the oracle on the same keys, with mask and resets, in two modes and two block lengths."""
    cell, with_gradients = ROWS[name], name in WITH_GRADIENTS
    near = functools.partial(close, **ROUNDED.get(name, {}))
    p = problem(cell, T, (B,), in_size(name, D, H), H)
    xs, keys = pad(p.xs, p.mask), jax.random.split(jax.random.key(7), B)
    run_in = outcome if with_gradients else unroll
    reverse = bool(list(ROWS).index(name) % 2)

    @compiled
    def run(params, state, xs):
        how = dict(mask=p.mask, reset=p.reset, reverse=reverse, key=keys)
        in_mode = lambda mode, chunk: run_in(cell, params, state, xs, mode=mode, chunk=chunk, **how)
        return in_mode("plain", None), in_mode("scan", 3)

    plain, scan = run(p.params, p.state, xs)
    near(scan, plain)
    final, ys = plain[0] if with_gradients else plain
    params, state = jax.tree.map(np.asarray, (p.params, p.state))
    for b in range(B):
        flags = dict(mask=p.mask[:, b], reset=p.reset[:, b], key=keys[b])
        first = oracles.entry(cell, state, b)
        expected = oracles.unroll(cell, params, first, xs[:, b], reverse=reverse, **flags)
        near((oracles.entry(cell, final, b), ys[:, b]), expected)


@pytest.mark.parametrize(
    "cell, mode",
    [
        (variational_dropout(diagonal_gru, 0.3, 0.4), "newton"),
        (variational_dropout(mugrnn, 0.3, 0.4), "newton"),
        (zoneout(mingru, 0.3), "linear"),
        (recurrent_dropout(elman, 0.3), "chunked"),
        (state_noise(diagonal_gru, 0.4), "newton"),
        (state_noise(lru, 0.4), "linear"),
        (state_noise(gru, 0.4), "chunked"),
        (state_noise(m2rnn, 0.4), "scan"),
    ],
    ids=[
        *("newton", "newton, approximate", "linear", "chunked"),
        *("newton, outside of the bounds", "linear, of pairs", "chunked, added", "scan, of matrices"),
    ],
)
def test_the_other_modes_see_the_same_noise(cell, mode, x64):
    """Values and gradients."""
    p = problem(cell, T, (B,), D, H)

    @compiled
    def run(params, state, xs):
        how = dict(mask=p.mask, reset=p.reset, key=jax.random.key(1))
        return [outcome(cell, params, state, xs, mode=m, **how) for m in ("plain", mode)]

    plain, other = run(p.params, p.state, p.xs)
    assert_close(other, plain, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "cell, mode",
    [(mingru, Linear("time")), (diagonal_gru, Newton(axis_name="time"))],
    ids=["linear", "newton"],
)
def test_time_over_devices_sees_the_same_noise(cell, mode):
    """Of steps and of sequences, in each shard of time; resets are refused beside it."""
    cell = zoneout(variational_dropout(cell, 0.4), 0.3)
    p = problem(cell, 2 * T, (B,), D, H)
    run = lambda mode, xs, reset: unroll(
        cell, p.params, p.state, xs, reset=reset, mode=mode, key=jax.random.key(5)
    )
    mesh = jax.make_mesh((2,), ("time",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
    time = P("time")
    over = lambda run, *specs: jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=(P(), time))
    sharded = over(lambda xs: run(mode, xs, None), time)
    whole, shards = compiled(lambda xs: (run("plain", xs, None), sharded(xs)))(p.xs)
    assert_close(shards, whole)
    with pytest.raises(ValueError, match="axis_name='time': time over devices takes no reset with noise"):
        jax.eval_shape(over(lambda xs, reset: run(mode, xs, reset), time, time), p.xs, p.reset)


def test_noise_of_one_cell(x64):
    """Redrawn at a reset, or at each step; of its own for each sequence; absent without a key."""
    cell = variational_dropout(elman, 0.5)
    p = problem(cell, T, (B,), 40, 40)
    params = jax.tree.map(jnp.zeros_like, p.params)
    params = params._replace(input=params.input._replace(candidate=jnp.eye(40)))
    xs, reset = jnp.full((T, B, 40), 0.1), jnp.zeros((T, B), bool).at[3].set(True)
    run = lambda key: unroll(cell, params, None, xs, reset=reset, key=key)[1]
    with_one, with_none = compiled(lambda: (run(jax.random.key(0)), run(None)))()
    close(with_none, np.full((T, B, 40), np.tanh(0.1)))
    close(np.unique(with_one.round(9)), np.array([0, np.tanh(0.2).round(9)]))
    same = lambda a, b: bool((a == b).all())
    assert same(with_one[:3], with_one[:1]) and same(with_one[3:], with_one[3:4])
    assert not same(with_one[2], with_one[3]) and not same(with_one[0, 0], with_one[0, 1])
    assert 0.3 < (with_one[0] > 0).mean() < 0.7

    step = zoneout(elman, 0.5)
    ys = compiled(lambda key: unroll(step, params, None, xs, key=key)[1])(jax.random.key(0))
    kept = [int((ys[t] != ys[t - 1]).sum()) for t in range(1, T)]
    assert len(set(kept)) > 1 and (ys[0] == 0).any() and (ys[0] != 0).any()


@pytest.mark.parametrize("cell", [gru, lstm, lru, m2rnn], ids=lambda cell: type(cell).__name__)
def test_state_noise_is_gaussian_in_each_array_of_the_state(cell):
    """By `step` alone: of mean 0 and the given deviation, independent among arrays; none without a key."""
    noisy, σ = state_noise(cell, 0.5), 0.5
    p = problem(cell, 1, (400,), D, 16)
    run = lambda cell, key: unroll(cell, p.params, p.state, p.xs, key=key)[0]
    with_noise, without, bare = compiled(
        lambda: (run(noisy, jax.random.key(0)), run(noisy, None), run(cell, None))
    )()
    assert_close(without, bare, 0, 0)
    e = [np.ravel(a - b) / σ for a, b in zip(*map(jax.tree.leaves, (with_noise, bare)), strict=True)]
    for leaf in e:
        assert abs(leaf.mean()) < 0.06 and abs(leaf.std() - 1) < 0.05
    assert abs(np.corrcoef(e) - np.eye(len(e))).max() < 0.06
    assert noisy.bounds is None


def test_pieces_and_devices_give_the_numbers_of_the_whole():
    """Of a model with noise of steps and of sequences, over resets; one key per sequence."""
    loops, rates = {"refine": 2, "slow": 2}, {"dropout_h": 0.3, "zoneout_h": 0.3}
    model = build(in_size=D, out_size=2, hidden_size=H, cell="elman", **loops, **rates)
    rng = np.random.default_rng(0)
    draw = lambda leaf: rng.normal(size=leaf.shape).astype(np.float32)
    params = jax.tree.map(draw, jax.eval_shape(model.init, jax.random.key(1)))
    xs, reset = rng.normal(size=(T, 4, D)).astype(np.float32), np.zeros((T, 4), bool)
    reset[1, 0] = reset[5, 1] = True
    keys = jax.random.split(jax.random.key(3), 4)

    def run(params, xs, reset, keys, cuts):
        carry, noise, pieces = model.start(params, xs.shape[1:2]), Noise(keys), []
        for a, b in zip(cuts, cuts[1:], strict=False):
            carry, ys = model.chunk(params, carry, xs[a:b], None, reset[a:b], noise)
            noise, pieces = noise.after(b - a, reset[a:b]), [*pieces, ys]
        return jnp.concatenate(pieces)

    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    batch = P(None, "batch")
    pieces = jax.shard_map(
        functools.partial(run, cuts=(0, 3, T)),
        mesh=mesh,
        in_specs=(P(), batch, batch, P("batch")),
        out_specs=batch,
    )
    whole = compiled(functools.partial(run, cuts=(0, T)))(params, xs, reset, keys)
    assert_close(compiled(pieces)(params, xs, reset, keys), whole)


def test_a_clock_slower_than_bfloat16_counts():
    """One unit is due at 0 and at k alone."""
    cell, k = slow(elman, 300), 300
    params = cell.init(jax.random.key(0), 1, 1, dtype=jnp.bfloat16)
    xs = jnp.arange(k + 2, dtype=jnp.bfloat16)[:, None] / k
    ys = compiled(lambda: unroll(cell, params, None, xs)[1])()
    assert np.flatnonzero(np.diff(np.asarray(ys[:, 0], np.float32))).tolist() == [k - 1]


@pytest.mark.parametrize(
    "oracle, cell",
    [
        (transform_oracles.lstm, lstm),
        (lambda p, *rest: transform_oracles.lstm(p.cell, *rest, norm=p), layer_norm(lstm)),
        (transform_oracles.gru, gru),
    ],
    ids=["lstm", "layer norm", "gru"],
)
def test_dropout_of_the_candidate_of_another_activation(oracle, cell, monkeypatch):
    """The candidate alone: an LSTM shows silu(c), and that is not dropped."""
    gated = lambda cell: dataclasses.replace(cell, activation=jax.nn.silu)
    changed = dataclasses.replace(cell, cell=gated(cell.cell)) if isinstance(cell, LayerNorm) else gated(cell)
    p = problem(cell, 1, (), D, H)
    key = jax.random.key(2)
    how = dict(key=key, mode="plain")
    final, _ = compiled(lambda: unroll(recurrent_dropout(changed, 0.5), p.params, p.state, p.xs, **how))()
    monkeypatch.setattr(np, "tanh", lambda a: a / (1 + np.exp(-a)))
    (x,) = transform_oracles.inputs(p.xs, None, key)
    m = transform_oracles.mask(x.step, 1, 0.5, H)
    assert set(m) == {0, 2}
    params, state = jax.tree.map(np.asarray, (p.params, p.state))
    assert_close(final, oracle(params, state, x.x, 1.0, m))


def test_dropout_of_the_candidates_of_opaque_cells(monkeypatch):
    """One mask for both of lem; the force of cornn."""
    monkeypatch.setattr(np, "tanh", lambda a, tanh=np.tanh: m * tanh(a))
    for cell in (lem, cornn):
        p = problem(cell, 1, (), D, H)
        final, _ = unroll(recurrent_dropout(cell, 0.5), p.params, p.state, p.xs, key=jax.random.key(2))
        (x,) = transform_oracles.inputs(p.xs, None, jax.random.key(2))
        m = transform_oracles.mask(x.step, 1, 0.5, H)
        assert_close(final, oracles.step(cell, *jax.tree.map(np.asarray, (p.params, p.state)), x.x))


def test_bounds_hold_what_dropout_stretches():
    """Newton keeps its iterates within them."""
    cell = recurrent_dropout(ugrnn, 0.75)
    p = problem(cell, 40, (B,), D, H)
    _, ys = compiled(lambda: unroll(cell, p.params, None, 3 * p.xs, key=jax.random.key(0)))()
    assert cell.bounds == (-4, 4) and 1 < abs(ys).max() <= 4


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: zoneout(gru, 1.0), ValueError, "zoneout h must be a number at least 0 and below 1, got 1.0"),
        (lambda: zoneout(gru, float("nan")), ValueError, "zoneout h must be a number"),
        (lambda: recurrent_dropout(gru, -0.1), ValueError, "recurrent_dropout rate must be .* got -0.1"),
        (
            lambda: variational_dropout(gru, "0.1"),
            ValueError,
            "variational_dropout rate must be .* got '0.1'",
        ),
        (
            lambda: variational_dropout(gru_reset_before, 0.1, 0.1),
            TypeError,
            "recurrent_rate=0.1: of GRUResetBefore no recurrent product is known",
        ),
        (lambda: recurrent_dropout(deep(gru, 2), 0.1), TypeError, "takes a gated cell, not Deep"),
        *(
            (lambda cell=cell: recurrent_dropout(cell, 0.1), TypeError, r"has no candidate φ\(a\) to drop")
            for cell in (mingru, rglru, scornn, zoneout(mingru, 0.1))
        ),
        (lambda: problem(recurrent_dropout(m2rnn, 0.1), T, (B,), D, H), TypeError, "per sequence: M2RNN"),
        (
            lambda: layer_norm(gru_reset_before),
            TypeError,
            "layer_norm takes a gated cell with dense products",
        ),
        (lambda: layer_norm(scornn), TypeError, "layer_norm takes a gated cell whose `project` is W x"),
        (lambda: problem(zoneout(m2rnn, 0.1), T, (B,), D, H), TypeError, r"is \[H\] per sequence: M2RNN"),
        (lambda: problem(zoneout(deep(gru, 2), 0.1), T, (B,), D, H), TypeError, r"Deep.* has \(2, 4\)"),
        (
            lambda: run_on_width(1),
            ValueError,
            "with_output: xs has 1 features, and its cell takes the first 2",
        ),
        *(
            (
                lambda sigma=sigma: state_noise(gru, sigma),
                ValueError,
                "state_noise sigma must be a finite number at least 0, got " + said,
            )
            for sigma, said in ((-0.1, "-0.1"), (float("inf"), "inf"), ("0.1", "'0.1'"), (True, "True"))
        ),
        (lambda: state_noise(deep(gru, 2), 0.1), TypeError, "takes a single cell, .* put it inside Deep"),
        (
            lambda: problem(state_noise(slow(gru, 2), 0.1), T, (B,), D, H),
            TypeError,
            "whose state is all that its step carries: put it inside Slow",
        ),
        (lambda: refine(gru, 0), ValueError, "refine n must be an integer at least 1, got 0"),
        (lambda: slow(gru, 1.5), ValueError, "slow k must be an integer at least 1, got 1.5"),
        (lambda: problem(zoneout(gru, 0.1, 0.1), T, (), D, H), ValueError, "zoneout c=0.1: GRU has no c"),
        (lambda: problem(zoneout(lru, 0.1), T, (), D, H), TypeError, "whose state is h, or h and c"),
        (lambda: run_with(jax.random.PRNGKey(0)), TypeError, r"must be jax.random.key\(seed\)"),
        (lambda: run_with(jax.random.split(jax.random.key(0), 5)), ValueError, "one per sequence"),
        (
            lambda: unroll(lambda p, s, x: (s, x), 0.0, 0.0, np.zeros((T, D)), key=jax.random.key(0)),
            ValueError,
            "key: a bare function draws no noise",
        ),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()


def run_on_width(width):
    p = problem(gru, T, (B,), D, H)
    cell = with_output(gru, lambda extra, y, rest: y)
    return unroll(cell, WithOutputParams(p.params), None, p.xs[..., :width])


def run_with(key):
    cell = zoneout(gru, 0.1)
    p = problem(cell, T, (B,), D, H)
    return unroll(cell, p.params, None, p.xs, key=key)


class Weights(NamedTuple):
    candidate: jax.Array


class OwnParams(NamedTuple):
    recurrent: Weights  # [H, H]
    input: jax.Array  # [D, H]


@dataclasses.dataclass(frozen=True)
class Own(Cell):
    """A cell from outside whose `recur` looks at the state itself, not by `hidden`."""

    recurrence = "dense"

    def init(self, key, in_size, hidden_size, dtype=jnp.float32):
        draw = functools.partial(jax.random.normal, key, dtype=dtype)
        return OwnParams(Weights(draw((hidden_size, hidden_size))), draw((in_size, hidden_size)))

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, params.input.shape[1]), params.input.dtype)

    def project(self, params, x):
        return x @ params.input

    def recur(self, params, state, u):
        return Weights(state @ params.recurrent.candidate)

    def core(self, params, state, u, r):
        return jnp.tanh(u + r.candidate)


@pytest.mark.parametrize("cell", [Own(), variational_dropout(gru, 0.0, 0.3)], ids=["own", "nested"])
def test_products_read_the_masked_h_in_every_mode(cell):
    noisy, xs = variational_dropout(cell, 0.0, 0.5), jax.random.normal(jax.random.key(1), (T, B, D))
    params = drawn(functools.partial(noisy.init, in_size=D, hidden_size=H))
    ys = lambda mode: unroll(noisy, params, None, xs, key=jax.random.key(2), mode=mode)[1]
    plain, *others = compiled(lambda: [ys(mode) for mode in ("plain", "scan", "newton")])()
    assert_close(others, [plain] * 2, 1e-4, 1e-5)


def test_a_candidate_dropped_twice_drops_nothing_else():
    cell = recurrent_dropout(recurrent_dropout(lstm, 0.5), 0.5)
    params, xs = cell.init(jax.random.key(0), D, H), jax.random.normal(jax.random.key(1), (T, B, D))
    _, states = unroll(with_states(cell), params, None, 10 * xs, key=jax.random.key(2))
    assert jnp.abs(states.h).max() <= 1  # σ(o) ⊙ tanh(c)
