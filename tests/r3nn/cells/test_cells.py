"""Every cell against its paper and flax, one step and a sequence; how parameters start; declared facts."""

import copy
import dataclasses
import functools
import pickle
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn import CELLS, chain, deep, feedback, initializers, unroll
from r3nn.cells import (
    ACTIVATIONS,
    GatedCell,
    GatedParams,
    LSTMState,
    SLSTMState,
    extended,
    gated_deltanet,
    gru,
    lru,
    lstm,
    slstm,
    star,
)
from r3nn.encoders import Readout
from tests import cell_oracles, oracles
from tests.helpers import REPRESENTATIVES, assert_close, compiled, outcome, problem, unless_slow

every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
GATED = {name: cell for name, cell in CELLS.items() if isinstance(cell, GatedCell)}
every_gated_cell = pytest.mark.parametrize("cell", GATED.values(), ids=GATED)


def dear(cells):
    """As `every_cell`, for what compiles for long: a few cells stand for the others, unless -m slow asks."""
    names = unless_slow(cells, {*REPRESENTATIVES, "pd_ssm"})
    rows = [name if hasattr(name, "marks") else pytest.param(name) for name in names]
    return pytest.mark.parametrize(
        "cell", [pytest.param(cells[row.values[0]], id=row.values[0], marks=row.marks) for row in rows]
    )


# Those whose gates all start alike: weights N(0, 1/D) and orthogonal, biases at 0.
OTHER = ("lem", "cornn", "scornn", "antisymmetric", "pd_ssm")
# Those whose state is a matrix for each head: gates have widths of their own.
MATRIX = ("m2rnn", "deltanet", "gated_deltanet")
PLAIN = {
    name: cell
    for name, cell in GATED.items()
    if cell.recurrence not in ("diagonal", "none") and name not in OTHER
}
every_plain_cell = pytest.mark.parametrize("cell", PLAIN.values(), ids=PLAIN)
STRUCTURED = {name: cell for name, cell in CELLS.items() if cell.recurrence != "opaque"}
every_structured_cell = pytest.mark.parametrize("cell", STRUCTURED.values(), ids=STRUCTURED)

T, B, D, H = 7, 3, 2, 5


# The paper.


#: float64 tells any slip; float32 a few cells
PRECISIONS = [
    pytest.param(
        *(cell, dtype, rtol),
        id=f"{name}-{dtype}-{rtol}",
        marks=[pytest.mark.slow] * (dtype == "float32" and name not in REPRESENTATIVES),
    )
    for name, cell in CELLS.items()
    for dtype, rtol in (("float32", 1e-5), ("float64", 1e-10))
]


@pytest.mark.parametrize("cell, dtype, rtol", PRECISIONS)
def test_one_step_and_a_sequence_equal_the_paper(cell, dtype, rtol):
    with jax.enable_x64(dtype == "float64"):
        p = problem(cell, T, (B,), D, H)

        @jax.jit
        def run(params, state, xs):
            one = cell(params, state, xs[0])
            return one, *(unroll(cell, params, state, xs, mode=mode) for mode in ("plain", "scan"))

        one, plain, scan = run(p.params, p.state, p.xs)
        assert {leaf.dtype.name for leaf in jax.tree.leaves((one, plain, scan))} == {dtype}

    close = functools.partial(assert_close, rtol=rtol, atol=rtol)
    params, state, xs = jax.tree.map(np.float64, (p.params, p.state, p.xs))
    for b in range(B):
        first = oracles.entry(cell, state, b)
        expected = oracles.step(cell, params, first, xs[0, b])
        close(oracles.entry(cell, one[0], b), expected)
        close(one[1][b], oracles.output(cell, params, expected, xs[0, b]))
        final, ys = oracles.unroll(cell, params, first, xs[:, b])
        for actual in (plain, scan):
            close(oracles.entry(cell, actual[0], b), final)
            close(actual[1][:, b], ys)


@dear(GATED)
def test_without_biases_equals_the_paper(cell, x64):
    p = problem(cell, T, (), D, H)
    params = p.params._replace(bias=None, recurrent_bias=None, initial=None)
    expected = oracles.unroll(cell, params, None, p.xs)
    assert_close(jax.jit(functools.partial(unroll, cell))(params, None, p.xs), expected, rtol=1e-10)


