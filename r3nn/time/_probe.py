"""Finds whose fault a failure is: a cell takes one step by itself, method by method, of shapes alone.

None of this runs unless something fails.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from r3nn.cells import Cell
from r3nn.cells._composition import all_parts, parts

Sizes = tuple[int, int, tuple[int, ...]]  # D, H, and the shape of a batch


class CellError(TypeError):
    """Names a fault of a cell's own: its class and method, what came and what was expected. cell: that
    cell."""

    def __init__(self, cell: Cell, sentence: str):
        super().__init__(sentence)
        self.cell = cell


@contextlib.contextmanager
def blame(cell: Cell, find: Callable[[], Sizes], options: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Turns a failure within its block into a `CellError`, where the cell, or one inside it, is at fault.

    Our own compositions are not: what they refuse, they say themselves. find: the sizes, where
    something fails. options: of the cell's `init`.
    """
    try:
        yield
    except CellError:
        raise
    except Exception as error:
        for part in all_parts(cell):
            if not (type(part).__module__.startswith("r3nn.") and any(parts(part))):
                _probe(part, find(), options or {}, error)
        raise


def sizes(cell: Cell, params, state, xs) -> Sizes:
    """Reads (D, H, batch shape) off arguments of `unroll`, which may be wrong: as far as they tell."""
    _, *batch, in_size = np.shape(xs) if np.ndim(xs) > 1 else (0, 1)
    try:
        state = jax.eval_shape(cell.initial_state, params) if state is None else state
        hidden_size = jax.tree.leaves(state)[0].shape[-1]
    except Exception:  # whatever the cell raises, it is found at fault next
        hidden_size = in_size
    return max(in_size, 1), max(hidden_size, 1), tuple(batch)


def _probe(cell: Cell, of: Sizes, options, cause: Exception) -> None:
    """Takes one step, with params of the cell's own. Raises: CellError, from `cause`, for the first fault."""

    def call(name, *trees, **static):
        method = getattr(cell, name)
        try:
            given = jax.eval_shape(lambda *trees: method(*trees, **static), *trees)
        except Exception as error:
            if name == "init" and isinstance(error, (ValueError, OverflowError)):
                raise
            raise CellError(cell, _sentence(cell, name, error)) from cause
        if given is None and name in ("initial_state", "step", "core", "output"):
            raise CellError(cell, f"{type(cell).__name__}.{name} returned None.") from cause
        return given

    in_size, hidden_size, batch = of
    try:
        inspect.signature(cell.init).bind(None, in_size, hidden_size, **options)
    except TypeError:
        return  # options that the cell does not have are the caller's
    try:
        params = call("init", jax.random.key(0), in_size=in_size, hidden_size=hidden_size, **options)
    except (ValueError, OverflowError):
        return  # so are sizes that it refuses
    state, single = (call("initial_state", params, batch_shape=shape) for shape in (batch, ()))
    ranks = lambda tree: [leaf.ndim for leaf in jax.tree.leaves(tree)]
    if ranks(state) != [rank + len(batch) for rank in ranks(single)]:
        sentence = f"{type(cell).__name__}.initial_state gives {_types(state)} for a batch of {batch}."
        raise CellError(cell, sentence) from cause
    dtype = next((leaf.dtype for leaf in jax.tree.leaves(state)), jnp.float32)
    x = jax.ShapeDtypeStruct((*batch, in_size), dtype)
    prepared = call("prepare", params)
    u = call("project", prepared, x)
    last, inputs = "step", (u,)
    if type(cell).step is Cell.step:
        last, inputs = "core", (u, call("recur", prepared, state, u))
    new = call(last, prepared, state, *inputs)
    if _types(new) != _types(state):
        sentence = f"{type(cell).__name__}.{last} gives {_types(new)} for a state {_types(state)}."
        raise CellError(cell, sentence) from cause
    call("output", prepared, new, x)


def _types(tree) -> str:
    """Writes dtype and shape of an array, or of a tree of them: "float32[4,5]"."""
    one = lambda leaf: f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
    return str(jax.tree.map(one, tree)).replace("'", "")


def _sentence(cell: Cell, method: str, error: Exception) -> str:
    """Writes what a method of a cell has raised, on one line."""
    name, of = type(cell).__name__, getattr(error, "obj", None)
    if isinstance(error, NotImplementedError):
        return f"{name}.{method} is not written."
    if isinstance(error, AttributeError) and hasattr(of, "_fields"):
        fields = ", ".join(of._fields)
        if type(of) is getattr(cell, "gates", None):
            return f"{name}.{method} asks for gate {error.name!r}; its gates are {fields}."
        return f"{name}.{method} asks for {error.name!r} of {type(of).__name__}, which has {fields}."
    text = str(error).strip().split("\n")[0].rstrip(".")
    if text.startswith(name):
        return f"{text}."
    kind = "" if isinstance(error, (TypeError, ValueError)) else f"{type(error).__name__}: "
    return f"{name}.{method}: {kind}{text}."
