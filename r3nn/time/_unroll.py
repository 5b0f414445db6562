"""`unroll`: the one entry point to run a cell over time."""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from r3nn._names import check_choice, check_int
from r3nn.cells import Cell
from r3nn.time._chunks import chunk_size
from r3nn.time._flags import Flags, blank, fill, in_scan_order
from r3nn.time._plain import plain
from r3nn.time._scan import Arrays, Plan, scan
from r3nn.time._trees import batch_axes, vary_alike

MODES = ("auto", "plain", "scan")


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
    mode: str = "auto",
    chunk: int | None = None,
):
    """Run a cell over T steps: the same numbers in every mode, values and gradients.

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
      key: for cells that draw noise; the cells of this release draw none.
      length: T, where xs is None.
      mode: "plain" (bare `lax.scan`: the reference, any order of derivative, forward mode too),
        "scan" (weight gradients deferred out of the loop, and states alone kept; reverse mode),
        "auto" (the faster one as measured: "scan" for structured cells, "plain" for opaque ones).
      chunk: steps per block of the backward pass; None: what keeps a block in cache.

    Returns:
      (final state, outputs [T, *batch, ...]).

    Raises:
      ValueError, TypeError: shapes, dtypes, names or sizes that do not fit, in one sentence.
    """
    check_choice("mode", mode, MODES)
    if chunk is not None:
        check_int("chunk", chunk, 1)
    if not callable(cell):
        raise TypeError(
            f"cell={cell!r}: must be a Cell, such as r3nn.CELLS['gru'], or a function of one step"
        )
    if not isinstance(cell, Cell):
        return unroll_function(cell, params, state, xs, mask, reset, reverse, length, mode, chunk)
    state, xs = _inputs(cell, params, state, xs, length)
    flags = in_scan_order(_flags(mask, reset, xs.shape[:-1]), reverse)
    if flags.mask is not None and mode != "plain" and len(xs):
        reads_x = _output_reads_x(cell, params, state, xs)
        xs = fill(xs, flags, reverse) if reads_x else blank(xs, flags.mask)
    params, state, xs, flags = vary_alike(params, state, xs, flags)
    run = Run(flags, reverse, mode, chunk)
    return _name_plain(lambda: run(cell, params, state, xs))


@dataclasses.dataclass(frozen=True)
class Run:
    """How to go over the time steps at hand: what composed cells hand on to their parts."""

    flags: Flags  # in scan order
    reverse: bool
    mode: str
    chunk: int | None

    def __call__(self, cell: Cell, params, state, xs):
        """(final state, outputs [T, ...]) of one cell on xs [T, *batch, D]."""
        swept = None if self.mode == "plain" else cell.sweep(self, params, state, xs)
        return self.stepwise(cell, params, state, xs) if swept is None else swept

    def stepwise(self, cell: Cell, params, state, xs):
        """As a call, but with all of the cell at every step in turn."""
        axes = batch_axes(cell, params)
        batch = xs.shape[1:-1]
        initial = None if self.flags.reset is None else cell.initial_state(params, batch)
        params, initial, state, xs = vary_alike(cell.prepare(params), initial, state, xs)
        return self.solve(cell, Arrays(params, initial, state, xs, self.flags), axes, len(batch))

    def solve(self, cell: Cell, arrays: Arrays, axes, rank: int, vectorized: bool = True):
        """(final state, outputs [T, ...]) by the mode asked for."""
        steps = len(jax.tree.leaves(arrays.xs)[0])
        if not steps or resolve(self.mode, cell) == "plain":
            return plain(cell, *arrays, axes, self.reverse)
        chunk = self.chunk or chunk_size(steps, _bytes(arrays.state))
        final, states = scan(Plan(cell, chunk, rank, self.reverse, vectorized), arrays, axes)
        return final, jax.vmap(partial(cell.output, arrays.params))(states, arrays.xs)


def resolve(mode: str, cell: Cell) -> str:
    """The mode that "auto" stands for: whichever was never slower (scripts/PERFORMANCE.md).

    A structured cell's backward loop computes no gate, which pays for the recomputation ahead of it; an
    opaque cell's repeats the whole step, which does not always.
    """
    if mode != "auto":
        return mode
    return "plain" if cell.recurrence == "opaque" else "scan"