# Flax.


def flax_params(names, *, bias_in, bias_of_recurrence=()):
    """Our params -> flax's: names maps our gates to flax's letters; the prefix is i(nput) or h(idden)."""

    def convert(params):
        dense = {}
        for gate, letter in names.items():
            dense["i" + letter] = {"kernel": getattr(params.input, gate)}
            dense["h" + letter] = {"kernel": getattr(params.recurrent, gate)}
            dense[bias_in + letter]["bias"] = getattr(params.bias, gate)
        for letter in bias_of_recurrence:
            dense["h" + letter]["bias"] = params.recurrent_bias
        return {"params": dense}

    return convert


LSTM = flax_params({"input": "i", "forget": "f", "cell": "g", "output": "o"}, bias_in="h")
FLAX = {
    "elman": (nn.SimpleCell, flax_params({"candidate": ""}, bias_in="i")),
    "gru": (
        nn.GRUCell,
        flax_params({"reset": "r", "update": "z", "candidate": "n"}, bias_in="i", bias_of_recurrence="n"),
    ),
    "mgu_reset_after": (
        nn.MGUCell,
        flax_params({"forget": "f", "candidate": "n"}, bias_in="i", bias_of_recurrence="n"),
    ),
    "lstm": (nn.LSTMCell, LSTM),
    "lstm, optimized": (nn.OptimizedLSTMCell, LSTM),
}


@pytest.mark.parametrize("name", FLAX)
def test_equals_flax(name, x64):
    cell, (flax_cell, convert) = CELLS[name.split(",")[0]], FLAX[name]
    p = problem(cell, T, (B,), D, H)
    params = convert(p.params)
    flax_cell = flax_cell(H, param_dtype=jnp.float64)
    carry = (p.state.c, p.state.h) if cell is lstm else p.state  # flax's carry is (c, h)
    shapes = jax.eval_shape(flax_cell.init, jax.random.key(0), carry, p.xs[0])
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, shapes)

    def run(carry, xs):
        return jax.lax.scan(functools.partial(flax_cell.apply, params), carry, xs)

    final, ys = jax.jit(run)(carry, p.xs)
    final = type(p.state)(final[1], final[0]) if cell is lstm else final
    assert_close(jax.jit(functools.partial(unroll, cell))(p.params, p.state, p.xs), (final, ys), rtol=1e-10)


# How parameters start.


@functools.cache
def initialized(cell, key=0, **options):
    return cell.init(jax.random.key(key), D, H, **options)


@every_gated_cell
def test_each_array_has_a_draw_of_its_own(cell):
    params = initialized(cell)
    assert type(params.input) is type(params.bias) is cell.gates
    assert params.initial is None
    weights = lambda params: params._replace(bias=None, recurrent_bias=None)
    drawn = jax.tree.leaves((weights(params), weights(initialized(cell, key=1))))
    drawn = [np.asarray(leaf).ravel() for leaf in drawn]
    size = lambda a, b: min(a.size, b.size)
    assert all(
        not np.allclose(a[: size(a, b)], b[: size(a, b)]) for i, a in enumerate(drawn) for b in drawn[:i]
    )


@every_plain_cell
def test_initial_parameters(cell):
    params = initialized(cell)
    assert {w.shape for w in params.input} == {(D, H)} or cell_name(cell) in MATRIX
    for u in jax.tree.leaves(params.recurrent):
        u = np.squeeze(u)  # m2rnn's one head
        assert_close(u.T @ u, np.eye(H), atol=1e-5)
    for gate, bias in params.bias._asdict().items():
        assert_close(bias, np.full_like(bias, cell_name(cell).endswith("lstm") and gate == "forget"))
    if params.recurrent_bias is not None:
        assert_close(params.recurrent_bias, np.zeros(H))


def cell_name(cell):
    return next(name for name, other in CELLS.items() if other == cell)


def test_input_weights_have_variance_one_over_width():
    w = CELLS["elman"].init(jax.random.key(0), 400, 50, recurrent_init=initializers.zeros).input.candidate
    assert abs(w.std() * 20 - 1) < 0.05


