"""Measures a million steps."""

import pathlib
import resource
import statistics
import sys
import time

import jax
import jax.numpy as jnp

import r3nn
from r3nn.compose import WithOutputParams
from scripts.bench.contest import compile_program
from scripts.bench.problems import problem
from scripts.bench.registry import Bar, Row, case

STEPS, SHORT, IN_SIZE, HIDDEN = 1_000_000, 10_000, 8, 128
MEMORY = 48 * 2**20  # bytes beside arguments and results, as `unroll` is told
BARS = {"a step of 10,000": Bar(least=1 / 1.3), "budget over bytes": Bar(least=1)}


@case(place="apart", bars=BARS)
def million(setup):
    """The gradient of a GRU's params over a million steps by "chunked", with the loss of each step inside its
    block (`with_output`); B = 1. The budget is that of `memory` and the inputs; all bytes that XLA plans for
    count: arguments, results, temporaries and code. Beside them the process's at its peak."""
    long, short, *sizes = setup.cut(STEPS, SHORT, IN_SIZE, HIDDEN)
    seconds, temporary, total = gradient_time(long, *sizes)
    reference, *_ = gradient_time(short, *sizes)
    budget = MEMORY + 4 * long * sizes[0]
    figures = {
        "seconds": seconds,
        "us a step": 1e6 * seconds / long,
        f"us a step at T = {short}": 1e6 * reference / short,
        "temporary MB": temporary / 2**20,
        "total MB": total / 2**20,
        "budget MB": budget / 2**20,
        "peak MB of the process": peak() / 2**20,
    }
    ratios = {"a step of 10,000": (reference / short) / (seconds / long), "budget over bytes": budget / total}
    yield Row(f"gru {(1, long, *sizes)}", ratios, figures)


def peak() -> int:
    """Returns the most bytes that this program has held.

    ru_maxrss on Linux includes its parent's at the fork.
    """
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return 1024 * next(int(line.split()[1]) for line in status.open() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def gradient_time(steps: int, in_size: int, hidden: int):
    """Measures (seconds, temporary bytes, total bytes) of one gradient; the median of 3 where it is short."""
    gru, params, xs = problem("gru", (1, steps, in_size, hidden))
    cell = r3nn.with_output(gru, lambda extra, y, rest: jnp.mean(y**2, axis=-1))

    def loss(params, xs):
        return r3nn.unroll(cell, WithOutputParams(params), None, xs, mode="chunked", memory=MEMORY)[1].mean()

    step, _, *sizes = compile_program(jax.jit(jax.value_and_grad(loss)), params, xs)
    times = []
    for _ in range(1 if steps > SHORT else 4):
        start = time.perf_counter()
        value, grads = jax.block_until_ready(step(params, xs))
        times.append(time.perf_counter() - start)
    if not all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((value, grads))):
        raise AssertionError(f"the gradient over {steps} steps is not finite.")
    return statistics.median(times[1:] or times), *sizes
