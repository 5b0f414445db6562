"""Counts the iterations that Newton over time takes, and checks that it ends where `scan` does."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import r3nn
from r3nn.time import Newton
from r3nn.time import newton as newton_of
from scripts.bench.problems import problem
from scripts.bench.registry import Bar, Row, case

TOLERANCE = 1e-6
#: the spread of the recurrent weights -> (steps of a window, mean or most iterations of one, allowed)
SPREADS = {0.3: ("all", "most", 4), 1.0: ("all", "most", 8), 2.0: (64, "mean", 24), 4.0: (64, "most", 40)}


@case(bars={"iterations allowed": Bar(least=1)})
def newton(setup):
    """Iterations of a diagonal GRU over 16,384 steps to a residual of 1e-6, in x64, by the spread of its
    recurrent weights; at 4 it is chaotic. In f32 it must end within 1e-5 of "scan", or the case fails."""
    steps, hidden = setup.cut(16384, 32)
    for spread, (window, kind, allowed) in SPREADS.items():
        cell, params, xs = problem("diagonal_gru", (1, steps, hidden, hidden), recurrent_std=spread)
        ys, single = solve(cell, Newton(), params, xs)
        scan = jax.jit(functools.partial(r3nn.unroll, cell, mode="scan"))
        apart = float(jnp.max(jnp.abs(ys - scan(params, None, xs)[1])))
        if not apart <= 1e-5:
            raise AssertionError(f"std {spread}: in f32 newton and scan are {apart:.1e} apart.")
        options = Newton(tolerance=TOLERANCE, window=steps if window == "all" else window)
        with jax.enable_x64(True):
            wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (params, xs))
            _, double = solve(cell, options, *wide)
        residual = np.max(np.asarray(double.residual))
        if not residual <= TOLERANCE:
            raise AssertionError(f"std {spread}: in x64 the residual is {residual:.1e}, not {TOLERANCE:.0e}.")
        counts = np.asarray(double.iterations, np.float64)
        figures = {"mean": counts.mean(), "most": counts.max()}
        more = {
            "windows": counts.size,
            "residual": residual,
            "f32 apart": apart,
            "f32 windows run again": np.mean(np.asarray(single.rerun)),
        }
        more = {name: float(value) for name, value in (figures | more).items()}
        title = f"std {spread}, {'one window' if window == 'all' else f'windows of {window}'}"
        yield Row(title, {"iterations allowed": float(allowed / figures[kind])}, more)


def solve(cell, options, params, xs):
    """Returns (outputs [T, 1, H], how Newton's method went, window by window)."""
    return jax.jit(lambda params, xs: newton_of(cell, params, None, xs, options=options)[1:])(params, xs)