def test_forget_bias():
    assert_close(initialized(lstm, forget_bias=2.5).bias.forget, np.full(H, 2.5))


@every_gated_cell
def test_without_bias(cell):
    params = initialized(cell, bias=False)
    assert params.bias is None and params.recurrent_bias is None
    cell(params, cell.initial_state(params, (B,)), jnp.zeros((B, D)))


@every_gated_cell
def test_chrono(cell):
    """Biases log U(1, T_max - 1), for time constants 1 / (1 - σ(b)) in (2, T_max)."""
    if not cell.keeps + cell.writes:
        with pytest.raises(ValueError, match=f"chrono=9.0: {type(cell).__name__} has no gate bias to set"):
            cell.init(jax.random.key(0), D, H, chrono=9.0)
        return
    if cell_name(cell) in MATRIX:  # a gate for each head
        cell = dataclasses.replace(cell, heads=2000, keys=1)
    zeros = {"kernel_init": initializers.zeros, "recurrent_init": initializers.zeros}
    bias = cell.init(jax.random.key(0), 1, 2000, chrono=9.0, **zeros).bias
    bias = jax.tree.map(np.asarray, bias)
    for gate, b in bias._asdict().items():
        if gate in cell.keeps + cell.writes:
            times = 1 + np.exp(b if gate in cell.keeps else -b)  # = 1 / (1 - σ(±b))
            assert times.min() >= 2 - 1e-5 and times.max() <= 9 + 1e-5
            assert abs(times.mean() - 5.5) < 0.2  # uniform, not log-uniform
        else:
            assert_close(b, np.zeros(2000), atol=2000**-0.5)
    for keep, write in zip(cell.keeps, cell.writes, strict=False):  # f ≈ 1 - i (Tallec & Ollivier, eq. 16)
        assert_close(getattr(bias, keep), -getattr(bias, write))


@every_gated_cell
def test_gates_keep_and_write_as_declared(cell):
    """The signs that chrono relies on: gates that keep, open, and gates that write, shut, leave the state."""
    p = problem(cell, 1, (B,), D, H)

    def after(bias):
        gates = {gate: 0 * getattr(p.params.bias, gate) + bias for gate in cell.keeps}
        gates |= {gate: 0 * getattr(p.params.bias, gate) - bias for gate in cell.writes}
        if cell is gated_deltanet:  # what β writes comes on top of what α keeps
            gates["rate"] = 0 * p.params.bias.rate - 30.0
        return cell(p.params._replace(bias=p.params.bias._replace(**gates)), p.state, p.xs[0])[0]

    def kept(state):
        if isinstance(state, SLSTMState):
            return state.c / state.n
        return state.c if isinstance(state, LSTMState) else state

    if cell.keeps + cell.writes:
        expected = jnp.tanh(p.state) if cell is star else kept(p.state)  # its outer tanh is at every step
        assert_close(kept(after(30.0)), expected, atol=1e-5)
        changed = jax.tree.map(lambda a, b: abs(a - b).min() > 1e-3, kept(after(-30.0)), kept(p.state))
        assert jax.tree.all(changed)


@every_cell
def test_initial_state(cell):
    params = initialized(cell)
    repeated = lambda leaf, batch: np.broadcast_to(leaf, (*batch, *leaf.shape))
    first = cell_oracles.initial(cell, params)
    if cell is not slstm:
        assert not any(leaf.any() for leaf in jax.tree.leaves(first))
    for batch in ((), (B,), (2, B)):
        expected = jax.tree.map(lambda leaf, batch=batch: repeated(leaf, batch), first)
        assert_close(cell.initial_state(params, batch), expected)

    learned = initialized(cell, learn_initial=True)
    assert not any(leaf.any() for leaf in jax.tree.leaves(learned.initial))
    learned = learned._replace(
        initial=jax.tree.map(
            lambda h: h + np.arange(h.size, dtype=np.float32).reshape(h.shape), learned.initial
        )
    )
    first = cell_oracles.initial(cell, learned)
    expected = jax.tree.map(lambda leaf: repeated(leaf, (2, B)), first)
    assert_close(cell.initial_state(learned, (2, B)), expected)
    assert_close(jax.tree.leaves(expected)[0][1, 2].ravel()[:H], np.arange(H))


