"""Measures how long programs take to compile."""

import statistics
import time

import jax
import jax.numpy as jnp

import r3nn
from r3nn import CELLS
from scripts.bench.registry import Bar, Row, case


@case(bars={"depth 1": Bar(least=1 / 1.3), "T = 100": Bar(least=1 / 1.3)})
def compile(setup):
    """Seconds to trace and compile the gradient of a GRU stack, D = H, all levels one loop body, with JAX's
    caches cleared: depth 16 against 1, and 100,000 steps against 100."""
    (long,) = setup.cut(100_000)
    seconds = measure({(depth, steps): [] for depth in (1, 16) for steps in (100, long)})
    for steps in dict.fromkeys((100, long)):
        figures = {f"seconds at depth {depth}": seconds[depth, steps] for depth in (1, 16)}
        yield Row(f"T = {steps}", {"depth 1": seconds[1, steps] / seconds[16, steps]}, figures)
    for depth in (1, 16):
        figures = {f"seconds at T = {steps}": seconds[depth, steps] for steps in (100, long)}
        yield Row(f"depth {depth}", {"T = 100": seconds[depth, 100] / seconds[depth, long]}, figures)


def measure(times, rounds: int = 3):
    """Measures seconds to compile, one program after the other and round by round, and returns medians."""
    for _ in range(rounds):
        for (depth, steps), seconds in times.items():
            program, arguments = problem(depth, steps)
            jax.clear_caches()
            start = time.perf_counter()
            program.lower(*arguments).compile()
            seconds.append(time.perf_counter() - start)
    return {key: statistics.median(seconds) for key, seconds in times.items()}


def problem(depth: int, steps: int, batch: int = 32, hidden: int = 128):
    """Returns the gradient for params and inputs, not traced yet, and the shapes of both."""
    cell = r3nn.deep(CELLS["gru"], depth)
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), hidden, hidden))
    loss = lambda params, xs: jnp.sum(r3nn.unroll(cell, params, None, xs)[1] ** 2)
    xs = jax.ShapeDtypeStruct((steps, batch, hidden), jnp.float32)
    return jax.jit(jax.grad(loss, argnums=(0, 1))), (params, xs)