def _bytes(tree) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _inputs(cell, params, state, xs, length):
    """State and inputs [T, *batch, D], checked against each other; zeros and no features for None."""
    if xs is None:
        check_int("length (with xs=None)", length, 0)
        single = jax.tree.leaves(jax.eval_shape(cell.initial_state, params))[0]
        batch = () if state is None else _batch_shape(cell, params, state)
        xs = jnp.zeros((length, *batch, 0), single.dtype)
    if not jnp.issubdtype(jnp.result_type(xs), jnp.floating) or jnp.ndim(xs) < 2:
        raise TypeError(f"xs is {jax.typeof(xs)}: a cell takes floats [T, *batch, D] (embed ids first)")
    if length is not None and length != len(xs):
        raise ValueError(f"length={length}: xs has {len(xs)} steps")
    if xs.shape[-1] != (in_size := _in_size(cell, params, xs.shape[-1])):
        raise ValueError(f"xs {xs.shape} has {xs.shape[-1]} features: these params take {in_size}")
    expected = jax.eval_shape(lambda p: cell.initial_state(p, xs.shape[1:-1]), params)
    if state is None:
        state = cell.initial_state(params, xs.shape[1:-1])
    shapes = lambda tree: jax.tree.map(jnp.shape, tree)
    if shapes(state) != shapes(expected):
        raise ValueError(f"state has shapes {shapes(state)}: xs {xs.shape} need {shapes(expected)}")
    x = jax.ShapeDtypeStruct(xs.shape[1:], xs.dtype)
    dtypes = lambda tree: jax.tree.map(jnp.result_type, tree)
    after = dtypes(jax.eval_shape(cell, params, state, x)[0])
    if dtypes(state) != after:
        raise TypeError(f"a step from a state of {dtypes(state)} on xs of {xs.dtype} gives {after}: cast one")
    return state, xs


def _in_size(cell, params, otherwise):
    """The width that the params take, as far as the cell knows it: `in_size` is optional."""
    try:
        return cell.in_size(params)
    except NotImplementedError:
        return otherwise


def _batch_shape(cell, params, state):
    """The batch axes of a state: what it has beyond the state of a batch of none."""
    axis = jax.tree.leaves(batch_axes(cell, params))[0]
    single = jax.tree.leaves(jax.eval_shape(cell.initial_state, params))[0]
    leaf = jax.tree.leaves(state)[0]
    return leaf.shape[axis : axis + leaf.ndim - single.ndim]


def _flags(mask, reset, shape) -> Flags:
    for name, flag in (("mask", mask), ("reset", reset)):
        if flag is not None and (jnp.shape(flag) != shape or jnp.result_type(flag) != jnp.bool_):
            raise ValueError(f"{name} is {jax.typeof(flag)}: must be bool{list(shape)}, [T, *batch]")
    return Flags(*(None if flag is None else jnp.asarray(flag) for flag in (mask, reset)))


def _output_reads_x(cell, params, state, xs) -> bool:
    """Whether the cell's output depends on its input directly, not only through the state."""
    jaxpr = jax.make_jaxpr(cell.output)(params, state, xs[0]).jaxpr
    used = {var for equation in jaxpr.eqns for var in equation.invars if not isinstance(var, Literal)}
    return jaxpr.invars[-1] in used | {v for v in jaxpr.outvars if not isinstance(v, Literal)}


def _name_plain(run):
    """Say what to do instead where JAX refuses forward mode through a custom backward pass."""
    try:
        return run()
    except TypeError as error:
        if "forward-mode" not in str(error):
            raise
        raise TypeError("forward-mode derivatives (jvp, jacfwd) need unroll(..., mode='plain')") from error


@dataclasses.dataclass(frozen=True)
class Function(Cell):
    """A bare (params, state, x) -> (state, y) as a cell: its state is (state, y)."""

    function: Callable

    def step(self, params, state, u):
        """The function itself; params: (params, closed-over arrays)."""
        params, closed_over = params
        return self.function(params, state[0], u, *closed_over)

    def output(self, params, state, x):
        """What the function returned."""
        return state[1]


def unroll_function(function, params, state, xs, mask, reset, reverse, length, mode, chunk):
    """`unroll` for a bare function, of which no more is known than that it takes one step.

    Steps are mapped rather than merged into the batch, and the arrays that it closes over are made
    arguments, so that they get gradients.
    """
    if reset is not None:
        raise ValueError("reset: a bare function has no initial_state to go back to; make it a Cell")
    if not jax.tree.leaves(xs):
        check_int("length (with xs=None)", length, 0)
        given, nothing, xs = function, xs, jnp.zeros((length, 0))
        function = lambda params, state, _: given(params, state, nothing)
    state, xs = jax.tree.map(jnp.asarray, (state, xs))
    steps = len(jax.tree.leaves(xs)[0])
    if length not in (None, steps):
        raise ValueError(f"length={length}: xs has {steps} steps")
    flags = _flags(mask, None, (steps, *(() if mask is None else jnp.shape(mask)[1:])))
    if flags.mask is not None:
        xs = blank(xs, flags.mask)
    first = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), xs)
    params, state, xs, flags = vary_alike(params, state, xs, flags)
    y = jax.tree.map(lambda y: jnp.zeros(y.shape, y.dtype), jax.eval_shape(function, params, state, first)[1])
    converted, closed_over = jax.closure_convert(function, params, state, first)
    cell, params, state = Function(converted), (params, closed_over), (state, y)
    axes = jax.tree.map(lambda _: 0, state)
    arrays = Arrays(*vary_alike(params, None, state, xs), flags)
    run = Run(flags, reverse, mode, chunk)
    (state, _), ys = _name_plain(lambda: run.solve(cell, arrays, axes, rank=0, vectorized=False))
    return state, ys
