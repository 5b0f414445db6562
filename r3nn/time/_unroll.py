"""Defines `unroll`, the one entry point to run a cell over time, and `explain`."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from r3nn._literals import Mode
from r3nn.cells import Cell
from r3nn.cells._base import Array, State
from r3nn.cells._composition import Composition
from r3nn.time._function import as_cell
from r3nn.time._inputs import checked
from r3nn.time._noise import keyed
from r3nn.time._pick import Pick, check_how, pick
from r3nn.time._plain import plain
from r3nn.time._probe import blame, sizes
from r3nn.time.arrays.flags import Flags
from r3nn.time.arrays.precision import prepare
from r3nn.time.arrays.trees import batch_axes, length_of, match_varying_axes
from r3nn.time.deferred.chunked import chunked
from r3nn.time.deferred.scan import Arrays, Plan, scan, sequential
from r3nn.time.parallel.linear import Linear, solve_linear
from r3nn.time.parallel.newton import Newton, run_newton


def unroll(
    cell: Cell | Callable,
    params,
    state,
    xs,
    *,
    mask=None,
    reset=None,
    reverse: bool = False,
    key=None,
    length: int | None = None,
    mode: Mode | Linear | Newton = "auto",
    chunk: int | None = None,
    memory: int | None = None,
    compute_dtype=None,
) -> tuple[State, Array]:
    """Runs a cell over T steps: the same numbers in every mode, values and gradients.

    For each sequence of the batch this equals, but for speed and memory:

        for t in range(T):        # reverse: T-1 down to 0, with first[t] = reset[t + 1]
            if first[t]:          # first = reset
                state = initial_state(params); y = output(params, state, 0)
            if mask[t]:
                state, y = cell(params, state, xs[t])
            ys[t] = y

    Args:
      cell: a `Cell`, or a bare (params, state, x) -> (state, y), which may close over arrays.
      params: the cell's parameters.
      state: the state before the first step; None: cell.initial_state(params).
      xs: inputs [T, *batch, D], floating, any number of batch axes (a bare function: any tree
        [T, *batch, ...]). None: no inputs (D = 0); give `length`.
      mask: bool [T, *batch]: False where there is no step; state and output then stay as they are, and
        what xs holds there, NaN included, reaches neither values nor gradients.
      reset: bool [T, *batch]: True at the first step of a segment, in time order whichever the
        direction; the state starts from initial_state(params) again, also where mask is False.
      reverse: run from the last step to the first; outputs stay in time order.
      key: of the noise of cells that draw some: one PRNG key, or one per sequence [*batch] (inside
        `shard_map`, where batch is a device's share, these alone draw what one device would); or a
        `Noise`, for a piece of longer sequences. None: no noise; a cell takes its expectation.
      length: T, where xs is None.
      mode: "auto" (picks by cell, sizes and backend; `r3nn.time.explain` says what, and why), or
        "plain": bare `lax.scan`: the reference, any order of derivative, forward mode too;
        "scan": weight gradients deferred out of the loop, and states alone kept; reverse mode;
        "chunked": of the states, those between blocks alone; outputs are computed inside the blocks;
        "linear", or `r3nn.time.Linear(...)`: a prefix scan over time, for cells affine in their state;
        "newton", or `r3nn.time.Newton(...)`: all steps of a window at once by Newton's method, checked.
      chunk: steps that the backward pass takes at once, as a block; None: what keeps a block in cache, or all
        steps where that is little (on a CPU, states of up to 2 MiB). It acts where there are blocks: not in
        "plain" and "linear", nor in "newton" where the Jacobian is exact. Under `jax.export`, a symbolic T is
        one block, unless it is known to be a multiple of chunk, such as "64*n".
      memory: bytes that forward and backward may take beside arguments and results, for each part of a
        composition, as predicted: XLA plans up to half as much again. For "chunked", "scan", and "auto",
        which then picks "chunked". Instead of `chunk`.
      compute_dtype: of the operands of products with the cell's matrices, e.g. jnp.bfloat16; states,
        sums and gradients stay as they are. None: the params' own.

    Returns:
      (final state, outputs [T, *batch, ...]).

    Raises:
      ValueError, TypeError: shapes, dtypes, names or sizes that do not fit, in one sentence; a
        `CellError` (a TypeError) where a cell's own code is at fault, with its class and method.
    """
    how = dict(reverse=reverse, mode=mode, chunk=chunk, memory=memory, compute=compute_dtype)
    return _unroll(cell, params, state, xs, mask, reset, length, how, key)


def explain(
    cell: Cell,
    params,
    state,
    xs,
    *,
    mask=None,
    reset=None,
    reverse: bool = False,
    length: int | None = None,
    mode: Mode | Linear | Newton = "auto",
    chunk: int | None = None,
    memory: int | None = None,
    compute_dtype=None,
) -> list[Pick]:
    """Says what mode `unroll` would run these arguments in, and why: one `Pick` for each part of a
    composition (levels of one shape are one part). Nothing is computed: shapes are enough
    (`jax.ShapeDtypeStruct`).

    Raises: as `unroll`.
    """
    picks = []
    how = dict(reverse=reverse, mode=mode, chunk=chunk, memory=memory, compute=compute_dtype, picks=picks)
    run = lambda *arrays: _unroll(cell, *arrays, length, how)
    jax.eval_shape(run, params, state, xs, mask, reset)
    return picks


def _unroll(cell, params, state, xs, mask, reset, length, how, key=None):
    check_how(cell, *(how[name] for name in ("mode", "chunk", "memory", "compute")))
    if not isinstance(cell, Cell):
        if key is not None:
            raise ValueError("key: a bare function draws no noise; make it a Cell.")
        function = as_cell(cell, params, state, xs, mask, reset, length, how["compute"])
        (state, _), ys = _name_plain(
            lambda: Run(function[1].flags, **how).in_mode(*function, rank=0, vectorized=False)
        )
        return state, ys
    axis_name = getattr(how["mode"], "axis_name", None)
    given = (cell, params, state, xs, mask, reset, how["reverse"], axis_name, length, how["compute"])
    with blame(cell, lambda: sizes(*given[:4])):
        state, xs, flags, without_masked = checked(*given)
        if key is not None and cell.noisy:
            xs = keyed(key, xs, reset, axis_name)
        if how["mode"] != "plain":
            xs = without_masked(xs)
        params, state, xs, flags = match_varying_axes(params, state, xs, flags)
        return _name_plain(lambda: Run(flags, **how)(cell, params, state, xs))


def _name_plain(run):
    """Says what to do instead where JAX refuses forward mode through a custom backward pass."""
    try:
        return run()
    except TypeError as error:
        if "forward-mode" not in str(error):
            raise
        raise TypeError(
            "forward-mode derivatives (jvp, jacfwd) need unroll(..., mode='plain') and no compute_dtype."
        ) from error


@dataclasses.dataclass(frozen=True)
class Run:
    """A run goes over the time steps at hand. Composed cells hand it on to their parts."""

    flags: Flags  # in scan order
    reverse: bool
    mode: Any
    chunk: int | None = None
    memory: int | None = None
    compute: Any = None
    picks: list[Pick] | None = None  # collects what each part runs in
    keep: bool | None = None  # whether recurrent products are kept beside states; None: where that is faster

    def __call__(self, cell: Cell, params, state, xs):
        """Runs one cell on xs [T, *batch, D] -> (final state, outputs [T, *batch, ...])."""
        by_parts = self.mode != "plain" and isinstance(cell, Composition)
        unrolled = cell.unroll_parts(self, params, state, xs) if by_parts else None
        return self.stepwise(cell, params, state, xs) if unrolled is None else unrolled

    def stepwise(self, cell: Cell, params, state, xs):
        """Does as `__call__`, but with all of the cell at every step in turn."""
        axes = batch_axes(cell, params)
        batch = jax.tree.leaves(xs)[0].shape[1:-1]
        initial = None if self.flags.reset is None else cell.initial_state(params, batch)
        params = cell.prepare(params) if self.compute is None else prepare(self.compute, cell, params)
        params, initial, state, xs = match_varying_axes(params, initial, state, xs)
        return self.in_mode(cell, Arrays(params, initial, state, xs, self.flags), axes, rank=len(batch))

    def in_mode(self, cell: Cell, arrays: Arrays, axes, rank: int, vectorized: bool = True):
        """Runs the mode asked for -> (final state, outputs [T, *batch, ...])."""
        predicting = self.picks is not None
        how = pick(cell, arrays, self.mode, self.chunk, self.memory, predicting=predicting, keep=self.keep)
        if self.picks is not None:
            self.picks.append(how)
        if how.mode == "plain" or length_of(arrays.xs) == 0:
            return plain(cell, *arrays, axes, self.reverse)
        plan = Plan(
            cell,
            block=how.chunk,
            rank=rank,
            reverse=self.reverse,
            vectorized=vectorized,
            forward=sequential,
            save=how.keep,
        )
        if how.mode == "chunked":
            return chunked(plan, arrays, axes)
        states_of = {"scan": scan, "linear": solve_linear, "newton": run_newton}[how.mode]
        final, states = states_of(plan, arrays, axes, *filter(None, [how.options]))
        return final, jax.vmap(partial(cell.output, arrays.params))(states, arrays.xs)
