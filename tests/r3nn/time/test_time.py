"""`unroll`: every mode gives the numbers of a loop in Python, and the gradients of `plain`."""

import dataclasses
import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.flatten_util import ravel_pytree

from r3nn import CELLS, chain, deep, feedback, residual, slow, unroll
from r3nn.cells import gru, gru_reset_before, lstm, mgu, ugrnn
from r3nn.time import _pick
from r3nn.time._pick import modes_of
from r3nn.time.deferred.products import PACKED
from r3nn.time.parallel.jacobian import ELEMENTWISE
from tests import oracles
from tests.helpers import (
    REPRESENTATIVES,
    STRAIGHT_THROUGH,
    TanhReadout,
    assert_close,
    backward_loop,
    compiled,
    in_blocks,
    inner_loops,
    number,
    open_sizes,
    outcome,
    pad,
    pairwise,
    problem,
    product,
    scans,
    unless_slow,
)

every_cell = pytest.mark.parametrize("name", unless_slow(CELLS, REPRESENTATIVES))
both_modes = pytest.mark.parametrize("mode", ["plain", "scan"])

T, B, D, H = 11, 3, 2, 5

close = functools.partial(assert_close, rtol=1e-9, atol=1e-10)


def equals_the_loop(cell, values, params, state, xs, mask=None, reset=None, reverse=False):
    """Whether (final, ys) of a batch are those of the Python loop, one sequence after another."""
    final, ys = values
    params, state = jax.tree.map(np.asarray, (params, state))
    for b in np.ndindex(xs.shape[1:-1]):
        at = (slice(None), *b)
        expected = oracles.unroll(
            cell,
            params,
            None if state is None else oracles.entry(cell, state, b),
            xs[at],
            mask=None if mask is None else mask[at],
            reset=None if reset is None else reset[at],
            reverse=reverse,
        )
        close((oracles.entry(cell, final, b), ys[at]), expected)


# Modes agree.

AXES = {
    "cell": list(REPRESENTATIVES),
    "T": [1, 37, 257],
    "batch": [(), (3,), (2, 3)],
    "mask": [False, True],
    "reset": [False, True],
    "reverse": [False, True],
    "state": [False, True],
    "chunk": [None, 7, 1],
    "keep": [False, True],
}


#: a cell of dense products, one in whose step nothing is known to be recurrent, and one of all modes
APART = ("gru", "m2rnn", "lru")


def meets(pair):
    """Whether two values must occur in one row by default: all but those of a cell that another stands for,
    which is there with and without a mask."""
    return pair.get("cell") in (None, *APART) or "mask" in pair


def name_row(row):
    return "-".join(f"{k}={v}" if isinstance(v, bool) else str(v) for k, v in row.items()).replace(" ", "")


def check_modes(row, left_out=()):
    cell = CELLS[row["cell"]]
    p = problem(cell, row["T"], row["batch"], D, H)
    flags = {name: getattr(p, name) for name in ("mask", "reset") if row[name]}
    xs = pad(p.xs, p.mask) if row["mask"] else p.xs
    state = p.state if row["state"] else None

    @compiled
    def run(params, state, xs, flags):
        how = dict(reverse=row["reverse"], keep=row["keep"] and cell.recurrence in PACKED, **flags)
        chunk = functools.partial(in_blocks, cell, chunk=row["chunk"])
        return [outcome(cell, params, state, xs, mode=mode, **chunk(mode=mode), **how) for mode in modes]

    # Newton on all of a dense Jacobian compiles for long: over more than one window, where units are apart.
    windows = row["T"] < 50 or cell.recurrence in ELEMENTWISE
    modes = [mode for mode in modes_of(cell) if (mode != "newton" or windows) and mode not in left_out]
    plain, *others = run(p.params, state, xs, flags)
    equals_the_loop(cell, plain[0], p.params, state, xs, reverse=row["reverse"], **flags)
    for mode, values in zip(modes[1:], others, strict=True):
        close({mode: values}, {mode: plain})


