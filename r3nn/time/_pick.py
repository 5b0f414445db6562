"""Picks the mode in which a cell runs over time, with what block length, and predicts its memory."""

from functools import partial
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from r3nn._jaxprs import equations
from r3nn._literals import Mode
from r3nn._lookup import FieldError, check_choice, check_int, did_you_mean
from r3nn.cells import Cell
from r3nn.cells._composition import Composition, parts
from r3nn.time.arrays.precision import Weight
from r3nn.time.arrays.trees import known, length_of
from r3nn.time.deferred.linearise import residuals
from r3nn.time.deferred.parts import parted, step_by, stepper
from r3nn.time.deferred.products import PACKED
from r3nn.time.parallel.jacobian import ELEMENTWISE, exact_by_unit
from r3nn.time.parallel.linear import Linear
from r3nn.time.parallel.newton import Newton

# A kernel that runs all steps with the weights resident ("fused") would be one more word of `Mode`, one more
# row of `modes_of`, and one more forward in `Run.solve`, under the same backward.
MODES: tuple[Mode, ...] = get_args(Mode)
DEFAULTS = {"linear": Linear, "newton": Newton}
NAMES = {options: name for name, options in DEFAULTS.items()}
#: bytes of all states [T, ...] beyond which "auto" keeps those between blocks alone
LARGE = 2**30
#: bytes of all states up to which a CPU takes all steps as one block: as fast, and a loop less to compile
SMALL = 2**21


class Pick(NamedTuple):
    """Says how one cell runs over time.

    mode: what it runs in. options: a `Linear` or a `Newton` for those modes, else None. chunk: steps that
    the backward pass takes at once, a block (of plain: all). keep: whether the run that a backward pass
    starts from, of all steps (scan) or of the block (chunked), keeps the recurrent products beside the
    states.
    bytes: of temporary memory for a forward and a backward pass, predicted (chunked and scan; else None).
    reason: why, in words.
    """

    cell: Cell
    mode: str
    options: Any
    chunk: int
    keep: bool
    bytes: int | None
    reason: str


def check_how(cell, mode, chunk, memory, compute) -> None:
    """Raises: ValueError, TypeError, in one sentence, for options of `unroll` that are out of range."""
    if isinstance(cell, type) or not callable(cell):
        must = "must be a Cell, such as r3nn.CELLS['gru'], or a function of one step"
        raise TypeError(f"cell={cell!r}: {must}{did_you_mean(cell)}")
    for name, size in (("chunk", chunk), ("memory (bytes)", memory)):
        if size is not None:
            check_int(name, size, 1)
    if chunk is not None and memory is not None:
        raise FieldError("chunk", f"chunk={chunk}, memory={memory}: give the steps or the bytes, not both.")
    if chunk is not None and _at_once(cell, mode):
        what = f"chunk={chunk}: mode={mode!r} has no blocks of steps; scan and chunked do."
        raise FieldError("chunk", what)
    if memory is not None and mode not in ("auto", "scan", "chunked"):
        what = f"memory={memory}: mode={mode!r} takes none; auto, scan and chunked do."
        raise FieldError("memory", what)
    if compute is not None and not _is_floating(compute):
        raise TypeError(
            f"compute_dtype={compute!r}: must be a floating dtype, such as jnp.bfloat16 (float64: with x64)."
        )


def _at_once(cell, mode) -> bool:
    """Says whether the backward pass takes all steps at once, without blocks: in "plain", "linear", and
    "newton" on cells whose Jacobian is exact."""
    options = DEFAULTS[mode]() if mode in DEFAULTS else mode
    if not isinstance(options, Newton) or not isinstance(cell, Cell):
        return mode == "plain" or isinstance(options, Linear)
    if exact_by_unit(cell, options.jacobian):
        return True
    by_parts = isinstance(cell, Composition) and type(cell).unroll_parts is not Composition.unroll_parts
    by_parts = by_parts and getattr(cell, "order", "auto") != "stepwise"
    return by_parts and all(_at_once(part, mode) for part in parts(cell))


def _is_floating(dtype) -> bool:
    try:
        dtype = jnp.dtype(dtype)
        return jnp.issubdtype(dtype, jnp.floating) and jax.dtypes.canonicalize_dtype(dtype) == dtype
    except TypeError:
        return False


def modes_of(cell: Cell) -> tuple[str, ...]:
    """Lists the modes that a cell can run in."""
    parallel = ("linear",) if cell.affine else ()
    return ("plain", "scan", "chunked", *parallel, *(() if cell.stepwise else ("newton",)))


