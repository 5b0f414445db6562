"""Computes λ, the derivative of a number with respect to the state behind each part of a composition at each
step."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from r3nn.cells import Cell
from r3nn.cells._base import check_cell
from r3nn.cells._composition import original
from r3nn.time._inputs import checked
from r3nn.time._noise import bare, keyed
from r3nn.time._probe import blame, sizes
from r3nn.time.arrays.flags import advance
from r3nn.time.arrays.trees import batch_axes, join, split
from r3nn.time.deferred.parts import step_by


@partial(jax.tree_util.register_dataclass, data_fields=("state", "adjoint"), meta_fields=("cell",))
@dataclasses.dataclass(frozen=True)
class PartAdjoint:
    """Holds λ of one part of a composition, or of a cell, which is then its own only part.

    cell: the part.
    state: s_t, what its step gives at each t: the leaves of its state, such as [T, *batch, H].
    adjoint: λ_t = dL/ds_t, in the shapes and dtypes of `state`; None for leaves that are no numbers.
    Where mask is False there is no step: λ_t is 0, and nothing reads s_t.
    """

    cell: Cell
    state: Any
    adjoint: Any


def adjoint(
    cell: Cell,
    params,
    state,
    xs,
    loss: Callable,
    *,
    mask=None,
    reset=None,
    reverse: bool = False,
    key=None,
    length: int | None = None,
) -> list[PartAdjoint]:
    """Computes λ_t = dL/ds_t of L = loss(*unroll(cell, params, state, xs, ...)), for the state s_t behind
    each part at each step: through the parts that follow it within the step, through the outputs and through
    all steps that come after.

        last = adjoint(deep(gru, 3), params, None, xs, lambda final, ys: jnp.sum(ys[-1]))
        norms = [jnp.linalg.norm(level.adjoint, axis=-1) for level in last]         # three [T, *batch]

    It is what the gradients of all parameters are made of: with s_t = F(θ, s_{t-1}, u_t), the step of a part,
    dL/dθ = Σ_t λ_tᵀ ∂F/∂θ (and what θ does outside of steps: to outputs, to initial states).

    A step's parts are its innermost cells, each time that it runs one: chain(f, deep(g, L)) has L + 1. What
    does not hand out its parts (`slow`, `refine`, `layer_norm`) is one part. Loops over parts are written
    out, and all that "plain" keeps for a gradient is kept: a tool to look into a run, not to train.

    Args:
      loss: (final state, outputs [T, *batch, ...]) -> a real number, of what `unroll` returns.
      all others: as `unroll` has them.

    Returns:
      One `PartAdjoint` for each part, in the order in which a step runs them.

    Raises: as `unroll`; TypeError for a cell that is a bare function or runs a part that it hands out in a
      branch or under vmap, and for a loss that is no real number.
    """
    check_cell(cell)
    given = (cell, params, state, xs, mask, reset, reverse, None, length)
    with blame(cell, lambda: sizes(*given[:4])):
        state, xs, flags, without_masked = checked(*given)
        if key is not None and cell.noisy:
            xs = keyed(key, xs, reset)
        return _adjoint(cell, params, state, without_masked(xs), flags, reverse, loss)


def _adjoint(cell, params, state, xs, flags, reverse, loss):
    """Differentiates with respect to a zero that is added to the state behind each part: the derivative is λ.
    xs are [T, *batch, D], with masked inputs replaced; flags are in scan order."""
    axes = batch_axes(cell, params)
    initial = cell.initial_state(params, bare(xs).shape[1:-1])
    params = cell.prepare(params)

    cells = []  # the parts, in turn

    def step(state, x, zeros):
        """Takes a step -> (state, [(part, state behind it)]). Each part's new state has one of `zeros`
        added."""
        left, behind = iter(zeros), []

        def run(part, params, state, u):
            with jax.disable_jit(False):  # the part's own loops stay loops
                numbers, others = split(part.step(params, state, u))
            zero = next(left)
            after = join(numbers if zero is None else jax.tree.map(jnp.add, numbers, zero), others)
            behind.append((part, after))
            return after

        with jax.disable_jit():  # a loop over parts runs each of them by itself
            return step_by(run, cell, params, state, cell.project(params, x)), behind

    def states_behind(state, x):
        behind = step(state, x, itertools.repeat(None))[1]
        cells.extend(original(part) for part, _ in behind)
        return [after for _, after in behind]

    def losses(zeros):
        """Runs all steps from zeros [T, ...] -> (loss, the states behind each part, [T, ...])."""

        def body(state, inputs):
            x, flag, zeros = inputs
            state, behind = advance(lambda s: step(s, x, zeros), initial, state, flag, axes)
            return state, (cell.output(params, state, x), [after for _, after in behind])

        with _in_turn(cell):
            final, (ys, behind) = lax.scan(body, state, (xs, flags, zeros), reverse=reverse)
        return loss(final, ys), behind

    first = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), xs)
    with _in_turn(cell):
        numbers = split(jax.eval_shape(states_behind, state, first))[0]
    steps = bare(xs).shape[0]
    zeros = jax.tree.map(lambda leaf: jnp.zeros((steps, *leaf.shape), leaf.dtype), numbers)
    adjoints, states = jax.grad(losses, has_aux=True)(zeros)
    return list(map(PartAdjoint, cells, states, adjoints))


@contextlib.contextmanager
def _in_turn(cell):
    """Turns an UnexpectedTracerError within its block into a TypeError: a part then runs in a branch or under
    vmap, where its state cannot be taken out."""
    try:
        yield
    except jax.errors.UnexpectedTracerError as error:
        raise TypeError(
            f"{cell}: adjoint cannot follow a part that runs in a branch or under vmap."
        ) from error