@pytest.mark.parametrize(
    "sizes, named", [((0, H), "in_size"), ((D, 0), "hidden_size"), ((D, -1), "hidden_size")]
)
def test_sizes_below_one(sizes, named):
    with pytest.raises(ValueError, match=f"{named} must be an integer at least 1, got {min(sizes)}"):
        CELLS["gru"].init(jax.random.key(0), *sizes)


@pytest.mark.parametrize(
    "cell",
    [gru, CELLS["rglru"], lru, chain(gru, gru), deep(gru, 2), feedback(gru, Readout(3))],
    ids=["gru", "rglru", "lru", "chain", "deep", "feedback"],
)
@pytest.mark.parametrize("key", [0, None, np.array(0)], ids=["int", "None", "an array of ints"])
def test_what_is_no_key(cell, key):
    with pytest.raises(TypeError, match=r"^key=.* is no PRNG key: must be jax.random.key\(seed\)\.$"):
        cell.init(key, D, H)


def test_keys_of_the_older_kind_are_keys():
    for key in (jax.random.PRNGKey(0), np.array([0, 1], np.uint32)):
        jax.eval_shape(lambda key: gru.init(key, D, H), key)


@pytest.mark.parametrize(
    "cell, state, error, words",
    [
        (gru, np.zeros((1, H)), ValueError, r"state has shapes \(1, 5\): a step with .* gives \(3, 5\)"),
        (lstm, (np.zeros((B, H)),) * 2, TypeError, r"\(\(3, 5\), \(3, 5\)\): LSTM takes .* LSTMState\(h="),
        (chain(gru, lstm), (np.zeros((B, H)),) * 2, TypeError, r"Chain takes .*\(5,\), LSTMState\(h=\(5,\)"),
        (gru, (np.zeros((B, H)),), TypeError, r"GRU takes one such as \(5,\)"),
    ],
    ids=["batch", "tuple", "tuple within", "tuple for an array"],
)
def test_a_step_from_a_state_of_another_kind(cell, state, error, words):
    """A batch is not broadcast within a state: a loop would carry another one than it began with."""
    params = jax.eval_shape(lambda key: cell.init(key, D, H), jax.random.key(0))
    with pytest.raises(error, match=words):
        jax.eval_shape(cell, params, state, np.zeros((B, D)))


# Declared facts.


@every_structured_cell
def test_core_is_elementwise(cell):
    """Unit 2 of state, inputs and products moves unit 2 of the new state and no other."""
    p = problem(cell, 1, (B,), D, H)
    params = cell.prepare(p.params)
    u = cell.project(params, p.xs[0])
    given = (p.state, u, jax.tree.map(jnp.ones_like, cell.recur(params, p.state, u)))

    def core(bump):
        return cell.core(params, *jax.tree.map(lambda leaf: leaf.at[..., 2].add(bump), given))

    def moved(before, after):
        assert ((before != after) == (np.arange(H) == 2)[None]).all()

    jax.tree.map(moved, core(0.0), core(3.0))


@every_structured_cell
def test_recur_is_the_declared_product(cell):
    p = problem(cell, 1, (B,), D, H)
    params = cell.prepare(p.params)
    u = cell.project(params, p.xs[0])
    r = cell.recur(params, p.state, u)
    if cell.recurrence == "none":
        assert r == ()
        return
    h = np.asarray(cell.hidden(p.state))
    if cell.recurrence == "multiplicative":
        h = np.asarray(u.multiplier) * (h @ np.asarray(params.multiplier))
    product = np.multiply if cell.recurrence == "diagonal" else np.matmul
    assert_close(r, jax.tree.map(lambda w: product(h, np.asarray(w)), params.recurrent))


