"""Checks whether a cell does what it declares, for authors of cells."""

from functools import partial

import jax
import jax.numpy as jnp

from r3nn.cells._base import Cell, check_cell
from r3nn.cells._composition import Composition
from r3nn.time._probe import CellError, blame
from r3nn.time.deferred.elementwise import elementwise_dependence
from r3nn.time.deferred.products import PACKED, core_of, packed_step, products, recur_of
from r3nn.time.parallel.linear import check_affine

RECURRENCES = (*PACKED, "diagonal", "none", "opaque")


def check_facts(cell: Cell, in_size: int = 3, hidden_size: int = 4, **options) -> None:
    """Checks what a cell declares, on fresh parameters: `recurrence`, `affine`, `bounds`, that the `core` of
    a structured cell is elementwise, and what an `elementwise` wrapper does around its cell. Modes rely on
    all of these.

    `bounds` are tried with 512 states drawn within them and inputs of all sizes: what is refused is wrong,
    what passes need not be right.

    Args:
      in_size, hidden_size: D and H of the parameters.
      options: of the cell's `init`.

    Raises: CellError, in one sentence, for the first fact that is wrong.
    """
    check_cell(cell)
    with blame(cell, lambda: (in_size, hidden_size, (2,)), options):
        of_params, of_x, of_state = jax.random.split(jax.random.key(0), 3)
        params = cell.init(of_params, in_size, hidden_size, **options)
        size = jnp.logspace(-2, 2, 512)[:, None]
        xs = size * jax.random.normal(of_x, (512, in_size))
        state = _drawn(of_state, cell, cell.initial_state(params, (512,)))
        params = cell.prepare(params)
        u = cell.project(params, xs.astype(jax.tree.leaves(state)[0].dtype))
        if isinstance(cell, Composition):
            if cell.recurrence != "opaque" and cell.hands_out:
                _check_around(cell, params, state, u)
        else:
            _check_recurrence(cell, params, state, u)
        if cell.affine:
            _check_affine(cell, params, state, u)
        if cell.bounds is not None:
            _check_bounds(cell, params, state, u)


def _drawn(key, cell, state):
    """Draws states [512, ...], within the bounds where there are any: a third of their numbers at each
    end."""
    low, high = cell.bounds or (-1.0, 1.0)
    leaves, structure = jax.tree.flatten(state)
    keys = jax.random.split(key, len(leaves))
    draw = lambda key, leaf: jnp.clip(jax.random.uniform(key, leaf.shape, minval=-1.5, maxval=1.5), -1, 1)
    unit = [draw(key, leaf) for key, leaf in zip(keys, leaves, strict=True)]
    scaled = [low + (high - low) * (1 + x) / 2 for x in unit]
    return jax.tree.unflatten(
        structure, [x.astype(leaf.dtype) for x, leaf in zip(scaled, leaves, strict=True)]
    )


def _check_recurrence(cell, params, state, u):
    name = type(cell).__name__
    if cell.recurrence not in RECURRENCES:
        allowed = ", ".join(RECURRENCES)
        raise CellError(cell, f"{name}.recurrence is {cell.recurrence!r}: must be one of {allowed}.")
    if cell.recurrence == "opaque":
        return
    if type(cell).step is not Cell.step:
        what = "but it has a step of its own: give it recur and core, or say recurrence = 'opaque'."
        raise CellError(cell, f"{name}.recurrence is {cell.recurrence!r}, {what}")
    try:
        r = recur_of(cell, params, state, u)
        elementwise_dependence(partial(core_of, cell), params, state, u, r)
    except ValueError as error:
        raise CellError(
            cell, f"{name}.recurrence is {cell.recurrence!r}: {str(error).rstrip('.')}."
        ) from error
    packed, _ = packed_step(products(cell, params), cell, params, state, u)
    if not _close(packed, cell.step(params, state, u)):
        what = f"{name}.recurrence is {cell.recurrence!r}, but its recur gives other numbers than that says."
        raise CellError(cell, what)


def _check_around(cell, params, state, u):
    """Checks that what a composition does around its one part is elementwise, and affine in the state."""
    name, structure = type(cell).__name__, jax.tree.structure(state)
    flat = lambda tree: jax.tree.leaves(tree)
    tree = lambda leaves: jax.tree.unflatten(structure, leaves)

    def around(leaves, u):
        old, new = leaves[: structure.num_leaves], leaves[structure.num_leaves :]
        return flat(cell.step(params, tree(old), u, call=lambda *_: tree(new)))

    both = [*flat(state), *flat(state)]
    try:
        elementwise_dependence(lambda *leaves: around(list(leaves), u), *both)
        check_affine(cell, around, both, u)
    except ValueError as error:
        what = f"what {name}.step does around its cell must be elementwise and affine in the state."
        raise CellError(cell, f"{name}.elementwise is True, but {what}") from error


def _check_affine(cell, params, state, u):
    leaves, structure = jax.tree.flatten(state)
    step = lambda state, u: jax.tree.leaves(cell.step(params, jax.tree.unflatten(structure, state), u))
    try:
        check_affine(cell, step, leaves, u)
        elementwise_dependence(lambda *state: step(list(state), u), *leaves)
    except ValueError as error:
        raise CellError(cell, str(error)) from error
    other = [leaf[::-1] for leaf in leaves]
    between = [0.25 * a + 0.75 * b for a, b in zip(leaves, other, strict=True)]
    mean = [0.25 * a + 0.75 * b for a, b in zip(step(leaves, u), step(other, u), strict=True)]
    if not _close(step(between, u), mean):
        what = "but a step from a mean of two states is not the mean of the steps: say affine = False."
        raise CellError(cell, f"{type(cell).__name__}.affine is True, {what}")


def _check_bounds(cell, params, state, u):
    low, high = cell.bounds
    for leaf in jax.tree.leaves(cell.step(params, state, u)):
        slack = 1e-5 * max(1.0, high - low)
        least, most = float(leaf.min()), float(leaf.max())
        if not (low - slack <= least and most <= high + slack):
            what = f"a step from states within them gives one from {least:.3g} to {most:.3g}."
            raise CellError(cell, f"{type(cell).__name__}.bounds are {cell.bounds}, but {what}")


def _close(a, b) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(bool(jnp.allclose(x, y, rtol=1e-4, atol=1e-4, equal_nan=True)) for x, y in pairs)