@pytest.mark.parametrize("row", pairwise(meets, **AXES), ids=name_row)
def test_modes_agree(row, x64):
    """Newton compiles as long as all others: under a mask, where it meets each of the other flags."""
    check_modes(row, () if row["mask"] else ("newton",))


def in_full():
    """Every cell with everything that a caller can ask for; what a caller leaves alone takes turns. And each
    representative with each of the values of all."""
    asked = {name: AXES[name] for name in ("mask", "reset", "reverse", "state")}
    rows = product(cell=list(CELLS), batch=[(1,), (3,)], T=[1, 2, 37, 257], **asked)
    alone = itertools.cycle(product(keep=AXES["keep"], chunk=AXES["chunk"]))
    return [row | turn for row, turn in zip(rows, alone, strict=False)] + pairwise(**AXES)


@pytest.mark.slow
@pytest.mark.parametrize("row", in_full(), ids=name_row)
def test_modes_agree_in_full(row, x64):
    check_modes(row)


# One for each way to differentiate: by what is known of the step, by all of it, by a solve, by a maximum.
@pytest.mark.parametrize(
    "name",
    unless_slow(
        [name for name in CELLS if name not in STRAIGHT_THROUGH], ("lstm", "lru", "m2rnn", "scornn", "slstm")
    ),
)
def test_gradients_equal_central_differences(name, x64):
    """Of every component of params, initial state and inputs, with everything that can be on."""
    cell = CELLS[name]
    p = problem(cell, 8, (B,), D, H)
    xs = pad(p.xs, p.mask)
    flat, unravel = ravel_pytree((p.params, p.state, xs))

    @compiled
    def run(flat):
        flags = dict(mask=p.mask, reset=p.reset)
        loss = lambda flat: number(unroll(cell, *unravel(flat), **flags, mode="plain"))
        steps = 1e-5 * jnp.eye(flat.size)
        above, below = jax.vmap(loss)(jnp.concatenate([flat[None] + steps, flat[None] - steps])).reshape(
            2, -1
        )
        return outcome(cell, *unravel(flat), **flags, mode="scan", chunk=4)[1], (above - below) / 2e-5

    gradients, differences = run(flat)
    assert_close(gradients, unravel(differences), rtol=1e-6, atol=1e-7)
    assert jax.tree.all(jax.tree.map(lambda leaf: jnp.any(leaf != 0), gradients))


# Flags.


@pytest.mark.parametrize("cell", [gru, mgu], ids=["gru", "mgu"])
def test_packed_equals_padded_forward_and_reverse(cell, x64):
    """Sequences one behind another in a row, or each in its own row with NaN behind it: both directions."""
    lengths = [(3, 1, 4), (2, 6), (8,)]  # of the sequences packed into each row
    p = problem(cell, 8, (3,), D, H)
    rows = [
        (row, start, n)
        for row, ns in enumerate(lengths)
        for start, n in zip(np.cumsum((0, *ns)), ns, strict=False)
    ]
    reset = np.zeros((8, 3), bool)
    exists = np.zeros((8, len(rows)), bool)
    for i, (row, start, n) in enumerate(rows):
        reset[start, row] = exists[:n, i] = True

    def unpack(packed):
        padded = np.full((8, len(rows), packed.shape[-1]), np.nan)
        for i, (row, start, n) in enumerate(rows):
            padded[:n, i] = packed[start : start + n, row]
        return padded

    xs, weights = p.xs, np.random.default_rng(1).normal(size=(8, 3, 2 * H))

    def both_ways(params, xs, weights, **how):
        def loss(params, xs):
            forward, backward = (unroll(cell, params, None, xs, reverse=r, **how)[1] for r in (False, True))
            ys = jnp.concatenate([forward, backward], axis=-1)
            return jnp.sum(weights * jnp.sin(ys)), ys

        gradients, ys = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, xs)
        return ys, gradients

    @compiled
    def run(params):
        packed = both_ways(params, xs, weights, reset=reset, mode="scan", chunk=4)
        padded = both_ways(params, unpack(xs), np.nan_to_num(unpack(weights)), mask=exists, mode="plain")
        return packed, padded

    (ys, (d_params, d_xs)), (padded_ys, (padded_d_params, padded_d_xs)) = run(p.params)
    close(d_params, padded_d_params)
    assert_close(
        np.where(exists[..., None], padded_d_xs, 0), padded_d_xs, rtol=0, atol=0
    )  # nothing from the padding
    unpacked_ys, unpacked_d_xs = unpack(np.asarray(ys)), unpack(np.asarray(d_xs))
    close(unpacked_ys[exists], padded_ys[exists])
    close(unpacked_d_xs[exists], padded_d_xs[exists])
    # And each equals the sequence on its own.
    for i, (row, start, n) in enumerate(rows):
        alone = xs[start : start + n, row]
        for reverse, columns in ((False, slice(0, H)), (True, slice(H, None))):
            expected = oracles.unroll(cell, jax.tree.map(np.asarray, p.params), None, alone, reverse=reverse)[
                1
            ]
            close(padded_ys[:n, i, columns], expected)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("mode", ["plain", "scan"])