def pick(cell: Cell, arrays, mode, chunk, memory, predicting: bool = True, keep: bool | None = None) -> Pick:
    """Decides how `unroll` runs a cell that is no composition, or that steps as a whole.

    predicting: whether to say the bytes where no memory is given. keep: as in `Pick`, where the mode can;
    None: where that is faster.

    Raises: ValueError where the cell cannot run in that mode, or the memory is not enough.
    """
    options = None if isinstance(mode, str) else mode
    mode, reason = _mode(cell, arrays, NAMES.get(type(mode), mode), memory)
    options = options or (DEFAULTS[mode]() if mode in DEFAULTS else None)
    if mode == "plain":
        return Pick(cell, mode, None, length_of(arrays.xs), False, None, reason)
    chunk = _block(cell, arrays, mode, chunk, memory)
    of_all = mode == "scan" and memory is None
    keep = (of_all or mode == "chunked") and (_keep(cell, arrays) if keep is None else keep)
    asked = mode in ("scan", "chunked") and (predicting or memory is not None) and _sized(arrays)
    predicted = predict(cell, arrays, mode, chunk, keep) if asked else None
    if memory is not None and not _sized(arrays):
        what = f"memory={memory}: nothing is predicted for symbolic sizes; give chunk instead."
        raise FieldError("memory", what)
    if predicted is not None and memory is not None and predicted > memory:
        raise FieldError("memory", f"memory={memory}: mode={mode!r} needs about {predicted} bytes.")
    return Pick(cell, mode, options, chunk, keep, predicted, reason)


def _sized(arrays) -> bool:
    """Says whether all sizes are known numbers, none of them symbolic."""
    return known(length_of(arrays.xs) * tree_bytes(arrays.state))


def _block(cell, arrays, mode, chunk, memory):
    """Decides the steps of a block: what was asked for, if anything; of a symbolic T, only where it is whole
    blocks."""
    steps = length_of(arrays.xs)
    if not known(steps):
        return chunk if chunk and steps % chunk == 0 else steps
    if chunk is None and mode == "chunked" and _sized(arrays):
        chunk = _block_within(cell, arrays, memory)
    states = steps * tree_bytes(arrays.state)
    free = chunk is None and memory is None and jax.default_backend() == "cpu"
    if free and known(states) and states < SMALL:
        return max(steps, 1)
    return min(chunk or block_size(max(steps, 1), tree_bytes(arrays.state)), max(steps, 1))


def _mode(cell, arrays, mode, memory):
    """Decides the mode, where "auto" is asked for -> (its name, why)."""
    if mode != "auto":
        if mode not in (can := modes_of(cell)):
            check_choice("mode (or a Linear(...), a Newton(...))", mode, MODES)
            raise FieldError("mode", f"mode={mode!r}: {type(cell).__name__} runs in {', '.join(can)}.")
        return mode, "asked for"
    states = length_of(arrays.xs) * tree_bytes(arrays.state)
    if cell.affine and memory is None:
        return "linear", "affine in its state: a prefix scan over time"
    if memory is not None or (known(states) and states > LARGE):
        why = "the states of all steps take above 1 GiB" if memory is None else "within the bytes given"
        return "chunked", f"{why}: of the states, only those between blocks are kept"
    if not parted(cell) and (cell.stepwise or _of_several(cell, arrays)):
        return "plain", "a step of several products in turn, or unknown: to run it again can take longer"
    if cell.recurrence in ELEMENTWISE and jax.default_backend() != "cpu":
        return "newton", "units do not mix over time: Newton's steps are exact and parallel in time"
    return "scan", "the backward loop computes no gate and no weight gradient"


def _of_several(cell, arrays) -> bool:
    """Says whether a step of a composition is that of several cells, as far as it hands them out; if it does
    not, whether it has a loop or a branch, or more than one matrix product that waits for another."""
    if not isinstance(cell, Composition):
        return False
    steps = []

    def run(part, params, state, u):
        steps.append(part)
        return part.step(params, state, u)

    def step(params, state, x):
        return step_by(run, cell, params, state, cell.project(params, x))

    def longest(jaxpr):
        """Counts the longest row of products, each of which reads the result of the one before."""
        rows = {}
        for equation, inner in equations(jaxpr):
            name = equation.primitive.name
            if name in ("scan", "while", "cond"):
                return float("inf")
            within = max(map(longest, inner), default=name == "dot_general")
            before = max((rows.get(v, 0) for v in equation.invars if not isinstance(v, Literal)), default=0)
            rows |= dict.fromkeys(equation.outvars, before + within)
        return max(rows.values(), default=0)

    x = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), arrays.xs)
    jaxpr = jax.make_jaxpr(step)(arrays.params, arrays.state, x).jaxpr
    return len(steps) > 1 if cell.hands_out else longest(jaxpr) > 1


