"""Contenders for one job: built, checked against each other, timed in turns."""

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scripts.bench.registry import SHARE, Row, Setup

PAUSE = 0.003  # seconds before each timed run: the threads of the one before have gone to sleep


class Built(NamedTuple):
    """A contender ready to run. call() -> results, finished when it returns; view(results): what all must
    agree on, a tree of arrays."""

    call: Callable[[], Any]
    view: Callable[[Any], Any]
    compile_s: float | None = None
    temp_bytes: int | None = None
    total_bytes: int | None = None  # arguments, results, temporaries and code
    state: str | None = None  # dtype


class Contender(NamedTuple):
    """One way to do the job. against: the rival that it stands for; of several, the best one counts."""

    name: str
    against: str
    build: Callable[..., Built]


def same(tree):
    """Returns the tree as it is, where nothing has to be converted."""
    return tree


def gradient(name, run, params, against="", batch_major=False, back: Callable = same) -> Contender:
    """Forward and backward in JAX, for params and inputs.

    run(params, xs [T, B, D]) -> (state, outputs [T, B, H]). back(gradient of params): in the params that
    all contenders of the row compare.
    """
    build = functools.partial(build_gradient, run, params, batch_major, back)
    return Contender(name, against or name, build)


def build_gradient(run, params, batch_major, back, xs, weights, keep) -> Built:
    """The compiled gradient of a weighted sum of all outputs. keep: the outputs are a result too; otherwise
    they are computed once more to be compared."""
    swap = (lambda a: jnp.swapaxes(a, 0, 1)) if batch_major else same

    def loss(params, xs, weights):
        _, ys = run(params, xs)
        return jnp.vdot(weights, ys), ys if keep else None

    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    arguments = (params, swap(xs), swap(weights))
    state = jax.tree.leaves(jax.eval_shape(run, *arguments[:2])[0])
    compiled, *sizes = compile_program(step, *arguments)

    call = lambda: jax.block_until_ready(compiled(*arguments))

    def view(result):
        (_, ys), (of_params, of_xs) = result
        ys = jax.jit(run)(*arguments[:2])[1] if ys is None else ys
        return swap(ys), swap(of_xs), back(of_params)

    return Built(call, view, *sizes, "/".join(sorted({str(leaf.dtype) for leaf in state})))


def compile_program(program, *arguments, **options):
    """(compiled, seconds, temporary bytes, total bytes) of a jitted function."""
    start = time.perf_counter()
    compiled = program.lower(*arguments).compile(**options)
    seconds = time.perf_counter() - start
    memory = compiled.memory_analysis()
    temporary = memory.temp_size_in_bytes
    beside = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return compiled, seconds, temporary, temporary + beside + memory.generated_code_size_in_bytes


def contest(
    title: str,
    contenders: Sequence[Contender],
    xs,
    width: int,
    setup: Setup,
    floor: Sequence[tuple[int, Callable]] = (),
    keep: bool = False,
    tolerance: float = 1e-3,
) -> Row:
    """One row of forward and backward passes; the first contender is ours.

    width: H of outputs [T, B, H]. floor: (count, call) of the matrix products that no program can avoid.
    Raises: AssertionError where a contender computes something else.
    """
    weights = jax.random.normal(jax.random.key(1), (*xs.shape[:-1], width)) / len(xs)
    built = [contender.build(xs, weights, keep) for contender in contenders]
    return race(title, contenders, built, setup, floor, tolerance)


def race(title, contenders, built, setup: Setup, floor=(), tolerance: float = 1e-3) -> Row:
    """Checks what the contenders return against the first one's, then times them."""
    check(title, contenders, (each.view(each.call()) for each in built), tolerance)
    times = alternate([each.call for each in built] + [call for _, call in floor], setup)
    medians = [1e3 * statistics.median(each) for each in times]
    rows = [
        {"name": contender.name, "against": contender.against, "ms": round(ms, 3), **each._asdict()}
        for contender, each, ms in zip(contenders, built, medians[: len(built)], strict=True)
    ]
    for row in rows:
        del row["call"], row["view"]
    best = {}
    for row in rows[1:]:
        best[row["against"]] = min(row["ms"], best.get(row["against"], row["ms"]))
    ratios = {rival: ms / rows[0]["ms"] for rival, ms in best.items()}
    figures = {"rounds": len(times[0])}
    if floor:
        least = sum(count * ms for (count, _), ms in zip(floor, medians[len(built) :], strict=True))
        figures[SHARE] = least / rows[0]["ms"]
    return Row(title, ratios, figures, rows)


def check(title, contenders, results, tolerance: float) -> None:
    """Raises AssertionError unless all agree, element by element, to `tolerance` of the largest in its array.

    results: an iterable of trees, the first one ours; never more than two are held.
    """
    flat = lambda result: [np.asarray(leaf) for leaf in jax.tree.leaves(result)]
    results = iter(results)
    first = flat(next(results))
    for contender, result in zip(contenders[1:], results, strict=True):
        theirs = flat(result)
        if [leaf.shape for leaf in first] != [leaf.shape for leaf in theirs]:
            raise AssertionError(f"{title}: {contender.name} returns other shapes.")
        for mine, leaf in zip(first, theirs, strict=True):
            apart = np.max(np.abs(mine - leaf), initial=0) / max(np.max(np.abs(leaf), initial=0), 1e-6)
            if not apart <= tolerance:
                message = f"computes something else ({apart:.1e} apart, {tolerance:.0e} allowed)."
                raise AssertionError(f"{title}: {contender.name} {message}")


def alternate(calls: Sequence[Callable], setup: Setup) -> list[list[float]]:
    """Seconds of each run of each call, all in turn, round by round."""
    times: list[list[float]] = [[] for _ in calls]
    start = time.perf_counter()
    while len(times[0]) < setup.repeats:
        if len(times[0]) >= 3 and time.perf_counter() - start > setup.seconds:
            break
        for call, seconds in zip(calls, times, strict=True):
            time.sleep(PAUSE)
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
    return times


def bytes_ratio(row: Row, name: str) -> float:
    """The temporary bytes of the contender called `name` over ours."""
    theirs = next(each["temp_bytes"] for each in row.contenders if each["name"] == name)
    return theirs / max(1, row.contenders[0]["temp_bytes"])