def test_masked_steps_repeat_the_last_output(mode, reverse, x64):
    """Also where the output reads x, which a masked step does not have."""
    cell = residual(lstm)
    p = problem(cell, T, (B,), H, H)
    run = compiled(functools.partial(unroll, cell, mode=mode, reverse=reverse))
    _, ys = run(p.params, p.state, pad(p.xs, p.mask), mask=p.mask)
    mask, ys = (p.mask[::-1], ys[::-1]) if reverse else (p.mask, ys)
    for t, b in zip(*np.nonzero(~mask), strict=True):
        assert_close(ys[t, b], ys[t - 1, b] if t else p.state.h[b])
    assert (~mask[1:]).any() and (abs(ys[1:] - ys[:-1]).max(-1) > 1e-3)[mask[1:]].all()


@both_modes
def test_padding_may_hold_anything(mode, x64):
    """NaN or numbers under the mask: the same values and gradients, to the bit, and none for the padding."""
    p = problem(mgu, T, (B,), D, H)
    run = compiled(functools.partial(outcome, mgu, mode=mode, mask=p.mask, **in_blocks(mgu, mode, 4)))
    nan, numbers = (run(p.params, p.state, xs) for xs in (pad(p.xs, p.mask), p.xs))
    assert_close(nan, numbers, rtol=0, atol=0)
    d_xs = nan[1][2]
    assert ((d_xs != 0).any(-1) == p.mask).all()


@both_modes
def test_learned_initial_state_collects_the_gradients_of_all_resets(mode, x64):
    """Three segments, of which the last two start from `initial`: three times what one of them would give."""
    p = problem(gru, 4, (), D, H)
    thrice = np.tile(p.xs, (3, 1))
    reset = np.arange(12) % 4 == 0

    @compiled
    def run(params):
        gradient = jax.grad(
            lambda params, xs, **flags: unroll(gru, params, None, xs, mode=mode, **flags)[1].sum()
        )
        return gradient(params, p.xs), gradient(params, thrice, reset=reset)

    once, all_three = run(p.params)
    assert abs(once.initial).min() > 1e-3
    close(all_three, jax.tree.map(lambda g: 3 * g, once))


# Shapes.


