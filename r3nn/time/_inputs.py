"""Checks the arguments of `unroll` against each other; what does not fit is named in one sentence."""

from functools import partial

import jax
import jax.numpy as jnp

from r3nn._lookup import check_int
from r3nn.time.arrays.flags import Flags, carry_masked, in_scan_order, zero_masked
from r3nn.time.arrays.precision import prepare
from r3nn.time.arrays.trees import batch_axes
from r3nn.time.deferred.elementwise import dependence
from r3nn.time.parallel.shards import check_axis


def checked(cell, params, state, xs, mask, reset, reverse, axis_name=None, length=None, compute=None):
    """Checks the arguments of `unroll` against each other.

    Returns: (state, xs [T, *batch, D], flags [T, *batch] in scan order, without_masked). without_masked(xs)
    replaces the inputs of masked steps, which may be NaN, by numbers that reach no result. It is a function
    because keys may be added to xs before it is called (`Keyed`); it leaves no NaN beside them.
    Raises: ValueError, TypeError for arguments that do not fit, in one sentence.
    """
    try:
        state, xs = check_inputs(cell, params, state, xs, length, compute)
    except AttributeError as error:
        raise TypeError(f"params or state are not those of {cell}: {str(error).rstrip('.')}.") from error
    flags = in_scan_order(check_flags(mask, reset, xs.shape[:-1]), reverse)
    masked = flags.mask is not None and xs.shape[0] != 0
    reads_x = masked and output_reads_x(cell, params, state, xs)
    if axis_name is not None and (reads_x or (reset is not None and reverse)):
        raise ValueError(
            f"axis_name={axis_name!r}: time over devices takes no mask for a cell whose output reads x, and "
            "no reset with reverse."
        )
    if axis_name is not None:
        check_axis(axis_name)
    replaced = lambda xs: carry_masked(xs, flags, reverse) if reads_x else zero_masked(xs, flags.mask)
    return state, xs, flags, replaced if masked else lambda xs: xs


def check_inputs(cell, params, state, xs, length, compute=None):
    """Checks state and inputs against each other -> (state, xs [T, *batch, D]). Where they are None, the
    state is the initial one, and inputs have no features."""
    if xs is None:
        check_int("length (with xs=None)", length, 0)
        single = jax.tree.leaves(jax.eval_shape(cell.initial_state, params))[0]
        batch = () if state is None else _batch_shape(cell, params, state)
        xs = jnp.zeros((length, *batch, 0), single.dtype)
    xs = _array("xs", xs, "floats [T, *batch, D]")
    if not jnp.issubdtype(xs.dtype, jnp.floating) or xs.ndim < 2:
        raise TypeError(f"xs is {jax.typeof(xs)}: a cell takes floats [T, *batch, D] (embed ids first).")
    if length is not None and length != xs.shape[0]:
        raise ValueError(f"length={length}: xs has {xs.shape[0]} steps.")
    if xs.shape[-1] != (in_size := _in_size(cell, params, xs.shape[-1])):
        raise ValueError(f"xs {xs.shape} has {xs.shape[-1]} features: these params take {in_size}.")
    expected = jax.eval_shape(lambda p: cell.initial_state(p, xs.shape[1:-1]), params)
    if state is None:
        state = cell.initial_state(params, xs.shape[1:-1])
    shapes = lambda tree: jax.tree.map(jnp.shape, tree)
    if shapes(state) != shapes(expected) or jax.tree.structure(state) != jax.tree.structure(expected):
        raise ValueError(f"state has shapes {shapes(state)}: xs {xs.shape} need {shapes(expected)}.")
    x = jax.ShapeDtypeStruct(xs.shape[1:], xs.dtype)
    dtypes = lambda tree: jax.tree.map(jnp.result_type, tree)
    after = jax.eval_shape(partial(_step, cell, compute), params, state, x)
    if dtypes(state) != dtypes(after):
        given = f"a state of {dtypes(state)} on xs of {xs.dtype}"
        raise TypeError(f"a step from {given} gives {dtypes(after)}: cast one.")
    if shapes(state) != shapes(after):
        raise TypeError(f"a step from a state of shapes {shapes(state)} gives {shapes(after)}.")
    return state, xs


def _step(cell, compute, params, state, x):
    params = cell.prepare(params) if compute is None else prepare(compute, cell, params)
    return cell.step(params, state, cell.project(params, x))


def _in_size(cell, params, otherwise):
    """Returns the width that the params take, where the cell knows it: `in_size` is optional. Else
    `otherwise`."""
    try:
        return cell.in_size(params)
    except NotImplementedError:
        return otherwise


def _batch_shape(cell, params, state):
    """Returns the batch axes of a state: those that it has beyond the state of a single sequence."""
    axis = jax.tree.leaves(batch_axes(cell, params))[0]
    single = jax.tree.leaves(jax.eval_shape(cell.initial_state, params))[0]
    leaf = jax.tree.leaves(state)[0]
    return leaf.shape[axis : axis + leaf.ndim - single.ndim]


def _array(name, value, wanted):
    """Converts to an array. Raises: TypeError for what cannot be one."""
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is a {type(value).__name__}: must be {wanted}.") from error


def check_flags(mask, reset, shape) -> Flags:
    """Converts mask and reset to arrays. Raises: ValueError unless each is None or bool of `shape`, [T,
    *batch]."""
    wanted, flags = f"bool{list(shape)}, [T, *batch]", {"mask": mask, "reset": reset}
    flags = {name: flag if flag is None else _array(name, flag, wanted) for name, flag in flags.items()}
    for name, flag in flags.items():
        if flag is not None and (flag.shape != shape or flag.dtype != jnp.bool_):
            raise ValueError(f"{name} is {jax.typeof(flag)}: must be {wanted}.")
    return Flags(**flags)


def output_reads_x(cell, params, state, xs) -> bool:
    """Says whether the cell's output depends on its input directly, not only through the state."""
    output = lambda params, state, x: cell.output(cell.prepare(params), state, x)
    jaxpr = jax.make_jaxpr(output)(params, state, xs[0]).jaxpr
    return len(jaxpr.invars) - 1 in set().union(*dependence(jaxpr))