@pytest.mark.parametrize("name", [name for name, cell in CELLS.items() if cell.affine])
def test_core_is_affine_in_the_state_where_it_says_so(name):
    """core(s) - core(0) is linear, and a unit's components meet those of no other."""
    cell = CELLS[name]
    p, other = (problem(cell, 1, (B,), D, H, seed=seed) for seed in (0, 1))
    params = cell.prepare(p.params)
    u = cell.project(params, p.xs[0])
    zero = jax.tree.map(jnp.zeros_like, p.state)
    core = lambda state: cell.core(params, state, u, ())
    linear = lambda state: jax.tree.map(jnp.subtract, core(state), core(zero))
    combined = jax.tree.map(lambda a, b: 2 * a - 3 * b, p.state, other.state)
    expected = jax.tree.map(lambda a, b: 2 * a - 3 * b, linear(p.state), linear(other.state))
    assert_close(linear(combined), expected)
    assert all(leaf.any() for leaf in jax.tree.leaves((linear(p.state), core(zero))))


@pytest.mark.parametrize("name", [name for name, cell in CELLS.items() if cell.bounds])
def test_states_stay_in_the_declared_box(name):
    cell = CELLS[name]
    low, high = cell.bounds
    p = problem(cell, 1, (200,), D, H)
    large = jax.tree.map(lambda leaf: 5 * leaf, p.params)
    rng = np.random.default_rng(1)
    inside = jax.tree.map(lambda leaf: rng.uniform(low, high, size=leaf.shape).astype(np.float32), p.state)
    corners = jax.tree.map(lambda leaf: np.where(leaf > 0, high, low).astype(np.float32), inside)
    step = jax.jit(cell)
    for state in (inside, corners):
        after, _ = step(large, state, p.xs[0])
        rounding = 0 if high == 1 else 1e-6 * high  # float32 has 1, but not e
        leaves = jax.tree.leaves(after)
        assert all(leaf.min() >= low - rounding and leaf.max() <= high + rounding for leaf in leaves)


WITH_TANH = {name: cell for name, cell in GATED.items() if cell.activation is jnp.tanh}


def test_another_activation_stands_wherever_the_paper_has_tanh(monkeypatch):
    """Two steps of each cell, all in one program, against its equations with NumPy's tanh replaced."""
    without = {"indrnn", "scornn", "deltanet", "gated_deltanet", "pd_ssm", "lrc"}
    assert set(CELLS) - set(WITH_TANH) == without | {"mingru", "minlstm", "rglru", "lru"}
    problems = {name: problem(cell, 2, (B,), D, 4) for name, cell in WITH_TANH.items()}

    def run(cell, p):
        state, _ = cell(p.params, p.state, p.xs[0])
        return cell(p.params, state, p.xs[1])

    changed = {name: dataclasses.replace(cell, activation=jax.nn.silu) for name, cell in WITH_TANH.items()}
    actual = compiled(lambda ps: {name: run(changed[name], p) for name, p in ps.items()})(problems)
    monkeypatch.setattr(np, "tanh", lambda a: a / (1 + np.exp(-a)))
    for name, cell in WITH_TANH.items():
        params, state, xs, *_ = jax.tree.map(np.float64, problems[name])
        expected = oracles.unroll(cell, params, oracles.entry(cell, state, 1), xs[:, 1])
        new, y = actual[name]
        assert_close(
            (oracles.entry(cell, new, 1), y[1]), (expected[0], expected[1][-1]), rtol=1e-5, atol=1e-5
        )


def test_gradients_through_another_activation(x64):
    """gelu, which is no single operation, twice in an LSTM."""
    cell = dataclasses.replace(lstm, activation=jax.nn.gelu)
    p = problem(cell, 3, (B,), D, 4)[:3]
    scan, plain = compiled(lambda p: [outcome(cell, *p, mode=mode) for mode in ("scan", "plain")])(p)
    assert_close(scan, plain, rtol=1e-9, atol=1e-10)


def test_bounds_are_of_the_activation():
    for cell in WITH_TANH.values():
        changed = dataclasses.replace(cell, activation=jax.nn.sigmoid)
        assert changed.bounds is None
        assert dataclasses.replace(changed, activation=jnp.tanh) == cell
        assert dataclasses.replace(changed, activation=jnp.tanh).bounds == cell.bounds

    @dataclasses.dataclass(frozen=True)
    class Rectified(type(CELLS["gru"])):
        activation: Callable = jax.nn.relu

    assert Rectified().bounds is None and Rectified(activation=jnp.tanh).bounds == (-1, 1)