@pytest.mark.parametrize(
    "cell", [gru, deep(residual(lstm), 2), chain(mgu, ugrnn)], ids=["gru", "deep", "chain"]
)
@both_modes
def test_no_steps(mode, cell, x64):
    p = problem(cell, 0, (B,), H, H)

    @compiled
    def run(params, state):
        flags = dict(mask=p.mask, reset=p.reset)
        return [
            outcome(cell, params, state, p.xs, mode=mode, **how)
            for how in ({}, flags, flags | {"reverse": True})
        ]

    for (final, ys), (d_params, d_state, _) in run(p.params, p.state):
        close(final, p.state)
        assert ys.shape == (0, B, H)
        close(d_params, jax.tree.map(np.zeros_like, p.params))
        close(d_state, jax.grad(number)(p.state))


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_no_sequences(name):
    """An empty batch is traced in every mode, with its gradient."""
    cell = CELLS[name]
    p = problem(cell, 6, (0,), D, H)
    for mode in {"plain", "linear", "newton"}.intersection(modes_of(cell)):
        run = functools.partial(outcome, cell, mode=mode, mask=p.mask, reset=p.reset)
        (final, ys), gradients = jax.eval_shape(run, *p[:3])
        assert ys.shape == (6, 0, H)
        assert jax.tree.map(jnp.shape, (final, gradients)) == jax.tree.map(jnp.shape, (p.state, p[:3]))


@pytest.mark.parametrize("name, mode", [("m2rnn", "scan"), ("gru", "newton"), ("mgu", "newton")])
def test_no_sequences_run(name, mode, x64):
    p = problem(CELLS[name], 6, (0,), D, H)
    _, (d_params, *_) = compiled(functools.partial(outcome, CELLS[name], mode=mode))(*p[:3])
    close(d_params, jax.tree.map(np.zeros_like, p.params))


@pytest.mark.parametrize(
    "name, mode",
    [
        *(("gru", "scan"), ("diagonal_gru", "newton"), ("lru", "linear")),
        *(pytest.param(*row, marks=pytest.mark.slow) for row in [("mgu", "plain"), ("m2rnn", "chunked")]),
    ],
)
def test_a_program_of_any_length_and_batch(name, mode, x64):
    """Exported with symbols for T and B, it gives the values and gradients of `plain` at sizes of its own."""
    cell = CELLS[name]
    p = problem(cell, T, (B,), D, H)

    def run(mode, p):
        return outcome(cell, *p[:3], mode=mode, mask=p.mask, reset=p.reset)

    exported = export.export(compiled(functools.partial(run, mode)))(open_sizes(cell, p, "T, b"))
    close(exported.call(p), compiled(functools.partial(run, "plain"))(p))


def test_plain_measures_nothing(monkeypatch):
    p = problem(gru, T, (B,), D, H)
    monkeypatch.setattr(_pick, "tree_bytes", None)
    _, ys = jax.eval_shape(functools.partial(unroll, gru, mode="plain"), *p[:3])
    assert ys.shape == (T, B, H)


@both_modes
def test_no_inputs(mode, x64):
    """xs=None: a cell whose inputs have no features, or a bare function that ignores x."""
    p = problem(gru, 5, (B,), D, H)
    params = p.params._replace(input=jax.tree.map(lambda w: w[:0], p.params.input))
    run = functools.partial(unroll, mode=mode, length=5)
    empty = np.zeros((5, B, 0))
    equals_the_loop(gru, run(gru, params, p.state, None), params, p.state, empty)
    equals_the_loop(gru, run(gru, params, None, None), params, None, empty[:, 0])

    def function(params, state, x):
        assert x is None
        return gru(params, state, jnp.zeros((B, 0)))

    equals_the_loop(gru, run(function, params, p.state, None), params, p.state, empty)

    fed = feedback(gru, TanhReadout())
    q = problem(fed, 5, (B,), 0, H)
    equals_the_loop(fed, run(fed, q.params, q.state, None), q.params, q.state, empty)


def test_no_inputs_takes_the_dtype_of_the_params():
    params = problem(gru, 5, (B,), D, H).params
    params = params._replace(input=jax.tree.map(lambda w: w[:0], params.input))
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    final, ys = jax.eval_shape(lambda params: unroll(gru, params, None, None, length=5), params)
    assert final.dtype == ys.dtype == jnp.bfloat16


# Bare functions.


