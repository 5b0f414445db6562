"""A cell over the time steps at hand: what `unroll` does once its arguments are checked."""

import dataclasses
from functools import partial
from typing import Any

import jax

from r3nn.cells import Cell
from r3nn.cells._composition import Composition
from r3nn.time._pick import Pick, pick
from r3nn.time._plain import plain
from r3nn.time.arrays.flags import Flags
from r3nn.time.arrays.precision import lower
from r3nn.time.arrays.trees import batch_axes, length_of, vary_alike
from r3nn.time.deferred.chunked import chunked
from r3nn.time.deferred.scan import Arrays, Plan, scan, sequential
from r3nn.time.parallel.linear import solve_linear
from r3nn.time.parallel.newton import run_newton


@dataclasses.dataclass(frozen=True)
class Run:
    """How to go over the time steps at hand: what composed cells hand on to their parts."""

    flags: Flags  # in scan order
    reverse: bool
    mode: Any
    chunk: int | None = None
    memory: int | None = None
    compute: Any = None
    picks: list[Pick] | None = None  # collects what each part runs in

    def __call__(self, cell: Cell, params, state, xs):
        """(final state, outputs [T, ...]) of one cell on xs [T, *batch, D]."""
        by_parts = self.mode != "plain" and isinstance(cell, Composition)
        swept = cell.sweep(self, params, state, xs) if by_parts else None
        return self.stepwise(cell, params, state, xs) if swept is None else swept

    def stepwise(self, cell: Cell, params, state, xs):
        """As a call, but with all of the cell at every step in turn."""
        axes = batch_axes(cell, params)
        batch = jax.tree.leaves(xs)[0].shape[1:-1]
        initial = None if self.flags.reset is None else cell.initial_state(params, batch)
        params = cell.lower(cell.prepare(params), partial(lower, compute=self.compute))
        params, initial, state, xs = vary_alike(params, initial, state, xs)
        return self.solve(cell, Arrays(params, initial, state, xs, self.flags), axes, len(batch))

    def solve(self, cell: Cell, arrays: Arrays, axes, rank: int, vectorized: bool = True):
        """(final state, outputs [T, ...]) by the mode asked for."""
        how = pick(cell, arrays, self.mode, self.chunk, self.memory, self.picks is not None)
        if self.picks is not None:
            self.picks.append(how)
        if how.mode == "plain" or length_of(arrays.xs) == 0:
            return plain(cell, *arrays, axes, self.reverse)
        plan = Plan(cell, how.chunk, rank, self.reverse, vectorized, sequential, how.keep)
        if how.mode == "chunked":
            return chunked(plan, arrays, axes)
        solve = {"scan": scan, "linear": solve_linear, "newton": run_newton}[how.mode]
        final, states = solve(plan, arrays, axes, *filter(None, [how.options]))
        return final, jax.vmap(partial(cell.output, arrays.params))(states, arrays.xs)
