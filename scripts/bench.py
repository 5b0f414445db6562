"""Time and memory of r3nn against what it replaces: the same weights, outputs and gradients checked equal
first, runs alternating in one process, medians and ratios.

    scripts/run scripts/bench.py [--cases=modes,gru,lstm,blocks,opaque] [--json=bench.json]

A ratio is the best other contender's median over r3nn's: above 1, r3nn is faster. Each case measures one
forward and backward pass of a weighted sum of all outputs, for params and inputs, in f32.
"""

import functools
import json
import pathlib
import platform
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags, logging
from flax import linen, nnx

import r3nn
from r3nn import CELLS, convert
from r3nn import nnx as r3nn_nnx
from r3nn.encoders import Readout

CASES = {}
FLAX_SHAPES = [
    (32, 1000, 32, 128),
    (32, 512, 128, 256),
    (128, 400, 16, 64),
    (16, 1000, 8, 32),
    (1, 4000, 32, 128),
    (64, 500, 64, 512),
    (4, 4096, 128, 128),
    (64, 1024, 256, 256),
]  # B, T, D, H
MODE_SHAPES = [(32, 200, 2, 32), (32, 1000, 32, 128), (32, 512, 128, 256)]  # the quickstart's first

flags.DEFINE_list("cases", ["modes", "gru", "lstm"], "Which cases to run.")
flags.DEFINE_string("json", None, "Where to write the figures.")
flags.DEFINE_integer("repeats", 7, "Timed runs of each contender.", lower_bound=1)


class Contender(NamedTuple):
    """run(params, xs [T, B, D]) -> outputs [T, B, H]."""

    name: str
    run: Callable
    params: object


def case(function):
    """Register a generator of (title, contenders, inputs); r3nn's own contender comes first."""
    CASES[function.__name__] = function
    return function


def problem(cell: str | r3nn.Cell, shape, **options):
    """A cell, its params and inputs [T, B, D], all random."""
    batch, length, in_size, hidden = shape
    cell = CELLS[cell] if isinstance(cell, str) else cell
    params_key, xs_key = jax.random.split(jax.random.key(0))
    params = cell.init(params_key, in_size, hidden, **options)
    return cell, params, jax.random.normal(xs_key, (length, batch, in_size))


def unrolled(cell, mode: str, params, xs, chunk: int | None = None):
    """The outputs of `unroll`."""
    return r3nn.unroll(cell, params, None, xs, mode=mode, chunk=chunk)[1]


@case
def modes():
    """What "auto" picks against JAX's own differentiation of the same cell ("plain")."""
    for name in ("ugrnn", "gru", "lstm", "gru_reset_before"):
        for shape in MODE_SHAPES:
            cell, params, xs = problem(name, shape)
            auto, plain = (functools.partial(unrolled, cell, mode) for mode in ("auto", "plain"))
            yield (
                f"{name} {shape}",
                [Contender("r3nn", auto, params), Contender("plain AD", plain, params)],
                xs,
            )


@case
def blocks():
    """The block length that "scan" picks against others, by the name of each."""
    for name in ("gru", "lstm"):
        for shape in MODE_SHAPES:
            cell, params, xs = problem(name, shape)
            picked = Contender("r3nn", functools.partial(unrolled, cell, "scan"), params)
            others = [
                Contender(f"C={chunk}", functools.partial(unrolled, cell, "scan", chunk=chunk), params)
                for chunk in (8, 16, 32, 64, 128)
            ]
            yield f"{name} {shape}", [picked, *others], xs


@case
def opaque():
    """What "auto" leaves alone: "scan" against "plain" for cells that give `step` whole."""
    body = r3nn.feedback(r3nn.chain(CELLS["ugrnn"], r3nn.deep(CELLS["ugrnn"], 2, tie="full")), Readout(1))
    cells = {"mgu": CELLS["mgu"], "gru_reset_before": CELLS["gru_reset_before"], "R3NN": body}
    cells["stepwise deep gru"] = r3nn.deep(CELLS["gru"], 4, order="stepwise")
    for name, cell in cells.items():
        for shape in [(32, 200, 2, 32), (32, 256, 128, 128)]:
            _, params, xs = problem(cell, shape)
            scan, plain = (functools.partial(unrolled, cell, mode) for mode in ("scan", "plain"))
            yield f"{name} {shape}", [Contender("r3nn", scan, params), Contender("plain", plain, params)], xs


def run_module(graphdef, rest, carry, state, xs):
    """Flax's nnx.RNN as a function of its Param state and the inputs."""
    return nnx.merge(graphdef, state, rest)(xs, initial_carry=carry)