@both_modes
def test_a_bare_function_closing_over_arrays(mode, x64):
    """A step as a user writes it: what it closes over gets gradients; here masked, batched and in reverse."""
    p = problem(gru, T, (B,), D, H)
    xs = pad(p.xs, p.mask)

    def loss(params, state, xs, as_function):
        scale = params.recurrent_bias  # traced, closed over, and not an argument
        position = jnp.argsort(scale)  # integers, likewise

        def function(p, state, x):
            state, y = gru(params._replace(input=p), state, x)
            return state, {"y": y[..., position] * scale[None]}

        how = dict(mask=p.mask, reverse=True)
        if as_function:
            how |= in_blocks(function, mode, 4)
            final, ys = unroll(function, params.input, state, xs, mode=mode, **how)
            ys = ys["y"]
        else:
            final, ys = unroll(gru, params, state, xs, mode="plain", **how)
            ys = ys[..., position] * scale[None, None]
        exists = jnp.where(p.mask[..., None], ys, 0.0)
        return number((final, exists)), (final, exists)

    @compiled
    def run(params, state, xs):
        gradient = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)
        return [gradient(params, state, xs, as_function) for as_function in (True, False)]

    actual, expected = run(p.params, p.state, xs)
    close(actual, expected)


@both_modes
def test_masked_steps_of_a_bare_function_repeat_the_last_output(mode):
    function = lambda params, state, x: (state + x, {"y": state * x})
    mask = np.array([False, True, False, False, True])
    xs = np.where(mask, np.arange(5), np.nan).astype(np.float32)
    final, ys = unroll(function, None, jnp.float32(1), xs, mask=mask, mode=mode)
    assert_close((final, ys), (6.0, {"y": np.array([0, 1, 1, 1, 8.0])}))


def test_integers_and_keys_pass_through(x64):
    """A counter and a key in the state, ids and keys in xs, an index in params: no gradient, no harm."""
    rng = np.random.default_rng(0)
    numbers = {"w": rng.normal(size=(H, H)), "table": rng.normal(size=(5, H))}
    ids, inputs = rng.integers(5, size=T), rng.normal(size=(T, H))

    def function(params, state, x):
        h, count, key = state
        key = jax.random.fold_in(key, x["id"])
        noise = jax.random.uniform(key, h.shape) - jax.random.uniform(x["key"], h.shape)
        embedded = params["table"][(x["id"] + params["offset"]) % 5]
        h = jnp.tanh(h @ params["w"] + embedded + x["x"] + 0.1 * noise)
        return (h, count + x["id"], key), (h * jnp.asarray(count, h.dtype), count)

    def loss(numbers, h, inputs, mode):
        state = (h, 3, jax.random.key(1))
        xs = {"id": ids, "x": inputs, "key": jax.random.split(jax.random.key(2), T)}
        final, (ys, counts) = unroll(
            *(function, numbers | {"offset": 2}, state, xs),
            mode=mode,
            mask=np.arange(T) != 4,
            **in_blocks(function, mode, 4),
        )
        return number((final[0], ys)), (final, ys, counts)

    @compiled
    def run(*args):
        gradient = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)
        return [gradient(*args, mode) for mode in ("plain", "scan")]

    plain, scan = run(numbers, rng.normal(size=H), inputs)
    close(scan, plain)
    (_, (_, _, counts)), (d_numbers, _, _) = scan
    assert (
        counts.tolist()
        == (
            3 + np.cumsum([0, *np.where(np.arange(T) == 4, 0, ids)[:-1]])[[*range(4), 3, *range(5, T)]]
        ).tolist()
    )
    assert all((g != 0).any() for g in d_numbers.values())


# Orders and modes of differentiation.


