"""Shows how Newton's method goes on a cell: its iterations and residuals, beside what `unroll` returns."""

from functools import partial

import jax

from r3nn.cells._base import check_cell
from r3nn.time._inputs import checked
from r3nn.time._pick import modes_of
from r3nn.time._probe import blame, sizes
from r3nn.time.arrays.trees import batch_axes, match_varying_axes
from r3nn.time.deferred.scan import Arrays, Plan, sequential
from r3nn.time.parallel.newton import Newton, solve_newton


def newton(cell, params, state, xs, *, mask=None, reset=None, reverse=False, options: Newton | None = None):
    """Runs a cell as unroll(cell, ..., mode=options) does -> (final state, ys [T, *batch, ...], NewtonInfo).

    options: None is Newton(). One cell, no composition; no noise. For gradients: `unroll`.
    Raises: ValueError, TypeError for arguments that do not fit, in one sentence.
    """
    check_cell(cell)
    options = options or Newton()
    if not isinstance(options, Newton) or "newton" not in modes_of(cell):
        raise ValueError(f"cell={cell!r}, options={options!r}: must be a cell for newton, and a Newton(...).")
    with blame(cell, lambda: sizes(cell, params, state, xs)):
        given = (cell, params, state, xs, mask, reset, reverse, options.axis_name)
        state, xs, flags, without_masked = checked(*given)
    if xs.shape[0] == 0:
        raise ValueError(f"xs is {jax.typeof(xs)}: there is no step to solve for.")
    xs = without_masked(xs)
    axes, batch = batch_axes(cell, params), xs.shape[1:-1]
    initial = None if flags.reset is None else cell.initial_state(params, batch)
    arrays = Arrays(*match_varying_axes(cell.prepare(params), initial, state, xs, flags))
    plan = Plan(cell, block=64, rank=len(batch), reverse=reverse, vectorized=True, forward=sequential)
    final, states, info = solve_newton(plan, arrays, axes, options)
    return final, jax.vmap(partial(cell.output, arrays.params))(states, arrays.xs), info
