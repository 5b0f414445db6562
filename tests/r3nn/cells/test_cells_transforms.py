"""heads and multiplicative: any dense cell, read in another way; and cells by the name of a call."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn import unroll
from r3nn.cells import (
    elman,
    gru,
    gru_reset_before,
    heads,
    indrnn,
    lem,
    lru,
    lstm,
    m2rnn,
    mlstm,
    mrnn,
    mugrnn,
    multiplicative,
    scornn,
    slstm,
    ugrnn,
)
from r3nn.model import as_cell, build
from tests import oracles
from tests.helpers import assert_close, compiled, outcome, problem

T, B, D, H = 7, 3, 2, 6

close = functools.partial(assert_close, rtol=1e-9, atol=1e-10)
named = lambda *cells: pytest.mark.parametrize("cell", cells, ids=lambda cell: type(cell).__name__)


# Heads.


@named(heads(gru, 3), heads(lstm, 2), pytest.param(heads(slstm, 6), marks=pytest.mark.slow))
def test_heads_equal_the_dense_cell_with_a_block_diagonal_matrix(cell, x64):
    """Values, and gradients: those of the dense cell, of its blocks alone."""
    dense = type(cell)()
    p = problem(cell, T, (B,), D, H)
    n = cell.reads.count

    def blocks(whole):
        cut = whole.reshape(n, H // n, n, H // n)
        return jnp.stack([cut[i, :, i] for i in range(n)])

    def whole(blocks):
        return jax.scipy.linalg.block_diag(*blocks)

    assert {w.shape for w in p.params.recurrent} == {(n, H // n, H // n)}
    at = lambda change: p.params._replace(recurrent=jax.tree.map(change, p.params.recurrent))

    @compiled
    def run(params, params_of_dense):
        return [
            outcome(cell, params, p.state, p.xs, mode="plain"),
            outcome(cell, params, p.state, p.xs, mode="scan"),
            outcome(dense, params_of_dense, p.state, p.xs, mode="plain"),
        ]

    *here, (values, (gradients, *others)) = run(p.params, at(whole))
    gradients = gradients._replace(recurrent=jax.tree.map(blocks, gradients.recurrent))
    for outcome_ in here:
        close(outcome_, (values, (gradients, *others)))
    for i in range(B):
        numbers = jax.tree.map(np.asarray, (p.params, oracles.entry(cell, p.state, i), p.xs[:, i]))
        close(oracles.entry(cell, values[0], i), oracles.unroll(cell, *numbers)[0])


def test_blocks_start_orthogonal_each_with_a_draw_of_its_own():
    params = heads(lstm, 3).init(jax.random.key(0), D, H)
    blocks = jnp.concatenate(params.recurrent)
    assert_close(blocks @ blocks.mT, np.tile(np.eye(2, dtype=np.float32), (12, 1, 1)))
    assert len({float(block[0, 0]) for block in blocks}) == 12
    assert_close(params.bias.forget, np.ones(H))  # the cell's own init otherwise


def test_hidden_size_that_is_no_multiple_of_the_heads():
    with pytest.raises(ValueError, match="hidden_size=6: must be a multiple of the 4 heads"):
        heads(gru, 4).init(jax.random.key(0), D, H)


# Multiplicative.


@named(multiplicative(gru), mlstm, multiplicative(slstm), mugrnn, mrnn)
def test_the_input_chooses_the_recurrent_matrix(cell, x64):
    """With x constant, the dense cell whose matrices are W_mhᵀ diag(W_mx x) Uᵀ."""
    dense = type(cell)()
    p = problem(cell, T, (B,), D, H)
    x = p.xs[0, 0]
    chosen = p.params.multiplier * (x @ p.params.input_multiplier)[None]
    fields = {name: getattr(p.params, name) for name in ("input", "bias", "recurrent_bias", "initial")}
    params = problem(dense, T, (B,), D, H).params._replace(
        recurrent=jax.tree.map(lambda w: chosen @ w, p.params.recurrent), **fields
    )
    xs = np.broadcast_to(x, p.xs.shape)

    @compiled
    def run(params, params_of_dense):
        return [
            unroll(cell, params, p.state, xs, mode="plain"),
            unroll(cell, params, p.state, xs, mode="scan"),
            unroll(dense, params_of_dense, p.state, xs),
        ]

    plain, scan, expected = run(p.params, params)
    close(plain, expected)
    close(scan, expected)


def test_multiplicative_of_a_cell_with_a_projection_of_its_own(x64):
    """scornn: h = modReLU(V x + Wᵀ m), in both modes."""
    cell = multiplicative(scornn)
    p = problem(cell, T, (B,), D, H)
    run = compiled(lambda *given: [unroll(cell, *given, mode=mode)[1] for mode in ("plain", "scan")])
    q = jax.tree.map(np.asarray, cell.prepare(p.params))
    h, expected = np.asarray(p.state), []
    for x in np.asarray(p.xs):
        m = (x @ q.input_multiplier) * (h @ q.multiplier)
        z = x @ q.input.candidate + m @ q.recurrent.candidate
        h = np.sign(z) * np.maximum(np.abs(z) + q.bias.candidate, 0)
        expected.append(h)
    plain, scan = run(p.params, p.state, p.xs)
    close(plain, np.stack(expected))
    close(scan, np.stack(expected))


def test_start_of_multiplicative_params():
    params = mlstm.init(jax.random.key(0), 300, 50)
    assert_close(params.multiplier @ params.multiplier.T, np.eye(50), atol=1e-5)
    assert abs(params.input_multiplier.std() * 300**0.5 - 1) < 0.05
    assert_close(params.bias.forget, np.ones(50))
    params = mlstm.init(jax.random.key(0), 3, 5, bias=False)
    assert (
        params.bias is None and params.multiplier.shape == (5, 5) and params.input_multiplier.shape == (3, 5)
    )


# What they refuse.


@pytest.mark.parametrize(
    "transform", [lambda cell: heads(cell, 2), multiplicative], ids=["heads", "multiplicative"]
)
def test_refused_cells(transform):
    for cell in (gru_reset_before, indrnn, mugrnn, heads(gru, 2)):
        with pytest.raises(ValueError, match=f"recurrence '{cell.recurrence}': must be 'dense'"):
            transform(cell)
    for cell in (lru, "gru"):
        with pytest.raises(TypeError, match="is no GatedCell: take one such as"):
            transform(cell)


# By name.


def test_cells_by_the_name_of_a_call():
    assert as_cell("heads(slstm, 4)") == heads(slstm, 4) == as_cell("heads(slstm, count=4)")
    assert as_cell(" multiplicative(elman) ") == mrnn == multiplicative(elman)
    assert as_cell("multiplicative(ugrnn)") == mugrnn == multiplicative(ugrnn)
    assert as_cell("lem(dt=0.0242)") == type(lem)(dt=0.0242)
    assert as_cell("m2rnn(heads=2, keys=3)") == type(m2rnn)(heads=2, keys=3)
    assert as_cell("heads(scornn(negative=0.25), 2)") == heads(type(scornn)(negative=0.25), 2)
    relu, silu = jax.nn.relu, jax.nn.silu
    assert as_cell("elman(activation=relu)") == type(elman)(activation=relu) != elman
    assert as_cell("heads(gru(activation='relu'), 4)") == heads(type(gru)(activation=relu), 4)
    assert as_cell("lem(dt=0.5, activation=silu)") == type(lem)(dt=0.5, activation=silu)
    assert as_cell("mlstm(activation=tanh)") == mlstm and as_cell("indrnn(activation=relu)") == indrnn
    model = build(in_size=D, out_size=1, cell="heads(gru, 3)", hidden_size=H, depth=2)
    assert model.init(jax.random.key(0)).body.first.recurrent.update.shape == (3, 2, 2)


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("heads(gr, 4)", "cell 'gr' is unknown: did you mean 'gru'"),
        ("head(gru, 4)", "cell or function 'head' is unknown: did you mean 'heads'"),
        ("heads(gru)", "cell 'heads\\(gru\\)': heads has missing a required argument: 'count'"),
        ("heads(gru, 0)", "heads must be an integer at least 1, got 0"),
        ("heads(gru", "'heads\\(gru' is neither a name nor a call such as"),
        ("heads(gru, 2 + x)", "'2 \\+ x' is neither a name, a call nor a number"),
        ("lem(dtt=0.1)", "field of cell lem, 'dtt' is unknown: did you mean 'dt'"),
        ("lem(0.1)", "field of cell lem, '0.1' is unknown"),
        ("gru(reads=1)", "field of cell gru, 'reads' is unknown"),
        (
            "gru(activation=tan)",
            "cell gru: activation 'tan' is unknown: did you mean 'tanh'. It must be one of",
        ),
        (
            "heads(gru(activation=jax.nn.relu), 4)",
            "'jax.nn.relu' is unknown: .* one of gelu, identity, relu, sigmoid, silu, tanh",
        ),
        ("gru(activation=2)", "cell gru: activation '2' is unknown: it must be one of gelu, identity"),
        *(
            (f"{name}(activation=relu)", f"field of cell {name}, 'activation' is unknown")
            for name in ("mingru", "minlstm", "rglru", "scornn", "lru", "deltanet", "pd_ssm", "lrc")
        ),
        ("lem(dt=2)", "lem: dt=2 must be above 0 and at most 1"),
    ],
)
def test_names_that_say_nothing(name, sentence):
    with pytest.raises(ValueError, match=sentence):
        as_cell(name)