def test_forward_over_reverse(x64):
    """A Hessian-vector product as jvp of the deferred gradient; reverse over reverse is in the contract."""
    p, other = (problem(ugrnn, T, (B,), D, H, seed=seed) for seed in range(2))

    @compiled
    def run(params, direction):
        gradient = lambda params: outcome(ugrnn, params, p.state, p.xs, mode="scan", chunk=T)[1][0]
        steps = jnp.array([1e-6, -1e-6])
        moved = jax.tree.map(
            lambda leaf, d: leaf[None] + steps.reshape(2, *[1] * d.ndim) * d[None], params, direction
        )
        differences = jax.tree.map(lambda g: (g[0] - g[1]) / 2e-6, jax.vmap(gradient)(moved))
        return jax.jvp(gradient, (params,), (direction,))[1], differences

    product, differences = run(p.params, other.params)
    assert_close(product, differences, rtol=1e-6, atol=1e-6)
    assert all((leaf != 0).any() for leaf in jax.tree.leaves(product._replace(initial=None)))


def test_forward_mode_names_plain():
    for cell, function in ((gru, gru), (gru, gru.__call__), (deep(gru, 2), deep(gru, 2))):
        p = problem(cell, T, (B,), D, H)
        run = lambda xs, p=p, function=function: unroll(function, p.params, p.state, xs, mode="scan")
        with pytest.raises(TypeError, match=r"forward-mode .* need unroll\(..., mode='plain'\)"):
            jax.jvp(run, (p.xs,), (p.xs,))


# Structure: what makes `scan` fast, read from the jaxpr.


@pytest.mark.parametrize("cell", [gru, lstm], ids=["gru", "lstm"])
def test_loops_hold_one_product_and_no_weight_gradient(cell):
    p = problem(cell, 24, (B,), D, H)
    gates = len(p.params.recurrent)
    jaxpr = jax.make_jaxpr(functools.partial(outcome, cell, mode="scan", chunk=6))(
        p.params, p.state, p.xs
    ).jaxpr
    forward, backward = scans(jaxpr)
    products = {}
    for direction, blocks in (("forward", forward), ("backward", backward)):
        assert blocks.params["length"] == 4
        (steps,) = scans(blocks.params["jaxpr"].jaxpr)
        assert steps.params["length"] == 6
        body = steps.params["jaxpr"].jaxpr
        (products[direction],) = [e for e in body.eqns if e.primitive.name == "dot_general"]
        # What a loop carries leaves it as it is; what it stacks leaves it with one more axis.
        leaving = zip(body.outvars, steps.outvars, strict=True)
        carried = {v.aval.shape for v, out in leaving if v.aval.shape == out.aval.shape}
        assert carried == {(B, H)}, f"the {direction} loop carries more than the state or its adjoint"
    assert [v.aval.shape for v in products["forward"].invars] == [(B, H), (H, gates * H)]
    assert [v.aval.shape for v in products["backward"].invars] == [(B, gates * H), (H, gates * H)]


@pytest.mark.parametrize("cell", [gru, lstm], ids=["gru", "lstm"])
def test_the_compiled_loops_hold_one_product_and_no_weight_gradient(cell):
    """What XLA makes of it: in both loops over time a recurrent product, none with x, and weights that stay
    as they are."""
    p = problem(cell, 24, (B,), D, H)
    wide = len(p.params.recurrent) * H
    run = jax.jit(functools.partial(outcome, cell, mode="scan", chunk=6))
    loops = inner_loops(run.lower(p.params, p.state, p.xs).compile().as_text())
    shape = lambda line: tuple(map(int, re.findall(r"\d+", re.search(r"= \w+\[([\d,]*)\]", line)[1])))
    products = []
    for lines, handed_on in loops:
        changed = [lines[name] for name in handed_on if " get-tuple-element(" not in lines[name]]
        assert {shape(line) for line in changed} == {(), (B, H), (6, B, H)}
        for line in lines.values():
            if " dot(" in line:
                operands = re.findall(r"%[\w.-]+", line.split(" dot(")[1])[:2]
                products.append([shape(lines[name]) for name in operands])
    forward, backward = sorted(products)
    assert forward == [(B, H), (H, wide)] and backward[0] == (B, wide) and H in backward[1]


