"""Measures what the machine and XLA make of the pieces of a network: the library's design rests on that."""

import functools
import math
import multiprocessing
import os
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from unittest import mock

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import serialize_executable

import r3nn
from r3nn import CELLS
from r3nn.time.parallel import linear_loops, linear_scan
from scripts.bench.contest import Built, Contender, alternate, contest, gradient, race, same
from scripts.bench.kernels import LOOP, TREE, associative, loop, stateful
from scripts.bench.problems import problem
from scripts.bench.registry import Row, case

ROWS, WIDTH, GATES = (4, 16, 64, 256, 65536), 256, 3  # of a product: M, K, N over K
WORK = 2e9  # operations of a timed run, at least
LOOPED, ALONE, LARGEST, F32 = "in a loop", "alone", "the largest", "float32"

VALUES, WIDTHS = 2**22, (16, 256, 4096)  # of an elementwise loop: T·B·H, B·H
OPTION = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold"
NEVER = {"xla_disable_hlo_passes": "small-while-loop-hoisting"}

SHAPES = [(16, 1000, 8, 32), (32, 500, 32, 128)]  # B, T, D, H
LENGTHS = [(2048, 16), (16384, 256), (1024, 4096)]  # T, B·H


@case(default=False)
def products(setup):
    """Products of M rows, K = 256, N = 768, in a lax.scan, each of the result of the one before: against a
    call for each, and against calls for the largest M, by the operation. Operands rounded to bfloat16, with
    sums in f32, also against f32."""
    sizes = tuple(dict.fromkeys(setup.cut(*ROWS)))
    every = {(kind, size): ways(kind, size, setup) for kind in (F32, "bfloat16") for size in sizes}
    for size in sizes:
        runs = {kind: each for (kind, rows), each in every.items() if rows == size}
        if size != sizes[-1]:
            runs = {kind: each | {LARGEST: every[kind, sizes[-1]][ALONE]} for kind, each in runs.items()}
        rates = gflops(runs, setup)
        for kind, each in rates.items():
            rivals = each if kind == F32 else each | {F32: rates[F32][LOOPED]}
            ratios = {rival: each[LOOPED] / rate for rival, rate in rivals.items() if rival != LOOPED}
            yield Row(f"M = {size}, {kind}", ratios, {f"GFLOP/s {way}": rate for way, rate in each.items()})


def gflops(runs, setup) -> dict[str, dict[str, float]]:
    """Returns GFLOP/s by kind and way, for the runs (operations, call) that there are."""
    times = iter(alternate([call for each in runs.values() for _, call in each.values()], setup))
    rate = lambda work: 1e-9 * work / statistics.median(next(times))
    return {kind: {way: rate(work) for way, (work, _) in each.items()} for kind, each in runs.items()}


def ways(kind: str, rows: int, setup) -> dict[str, tuple[float, Callable]]:
    """Returns (operations, call) of the same products in a loop, and alone.

    Raises: AssertionError for numbers that are not finite, which may take longer.
    """
    (width,) = setup.cut(WIDTH)
    work = 2 * rows * GATES * width**2
    (count,) = setup.cut(math.ceil(WORK / work))
    many = max(2, count)  # one would be no loop
    operands = draw(kind, rows, width)
    step = jax.jit(multiply)
    looped = jax.jit(lambda ys, w: lax.scan(lambda ys, _: (multiply(ys, w), None), ys, length=many)[0])
    alone = lambda ys, w: functools.reduce(lambda ys, _: step(ys, w), range(count), ys)
    runs = {LOOPED: (many * work, looped), ALONE: (count * work, alone)}
    runs = {way: (work, functools.partial(finish, run, *operands)) for way, (work, run) in runs.items()}
    if not all(jnp.isfinite(call()).all() for _, call in runs.values()):
        raise AssertionError(f"products of {rows} rows in {kind} are not finite.")
    return runs


def draw(kind, rows, width):
    """Draws ys [M, N] and w [K, N], which keeps the norms of rows [K]."""
    ys_key, w_key = jax.random.split(jax.random.key(3))
    orthogonal = jnp.linalg.qr(jax.random.normal(w_key, (width, width)))[0]
    w = jnp.concatenate([orthogonal] * GATES, axis=-1).astype(kind)
    return jax.random.normal(ys_key, (rows, GATES * width)), w


def multiply(ys, w):
    """Computes the first K columns @ w, rounded as w is, with sums in f32."""
    return jnp.matmul(ys[:, : len(w)].astype(w.dtype), w, preferred_element_type=jnp.float32)


def finish(run, *arguments):
    """Returns the results, once they are there."""
    return jax.block_until_ready(run(*arguments))