def against_flax(name: str, linen_cell):
    """One of our cells against flax's RNNs with flax's cells, time-major, on the same weights."""
    for shape in FLAX_SHAPES:
        cell, params, xs = problem(name, shape)
        params = params._replace(recurrent_bias=None)  # flax.nnx.GRUCell has none
        theirs = nnx.RNN(r3nn_nnx.to_flax(cell, params), time_major=True)
        graphdef, state, rest = nnx.split(theirs, nnx.Param, ...)
        carry = theirs.cell.initialize_carry(xs.shape[1:], nnx.Rngs(0))
        run_nnx = functools.partial(run_module, graphdef, rest, carry)
        module = linen.RNN(linen_cell(shape[-1]), time_major=True)
        variables = {"params": {"cell": convert.to_flax(cell, params)}}
        yield (
            f"{name} {shape}",
            [
                Contender("r3nn", functools.partial(unrolled, cell, "auto"), params),
                Contender("flax nnx", run_nnx, state),
                Contender("flax linen", module.apply, variables),
            ],
            xs,
        )


@case
def gru():
    """GRU against flax's RNN(GRUCell), nnx and linen."""
    yield from against_flax("gru", linen.GRUCell)


@case
def lstm():
    """LSTM against flax's RNN(OptimizedLSTMCell), nnx and linen."""
    yield from against_flax("lstm", linen.OptimizedLSTMCell)


def compile_step(contender: Contender, xs, weights):
    """(compiled gradient step, seconds to compile, bytes of temporary memory)."""

    def loss(params, xs):
        return jnp.vdot(weights, contender.run(params, xs))

    start = time.perf_counter()
    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).lower(contender.params, xs).compile()
    return step, time.perf_counter() - start, step.memory_analysis().temp_size_in_bytes


def contest(title: str, contenders: list[Contender], xs, repeats: int) -> dict:
    """Compile, check against each other and time the contenders of one case, in turns."""
    hidden = jax.eval_shape(contenders[0].run, contenders[0].params, xs).shape
    weights = jax.random.normal(jax.random.key(1), hidden) / hidden[0]
    steps, rows = [], []
    for contender in contenders:
        step, seconds, temporary = compile_step(contender, xs, weights)
        steps.append(functools.partial(step, contender.params, xs))
        rows.append(
            {"name": contender.name, "ms": [], "compile_s": round(seconds, 2), "temp_mb": temporary / 2**20}
        )
    results = [jax.block_until_ready(step()) for step in steps]
    for row, (value, grads) in zip(rows[1:], results[1:], strict=True):
        message = f"{title}: {row['name']} computes something else"
        np.testing.assert_allclose(value, results[0][0], rtol=1e-3, atol=1e-3, err_msg=message)
        np.testing.assert_allclose(grads[1], results[0][1][1], rtol=1e-2, atol=1e-5, err_msg=message)
    for _ in range(repeats):
        for row, step in zip(rows, steps, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(step())
            row["ms"].append(1e3 * (time.perf_counter() - start))
    for row in rows:
        row["ms"] = round(statistics.median(row["ms"]), 2)
        row["temp_mb"] = round(row["temp_mb"], 1)
    best = min(row["ms"] for row in rows[1:])
    return {"case": title, "ratio": round(best / rows[0]["ms"], 2), "contenders": rows}


def line(row: dict) -> str:
    """A row as a line of the table."""
    each = "   ".join(
        f"{c['name']} {c['ms']:.1f} ms ({c['temp_mb']:.0f} MB, compiled in {c['compile_s']:.1f} s)"
        for c in row["contenders"]
    )
    return f"{row['case']:34} ratio {row['ratio']:5.2f}   {each}"


def machine() -> dict:
    """What the figures depend on."""
    cpu = pathlib.Path("/proc/cpuinfo")
    names = [line for line in cpu.read_text().splitlines() if "model name" in line] if cpu.exists() else []
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": names[0].split(":")[1].strip() if names else platform.processor(),
        "cores": len(names) or None,
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "python": platform.python_version(),
    }


def main(argv):
    """Run the chosen cases; print a line for each, then the geometric mean of each case's ratios."""
    del argv
    chosen = flags.FLAGS.cases
    if unknown := set(chosen) - set(CASES):
        raise app.UsageError(f"--cases: {', '.join(sorted(unknown))} unknown; there are {', '.join(CASES)}")
    logging.set_verbosity(logging.WARNING)
    report = {"machine": machine(), "rows": []}
    print("  ".join(f"{key} {value}" for key, value in report["machine"].items()))
    for name in chosen:
        rows = []
        for title, contenders, xs in CASES[name]():
            rows.append(contest(title, contenders, xs, flags.FLAGS.repeats))
            print(line(rows[-1]), flush=True)
        report["rows"] += rows
        mean = statistics.geometric_mean(row["ratio"] for row in rows)
        print(f"{name}: geometric mean of ratios {mean:.2f}, least {min(row['ratio'] for row in rows):.2f}\n")
    if flags.FLAGS.json:
        pathlib.Path(flags.FLAGS.json).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)