@pytest.mark.parametrize("cell, gates", [(gru_reset_before, 3), (mgu, 2)], ids=["gru_reset_before", "mgu"])
def test_the_backward_loop_of_an_opaque_cell_runs_nothing_again(cell, gates):
    """It holds a transposed product for each one of the step, and neither gate nor weight gradient."""
    body = backward_loop(cell, problem(cell, 24, (B,), D, H))
    products = [[v.aval.shape for v in e.invars] for e in body if e.primitive.name == "dot_general"]
    assert products == [[(B, H), (H, H)]] * gates
    assert not {"tanh", "logistic"} & {e.primitive.name for e in body}


@pytest.mark.parametrize("batch, turned", [(1, 0), (B, 1)])
def test_the_backward_loop_reads_the_weights_as_its_products_want_them(batch, turned):
    """Transposed ahead, which the loop takes back; but those of a single row as they are."""
    body = backward_loop(gru, problem(gru, 24, (batch,), D, H))
    assert [e.primitive.name for e in body].count("transpose") == turned


@dataclasses.dataclass(frozen=True)
class BySize(type(mgu)):
    """Writes the step of a single sequence in a way of its own."""

    def step(self, params, state, u):
        after = super().step(params, state, u)
        return jnp.sin(jnp.arcsin(after)) if len(state) == 1 else after


@dataclasses.dataclass(frozen=True)
class Twice(type(mgu)):
    """Cubes two copies of the batch, one behind the other."""

    def step(self, params, state, u):
        after = super().step(params, state, u)
        return (jnp.concatenate([after, after]) ** 3)[: len(after)]


@dataclasses.dataclass(frozen=True)
class ByPosition(type(mgu)):
    """Takes the largest unit of each sequence by the place of both."""

    def step(self, params, state, u):
        after = super().step(params, state, u)
        largest = after[jnp.arange(len(after)), jnp.argmax(after, axis=-1)]
        return after * jnp.cos(largest)[:, None]


@pytest.mark.parametrize("batch", [1, B])
@pytest.mark.parametrize(
    "cell", [BySize(), Twice(), ByPosition(), slow(gru, 3)], ids=lambda c: type(c).__name__
)
def test_steps_are_linearised_as_they_are(cell, batch, x64):
    """Each at its own batch, from its own state: what its pull-back reads may depend on both. The entry state
    is one in the midst of a count of `slow`, and resets start another."""
    p = problem(cell, T, (batch,), D, H)
    before = unroll(cell, p.params, None, p.xs[:1])[0]

    @compiled
    def run(params, state, xs):
        how = dict(reset=p.reset, mask=p.mask)
        return [outcome(cell, params, state, xs, mode=mode, **how) for mode in ("scan", "chunked", "plain")]

    scan, chunked, plain = run(p.params, before, p.xs)
    close(scan, plain)
    close(chunked, plain)


def test_stores_states_alone():
    """What the backward loop reads is one [T, B, H] for each leaf of the state, whatever the gates."""
    p = problem(lstm, 24, (B,), D, H)
    run = lambda *args: jax.vjp(lambda *args: unroll(lstm, *args, mode="scan", chunk=6), *args)[1]
    saved = jax.tree.leaves(jax.eval_shape(run, p.params, p.state, p.xs))
    assert sum(leaf.shape == (24, B, H) for leaf in saved) == 2


# Errors, in one sentence each.