@case(default=False)
def loops(setup):
    """A diagonal GRU's steps by lax.scan, forward, on a CPU, where XLA makes one kernel of a loop that
    touches less than a threshold: its default against no such kernels, and against 1 GB. Then a GRU's,
    forward and backward, one in each iteration against 2, 4 and 8."""
    if jax.default_backend() == "cpu":
        yield from thresholds(setup)
    for shape in dict.fromkeys(setup.cut(*shape) for shape in SHAPES):
        cell, params, xs = problem("gru", shape)
        run = functools.partial(project_and_step, cell)
        contenders = [
            gradient(f"unroll={n}", functools.partial(run, n), params, "" if n > 1 else "r3nn")
            for n in (1, 2, 4, 8)
        ]
        row = contest(f"gru {shape}", contenders, xs, shape[-1], setup, keep=True)
        seconds = {f"seconds to compile {each['name']}": each["compile_s"] for each in row.contenders}
        yield row._replace(figures=row.figures | seconds)


def project_and_step(cell, unroll, params, xs):
    """Runs all steps of a cell -> (final state, outputs)."""
    params = cell.prepare(params)
    return step_through(cell, unroll, params, cell.project(params, xs))


def step_through(cell, unroll, params, us):
    """Runs the loop over projected inputs, for a cell whose output is its state."""

    def step(state, u):
        state = cell.step(params, state, u)
        return state, state

    start = cell.initial_state(params, us[0].shape[1:-1])
    return lax.scan(step, start, us, unroll=unroll)


def thresholds(setup):
    """Yields one row for each B·H, of about as many values."""
    sizes = tuple(dict.fromkeys(setup.cut(VALUES // width, width) for width in WIDTHS))
    for (length, width), saved in zip(sizes, elsewhere(10**9, sizes), strict=True):
        programs = [elementwise((length, width)), elementwise((length, width), NEVER), load(saved)]
        arguments = gates(length, width)
        built = [Built(functools.partial(finish, each, *arguments), same, state=F32) for each in programs]
        names = {"default": "r3nn", "no kernel": "no kernel", "1 GB": "1 GB"}
        contenders = [Contender(*name, None) for name in names.items()]
        row = race(f"diagonal_gru, T = {length}, B·H = {width}", contenders, built, setup)
        steps = {f"us a step, {each['name']}": 1e3 * each["ms"] / length for each in row.contenders}
        yield row._replace(figures=row.figures | steps)


def gates(length, width):
    """Makes the prepared params of a diagonal GRU, and its projected inputs [T, 1, H]."""
    cell, params, xs = problem("diagonal_gru", (1, length, 1, width))
    params = cell.prepare(params)
    return params, cell.project(params, xs)


def elementwise(size, options=None):
    """Compiles the loop over inputs of this size, (T, H)."""
    shapes = jax.eval_shape(functools.partial(gates, *size))
    program = functools.partial(step_through, CELLS["diagonal_gru"], 1)
    return jax.jit(program).lower(*shapes).compile(options)


def elsewhere(threshold: int, sizes):
    """Compiles `elementwise` in a process with this threshold, which is no option of one program."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} {OPTION}={threshold}"
    with mock.patch.dict(os.environ, XLA_FLAGS=flags):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            return list(pool.map(save, sizes))


def save(size):
    """Compiles the loop of this size and serializes it for `load`, as bytes and trees."""
    return serialize_executable.serialize(elementwise(size))


def load(saved):
    """Loads such a program, onto the first device."""
    return serialize_executable.deserialize_and_load(*saved, execution_devices=jax.devices()[:1])


@case(default=False)
def recurrences(setup):
    """linear_scan, gradients for a and b, against JAX's differentiation of its two scans, and against itself
    in chunks, by (T, B·H)."""
    for length, width in dict.fromkeys(setup.cut(*size) for size in LENGTHS):
        a_key, b_key = jax.random.split(jax.random.key(0))
        a = jax.random.uniform(a_key, (length, 1, width), minval=0.8)
        b = jax.random.normal(b_key, (length, 1, width))
        ours = gradient("r3nn", stateful(r3nn.linear_scan), a)
        contenders = [
            ours,
            gradient(TREE, stateful(associative), a),
            gradient(LOOP, stateful(loop), a),
            Contender("in chunks", "in chunks", functools.partial(in_chunks, ours.build)),
        ]
        yield contest(f"({length}, {width})", contenders, b, width, setup, keep=True)


def in_chunks(build, *arguments):
    """Builds where `linear_scan` cuts time into chunks, as on accelerators, but unrolls nothing."""
    yes, no = (lambda: True), (lambda steps: False)
    with mock.patch.object(linear_scan, "parallel", yes):
        with mock.patch.multiple(linear_loops, parallel=yes, _unroll=no):
            return build(*arguments)