def _keep(cell, arrays) -> bool:
    """Decides whether the forward keeps the recurrent products, of width H: where forming them again costs
    more than writing and reading them. On a CPU that is so from about 96 units on; products of accelerators
    are faster."""
    if jax.default_backend() != "cpu" or cell.recurrence not in (*PACKED, "opaque") or not parted(cell):
        return False
    rounded = lambda leaf: isinstance(leaf, Weight)  # whose products are cheap
    if any(map(rounded, jax.tree.leaves(arrays.params, is_leaf=rounded))):
        return False
    return jax.tree.leaves(arrays.state)[0].shape[-1] >= 96


def tree_bytes(tree) -> int:
    """Counts the bytes of all leaves, from their shapes alone."""
    shapes = jax.eval_shape(lambda tree: tree, tree)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))


def block_size(length, bytes_per_step):
    """Picks a block whose states take about 512 KiB on a CPU, so that with gates and diagonals it stays in
    cache (accelerators have no such cache: 64 MiB); a divisor of `length` where one is near, so that one
    compiled body does it all. An unknown length gives all steps; unknown bytes give 32 steps."""
    if not known(length):
        return length
    target = 2**19 if jax.default_backend() == "cpu" else 2**26
    ideal = max(target // max(1, bytes_per_step), 16) if known(bytes_per_step) else 32
    ideal = min(ideal, 128, length)
    near = [c for c in range(-(-ideal // 2), min(2 * ideal, length) + 1) if length % c == 0]
    return min(near, key=lambda c: abs(c - ideal), default=ideal)


class Sizes(NamedTuple):
    """Holds bytes of one time step, all sequences together."""

    state: int
    hidden: int
    u: int  # the projected input
    saved: int  # the recurrent products, where the forward keeps them
    working: int  # of a block's backward pass
    fixed: int  # of the parameters' gradients, once


def sizes(cell: Cell, arrays) -> Sizes:
    """Computes what a step takes, from shapes alone."""
    first = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), arrays.xs)
    state, x, u = map(tree_bytes, (arrays.state, first, jax.eval_shape(cell.project, arrays.params, first)))
    hidden = tree_bytes(jax.eval_shape(cell.hidden, arrays.state))
    saved = tree_bytes(jax.eval_shape(partial(_saved, cell), arrays.params, arrays.state, first))
    working = x + 2 * u + 6 * state
    if cell.recurrence == "opaque" or isinstance(cell, Composition):
        read = lambda *step: residuals(cell, *step).varying
        working += tree_bytes(jax.eval_shape(read, arrays.params, arrays.state, first))
        if parted(cell):
            working -= 4 * state  # the notes of its parts are instead of it
    return Sizes(state, hidden, u, saved, working, 3 * tree_bytes(arrays.params))


def _saved(cell, params, state, x):
    u = cell.project(params, x)
    return stepper(cell, params, state, u, save=True)(state, u)[1]


def predict(cell: Cell, arrays, mode: str, chunk: int, keep: bool = False) -> int:
    """Predicts the bytes of temporary memory for forward and backward: what is kept, and one block's working
    set.

    "scan" keeps the states, where `keep` says so the products, and dL/dh of all steps; "chunked" the states
    between blocks.
    """
    size = sizes(cell, arrays)
    steps = length_of(arrays.xs)
    if mode == "scan":
        kept = steps * (size.state + size.hidden + keep * size.saved)
    else:
        kept = -(-steps // chunk) * size.state
    return kept + min(chunk, steps) * size.working + size.fixed


def _block_within(cell, arrays, memory) -> int:
    """Returns a block length that fits into the memory: that of `scan` if it does, else the one of least
    memory, √(T · state / working set)."""
    size, steps = sizes(cell, arrays), length_of(arrays.xs)
    least = max(1, round((steps * size.state / max(1, size.working)) ** 0.5))
    for chunk in (block_size(max(steps, 1), size.state), least):
        if memory is None or predict(cell, arrays, "chunked", chunk) <= memory:
            return chunk
    return least
