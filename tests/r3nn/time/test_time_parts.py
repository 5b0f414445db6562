"""Compositions whose parts the backward pass takes each by its own structure."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import pytest

from r3nn import (
    CELLS,
    chain,
    deep,
    delay,
    feedback,
    heads,
    layer_norm,
    norm,
    refine,
    residual,
    slow,
    with_output,
    zoneout,
)
from r3nn.cells import elman, gru, lstm, mgu, ugrnn
from r3nn.time import explain
from r3nn.time.deferred.parts import parted
from tests.helpers import TanhReadout, assert_close, backward_loop, compiled, outcome, pad, pairwise, problem

T, B, D, H = 12, 3, 2, 4

close = functools.partial(assert_close, rtol=1e-9, atol=1e-10)


def fed(*cells):
    return feedback(chain(*cells), TanhReadout(3))


PARTED = {
    "untied": fed(deep(lstm, 3)),
    "tied in full": fed(elman, deep(ugrnn, 2, tie="full")),
    "in cycles": norm(deep(delay(residual(gru)), 4, tie=2, order="stepwise"), "layer"),
    "every kind": fed(heads(gru, 2), CELLS["mugrnn"], CELLS["indrnn"], CELLS["slstm"], CELLS["lru"]),
}
AXES = {
    "name": list(PARTED),
    "mode": ["scan", "chunked"],
    "keep": [False, True],
    "reverse": [False, True],
    "flags": [False, True],
}


@pytest.mark.parametrize("row", pairwise(**AXES), ids=lambda row: "-".join(map(str, row.values())))
def test_equal_plain(row, x64):
    """Values and gradients, products kept (`keep`) or formed again."""
    cell = PARTED[row["name"]]
    assert parted(cell)
    p = problem(cell, T, (B,), H if row["name"] == "in cycles" else D, H)
    flags = dict(mask=p.mask, reset=p.reset) if row["flags"] else {}
    xs = pad(p.xs, p.mask) if flags else p.xs

    @compiled
    def run(params, state, xs):
        how = dict(reverse=row["reverse"], **flags)
        by_mode = ({"mode": "plain"}, {"mode": row["mode"], "chunk": 4, "keep": row["keep"]})
        return [outcome(cell, params, state, xs, **how, **mode) for mode in by_mode]

    plain, other = run(p.params, p.state, xs)
    close(other, plain)


@pytest.mark.parametrize("compute", [None, jnp.bfloat16], ids=["float32", "bfloat16"])
def test_noise_and_rounded_products(compute):
    """The same draws as in plain, and in bfloat16 the same sums but for rounding."""
    cell = fed(zoneout(gru, 0.4), zoneout(lstm, 0.2, 0.3))
    p = problem(cell, T, (B,), D, H)

    @compiled
    def run(params, state, xs, key):
        how = dict(mask=p.mask, key=key, compute_dtype=compute)
        return [outcome(cell, params, state, xs, mode=mode, **how) for mode in ("plain", "scan")]

    plain, scan = run(p.params, p.state, p.xs, jax.random.key(3))
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if compute is None else {"rtol": 0.05, "atol": 0.05}
    assert_close(scan, plain, **tolerance)


def test_the_backward_loop_forms_nothing_again():
    """Of each level one wide product for the state and one a gate for the input; of the readout one."""
    cell = feedback(deep(gru, 3), TanhReadout(2))
    body = backward_loop(cell, problem(cell, 24, (B,), D, H))
    products = [tuple(v.aval.shape for v in e.invars) for e in body if e.primitive.name == "dot_general"]
    states = [((B, 3 * H), (H, 3 * H))] * 3
    inputs = [((B, H), (D + 2, H))] * 3 + [((B, H), (H, H))] * 6
    assert sorted(products) == sorted([*states, *inputs, ((B, 2), (H, 2))])
    assert not {"tanh", "logistic"} & {e.primitive.name for e in body}


@dataclasses.dataclass(frozen=True)
class Twice(type(residual(gru))):
    """Takes two steps for each one."""

    def step(self, params, state, u):
        again = lambda state, _: (super(Twice, self).step(params, state, u), None)
        return jax.lax.scan(again, state, length=2)[0]


@pytest.mark.parametrize(
    "cell, mode",
    [
        (PARTED["tied in full"], "scan"),
        (with_output(fed(gru), lambda extra, y, rest: y), "scan"),
        (fed(deep(gru, 5)), "plain"),
        (fed(mgu, gru), "plain"),
        (fed(slow(gru, 2), gru), "plain"),
        (fed(refine(gru, 2)), "plain"),
        (fed(gru, Twice(gru)), "plain"),
        (fed(layer_norm(gru)), "plain"),
    ],
)
def test_auto_takes_scan_where_all_parts_have_a_structure(cell, mode):
    (pick,) = explain(cell, problem(cell, 5, (B,), D, H).params, None, jnp.zeros((5, B, D)))
    assert pick.mode == mode
