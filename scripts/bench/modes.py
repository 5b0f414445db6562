"""Measures one mode of `unroll` against another."""

import jax.numpy as jnp

import r3nn
from r3nn import CELLS
from r3nn.encoders import Readout
from scripts.bench.contest import bytes_ratio, contest
from scripts.bench.floor import floor
from scripts.bench.problems import ours, problem
from scripts.bench.registry import Bar, case

SIZES = [(32, 200, 2, 32), (32, 1000, 32, 128), (32, 512, 128, 256)]  # the quickstart's first
PLAIN = "plain AD"


@case(default=False)
def modes(setup):
    """What "auto" picks against JAX's own differentiation of the same cell, mode "plain"."""
    for name in ("ugrnn", "gru", "lstm", "gru_reset_before"):
        for shape in dict.fromkeys(setup.cut(*shape) for shape in SIZES):
            cell, params, xs = problem(name, shape)
            pair = [ours(cell, params), ours(cell, params, PLAIN, mode="plain")]
            yield contest(f"{name} {shape}", pair, xs, shape[-1], setup)


@case(default=False)
def blocks(setup):
    """The block length that "scan" picks against others, by the name of each."""
    for name in ("gru", "lstm"):
        for shape in dict.fromkeys(setup.cut(*shape) for shape in SIZES):
            cell, params, xs = problem(name, shape)
            others = [ours(cell, params, f"C={n}", mode="scan", chunk=n) for n in (8, 16, 32, 64, 128)]
            picked = ours(cell, params, mode="scan")
            yield contest(f"{name} {shape}", [picked, *others], xs, shape[-1], setup)


@case(default=False)
def opaque(setup):
    """Cells that give `step` whole by "scan", whose steps are run again at once, against "plain"."""
    yield from scan_against_plain({name: CELLS[name] for name in ("mgu", "gru_reset_before")}, setup)


@case(default=False)
def parts(setup):
    """Compositions that step as a whole by "scan", each part by its own structure, against "plain"."""
    body = r3nn.feedback(r3nn.chain(CELLS["ugrnn"], r3nn.deep(CELLS["ugrnn"], 2, tie="full")), Readout(1))
    levels = r3nn.deep(CELLS["gru"], 4, order="stepwise")
    yield from scan_against_plain({"R3NN": body, "stepwise deep gru": levels}, setup)


def scan_against_plain(cells, setup):
    """Yields one row for each cell, by name, and each size."""
    for name, cell in cells.items():
        for shape in dict.fromkeys(setup.cut(*shape) for shape in [(32, 200, 2, 32), (32, 256, 128, 128)]):
            _, params, xs = problem(cell, shape)
            pair = [ours(cell, params, mode="scan"), ours(cell, params, PLAIN, mode="plain")]
            yield contest(f"{name} {shape}", pair, xs, shape[-1], setup)


@case(bars={"our scan": Bar(least=1 / 1.4), f"{PLAIN}'s temporary bytes": Bar(least=8)})
def chunked(setup):
    """GRU by "chunked": time against our "scan", XLA's temporary bytes against AD of a naive lax.scan.
    Outputs that are only summed up are temporary; they may also be results."""
    shape = setup.cut(8, 16384, 128, 128)
    cell, params, xs = problem("gru", shape)
    contenders = [
        ours(cell, params, mode="chunked"),
        ours(cell, params, "our scan", mode="scan"),
        ours(cell, params, PLAIN, mode="plain"),
    ]
    for keep, words in ((False, "summed"), (True, "results")):
        row = contest(f"{shape} {words}", contenders, xs, shape[-1], setup, keep=keep)
        yield with_bytes(row, PLAIN)


def with_bytes(row, *names):
    """Adds to a row the ratios of temporary bytes to the contenders so named."""
    more = {f"{name}'s temporary bytes": bytes_ratio(row, name) for name in names}
    return row._replace(ratios=row.ratios | more)


@case(bars={"our f32": Bar(least=1.3)})
def bf16(setup):
    """GRU with compute_dtype=bfloat16, products alone, against our f32. A CPU needs AMX or AVX512-bf16."""
    shape = setup.cut(32, 512, 256, 256)
    cell, params, xs = problem("gru", shape)
    low = ours(cell, params, compute_dtype=jnp.bfloat16)
    contenders = [low, ours(cell, params, "our f32")]
    products = floor(3, *shape, dtype=jnp.bfloat16)
    yield contest(f"gru {shape}", contenders, xs, shape[-1], setup, products, tolerance=0.1)