def test_a_cell_with_another_activation_is_a_value():
    """Also where pickle and copy would refuse, or double, the function."""
    for name, activation in ACTIVATIONS.items():
        cell = dataclasses.replace(CELLS["lem"], dt=0.5, activation=activation)
        for twin in (pickle.loads(pickle.dumps(cell)), copy.deepcopy(cell)):
            assert twin == cell and hash(twin) == hash(cell) and twin.bounds == cell.bounds
        assert repr(cell) == f"LEM(reads=Dense(), activation={name}, dt=0.5)"
    assert "activation=softplus" in repr(dataclasses.replace(lstm, activation=jax.nn.softplus))


@pytest.mark.parametrize("name", ["mingru", "minlstm", "rglru", "scornn", "deltanet", "pd_ssm"])
def test_activation_of_a_cell_that_has_none(name):
    with pytest.raises(ValueError, match="field activation .* cannot be specified"):
        dataclasses.replace(CELLS[name], activation=jax.nn.relu)
    with pytest.raises(TypeError, match="LSTM: activation='relu' must be an elementwise function such as"):
        dataclasses.replace(lstm, activation="relu")


@every_cell
def test_the_parts_compose_to_the_step(cell):
    p = problem(cell, 1, (B,), D, H)
    x = p.xs[0]
    params = cell.prepare(p.params)
    u = cell.project(params, x)
    state = cell.step(params, p.state, u)
    assert_close(cell(p.params, p.state, x), (state, cell.output(params, state, x)))
    if cell.recurrence != "opaque":
        assert_close(cell.core(params, p.state, u, cell.recur(params, p.state, u)), state)
    assert cell.in_size(p.params) == D


@dear(CELLS)
def test_any_number_of_batch_axes(cell):
    p = problem(cell, 1, (2, B), D, H)
    one = lambda state, x: cell(p.params, state, x)
    at = lambda index: oracles.take(p.state, index)
    # One state for a batch of inputs is that state for each of them.
    same = jax.tree.map(lambda leaf: np.broadcast_to(leaf[0, 0], leaf.shape), p.state)

    @compiled
    def run(state, x):
        each = jax.vmap(jax.vmap(one))(state, x)
        with jax.numpy_rank_promotion("allow"):
            broadcast = one(at((0, 0)), x)[1]
        return one(state, x), each, one(at((1, 2)), x[1, 2]), broadcast, one(same, x)[1]

    whole, each, alone, broadcast, repeated = run(p.state, p.xs[0])
    assert_close(whole, each)
    assert_close(alone, oracles.take(whole, (1, 2)))
    assert_close(broadcast, repeated)


@dear(GATED)
def test_bfloat16_stays_bfloat16(cell):
    @compiled
    def run(key):
        params = cell.init(key, D, H, learn_initial=True, chrono=None, dtype=jnp.bfloat16)
        state = cell.initial_state(params, (B,))
        return params, state, cell(params, state, jnp.ones((B, D), jnp.bfloat16))

    params, state, out = run(jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves((params, state, out))} == {jnp.dtype(jnp.bfloat16)}
    if cell.recurrence == "dense" and cell.recurrent_init is None:
        for u in map(np.float32, params.recurrent):  # orthogonal as far as bfloat16 goes
            assert_close(u.T @ u, np.eye(H), atol=0.05)


@every_cell
def test_a_cell_is_a_value(cell):
    twin = pickle.loads(pickle.dumps(cell))
    assert twin == cell and hash(twin) == hash(cell)
    assert [other for other in CELLS.values() if other == cell] == [cell]
    with pytest.raises(AttributeError):
        cell.bounds = None


def test_params_of_ones_own_may_be_made_again_in_one_process():
    """As a notebook does, where a cell of it is run twice."""
    made = [extended("Again", __name__, "With a vector.", own=jax.Array) for _ in range(2)]
    assert [kind._fields for kind in made] == [(*GatedParams._fields, "own")] * 2