PARAMS = problem(gru, 1, (), D, H).params
LSTM_PARAMS = problem(lstm, 1, (), D, H).params


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"mode": "fast"}, ValueError, "mode .* must be one of auto, plain, .* newton, got 'fast'"),
        ({"chunk": 0}, ValueError, "chunk must be an integer at least 1, got 0"),
        ({"params": None}, TypeError, r"params or state are not those of GRU\(.*'NoneType'"),
        ({"cell": lstm}, TypeError, "params or state are not those of LSTM"),
        ({"mask": "all"}, TypeError, r"mask is a str: must be bool\[11, 3\]"),
        ({"xs": {"a": 1}}, TypeError, r"xs is a dict: must be floats \[T, \*batch, D\]"),
        ({"compute_dtype": np.float64}, TypeError, "must be a floating dtype.* with x64"),
        (
            {"mask": np.ones((T, B + 1), bool)},
            ValueError,
            r"mask is bool\[11,4\]: must be bool\[11, 3\], \[T, \*batch\]",
        ),
        ({"reset": np.ones(T, bool)}, ValueError, r"reset is bool\[11\]: must be bool\[11, 3\]"),
        ({"mask": np.ones((T, B))}, ValueError, r"mask is float\d\d\[11,3\]: must be bool\[11, 3\]"),
        (
            {"xs": np.ones((T, B, D), int)},
            TypeError,
            r"xs is int\d\d\[11,3,2\]: a cell takes floats \[T, \*batch, D\]",
        ),
        (
            {"xs": np.ones(T, np.float32)},
            TypeError,
            r"xs is float32\[11\]: a cell takes floats \[T, \*batch, D\]",
        ),
        ({"xs": np.ones((T, B, D + 1), np.float32)}, ValueError, r"has 3 features: these params take 2"),
        (
            {"state": np.ones((B, H + 1), np.float32)},
            ValueError,
            r"state has shapes \(3, 6\): .* need \(3, 5\)",
        ),
        (
            {"cell": lstm, "params": LSTM_PARAMS, "state": (np.ones((B, H), np.float32),) * 2},
            ValueError,
            r"state has shapes \(\(3, 5\), \(3, 5\)\): .* need LSTMState\(h=\(3, 5\), c=\(3, 5\)\)",
        ),
        ({"state": (np.ones((B, H), np.float32),)}, ValueError, r"state has shapes \(\(3, 5\),\)"),
        ({"length": T - 1}, ValueError, "length=10: xs has 11 steps"),
        ({"xs": None}, ValueError, r"length \(with xs=None\) must be an integer at least 0, got None"),
        ({"xs": None, "length": 3}, ValueError, "has 0 features: these params take 2"),
        ({"cell": gru.__call__, "length": T - 1}, ValueError, "length=10: xs has 11 steps"),
        (
            {"cell": gru.__call__, "reset": np.ones((T, B), bool)},
            ValueError,
            "reset: a bare function has no initial_",
        ),
        ({"cell": gru.__call__, "mask": np.ones((T + 1, B), bool)}, ValueError, r"mask is bool\[12,3\]"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else str(getattr(value, "__name__", "")),
)
def test_errors(change, error, message):
    arguments = {"cell": gru, "params": PARAMS, "state": None, "xs": np.ones((T, B, D), np.float32)} | change
    with pytest.raises(error, match=message):
        unroll(**arguments)


def test_a_core_that_mixes_units_is_refused():
    """The adjoint takes diagonals of `core`: of any other Jacobian they would be silently wrong."""

    @dataclasses.dataclass(frozen=True)
    class Centred(type(CELLS["elman"])):
        def core(self, params, state, u, r):
            a = u.candidate + r.candidate
            return jnp.tanh(a - a.mean(axis=-1, keepdims=True))

    cell = Centred()
    p = problem(cell, 3, (2,), 4, 5)
    gradient = jax.grad(lambda params: unroll(cell, params, p.state, p.xs)[1].sum())
    with pytest.raises(ValueError, match="core must be elementwise .* reduce_sum"):
        gradient(p.params)


def test_dtypes_that_a_loop_cannot_carry_are_refused():
    p = problem(CELLS["gru"], 3, (2,), 4, 5)
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), p.state)
    with (
        jax.numpy_dtype_promotion("standard"),
        pytest.raises(TypeError, match="bfloat16.* float32.*cast one"),
    ):
        unroll(CELLS["gru"], p.params, half, p.xs)
    with pytest.raises(TypeError, match="cell='gru': must be a Cell"):
        unroll("gru", p.params, p.state, p.xs)
