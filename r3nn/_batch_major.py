"""Follows Flax's conventions for sequences on top of the time-major ones; r3nn.nnx and r3nn.linen share
it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from r3nn import convert
from r3nn.cells import Cell
from r3nn.encoders import Embedding, OneHot
from r3nn.model import Model, build
from r3nn.time import unroll
from r3nn.time._noise import keyed


class Step(NamedTuple):
    """Holds what `unroll` runs for a Flax cell."""

    cell: Any  # a Cell, or a bare function
    params: Any
    key: Any = None  # of the noise
    mapped: bool = False  # whether it stands for a cell of Flax, whose carries have another form

    @property
    def bare(self) -> bool:
        """Says whether it runs as a bare function, of which nothing more is known."""
        return not isinstance(self.cell, Cell)


class Options(NamedTuple):
    """Says how Flax's RNN goes over a sequence."""

    seq_lengths: Any  # int [*batch], or None
    time_major: bool
    reverse: bool
    keep_order: bool
    mask: Any  # bool [*batch, T], or [T, *batch] where time_major; or None
    reset: Any  # the same
    mode: str

    def filled(self, module) -> "Options":
        """Returns the options of a call, with what it leaves at None as the module was constructed."""
        names = ("time_major", "reverse", "keep_order", "mode")
        return self._replace(**{name: getattr(module, name) for name in names if getattr(self, name) is None})


def check_flax_cell(cell, wrapped: str) -> None:
    """Raises TypeError, in one sentence, unless it is an instance of a cell of Flax; wrapped: how to make one
    of what is none, with {} for that.
    """
    if not hasattr(type(cell), "num_feature_axes"):
        given = repr(cell) if isinstance(cell, str) else "cell"
        raise TypeError(f"cell={cell!r} is no Flax cell: wrap it: r3nn.{wrapped.format(given)}.")


def overrides(cell, kind: type) -> bool:
    """Says whether the class of a Flax cell has a step, a carry or params other than those of `kind`."""
    names = ("__call__", "initialize_carry", "params")
    return any(getattr(type(cell), name) is not getattr(kind, name) for name in names)


def refuse_noise(cell, key, deterministic) -> None:
    """Raises ValueError for options of the noise of a Flax cell that runs as the bare function that it is."""
    for name, value in (("key", key), ("deterministic", deterministic)):
        if value is not None:
            raise ValueError(
                f"{name}: {type(cell).__name__} runs as a bare function, whose noise is its own."
            )


def run(step: Step, carry, inputs, features: int, options: Options):
    """Runs one RNN over inputs [*batch, T, ...] -> (carry, outputs [*batch, T, ...]).

    carry: in Flax's form; None: the cell's initial state. features: the number of feature axes of an input.
    Raises: ValueError for seq_lengths, mask, reset that do not fit, and what `unroll` raises.
    """
    cell, params, key, mapped = step
    inputs = inputs if step.bare else floats(inputs, params)
    axis = time_axis(inputs, features, options.time_major)
    _check_flags(jnp.shape(inputs)[: jnp.ndim(inputs) - features], options.mask, options.reset)
    xs, mask, reset = (_time_first(array, axis) for array in (inputs, options.mask, options.reset))
    batch = xs.shape[1 : xs.ndim - features]
    lengths = _lengths(options.seq_lengths, batch)
    if lengths is not None:
        valid = jnp.arange(len(xs)).reshape(-1, *[1] * len(batch)) < lengths[None]
        mask = valid if mask is None else mask & valid
    state = convert.state_from_flax(cell, carry) if mapped and carry is not None else carry
    how = dict(mask=mask, reset=reset, reverse=options.reverse, mode=options.mode, key=key)
    state, ys = unroll(cell, params, state, xs, **how)
    if options.reverse and not options.keep_order:
        ys = _flip(ys, lengths, features)
    return convert.carry_to_flax(cell, state) if mapped else state, jnp.moveaxis(ys, 0, axis)


def _check_flags(shape, mask, reset):
    """Checks mask and reset, [*batch, T]. `unroll` checks too, but its sentence would be about shapes with
    time first."""
    for name, flag in (("mask", mask), ("reset", reset)):
        if flag is not None and (jnp.shape(flag) != shape or jnp.result_type(flag) != jnp.bool_):
            raise ValueError(
                f"{name} is {jnp.result_type(flag)}{list(jnp.shape(flag))}: must be bool{list(shape)}."
            )


def _time_first(array, axis):
    return None if array is None else jnp.moveaxis(array, axis, 0)


def time_axis(inputs, features: int, time_major: bool) -> int:
    """Returns the axis of time in inputs. Raises: ValueError where they have too few axes to have one."""
    if jnp.ndim(inputs) < features + 1:
        raise ValueError(f"inputs {jnp.shape(inputs)}: need a time axis and {features} feature axes.")
    return 0 if time_major else jnp.ndim(inputs) - features - 1


def step_shape(inputs, features: int, time_major: bool) -> tuple[int, ...]:
    """Returns the shape of one time step of the inputs, [*batch, ...]."""
    shape, axis = jnp.shape(inputs), time_axis(inputs, features, time_major)
    return shape[:axis] + shape[axis + 1 :]


def _lengths(lengths, batch):
    if lengths is None:
        return None
    lengths = jnp.asarray(lengths)
    if lengths.shape != batch or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ValueError(f"seq_lengths is {lengths.dtype}{list(lengths.shape)}: must be int{list(batch)}.")
    return lengths


def _flip(ys, lengths, features):
    """Reverses outputs [T, ..., *batch, *features] in time; padding stays at the end."""
    if lengths is None:
        return jnp.flip(ys, 0)
    steps = len(ys)
    index = (jnp.arange(steps - 1, -1, -1).reshape(-1, *[1] * lengths.ndim) + lengths[None]) % max(steps, 1)
    between = ys.ndim - 1 - lengths.ndim - features  # an axis of depths, say
    index = index.reshape(steps, *[1] * between, *lengths.shape, *[1] * features)
    return jnp.take_along_axis(ys, index, axis=0)


def floats(x, params):
    """Casts x, integers or bools, to the dtype of the params, as Flax does; returns floats as they are."""
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(jax.tree.leaves(params)[0].dtype)


def one_step(cell: Cell, params, state, x, key, alone: bool):
    """Takes one step on x [*batch, D], with noise where there is a key -> (state, y).

    alone: whether the key serves this step alone, so that noise of a whole sequence cannot be drawn from it.
    """
    x = floats(x, params)
    if key is not None:
        x = jax.tree.map(lambda leaf: leaf[0], keyed(key, x[None]))
        x = x._replace(sequence=None) if alone else x
    return cell(params, state, x)


def predict(model: Model, params, xs, mask=None, reset=None, targets=None, key=None):
    """Runs a whole model from its initial state -> predictions [*batch, T, O] (T = 1 where it predicts once).

    xs [*batch, T, D] floats or [*batch, T] ids; mask and reset bool [*batch, T]; targets [*batch, T, ...];
    key as in `unroll`. Raises: TypeError for floats in place of ids, ValueError for flags that do not fit.
    """
    ids = isinstance(model.encoder, OneHot | Embedding)
    if ids and not jnp.issubdtype(jnp.result_type(xs), jnp.integer):
        raise TypeError(f"xs are {jnp.result_type(xs)}: this model takes integer ids [*batch, T].")
    axis = time_axis(xs, 0 if ids else 1, time_major=False)
    _check_flags(jnp.shape(xs)[: axis + 1], mask, reset)
    arrays = (_time_first(array, axis) for array in (xs, mask, reset, targets))
    _, ys = model.chunk_depths(params, model.start(params, jnp.shape(xs)[:axis]), *arrays, key)
    return jnp.moveaxis(ys[:, -1], 0, axis)


class Bound:
    """Gives a module the methods of its attribute `model`, a `Model`, with the module's own params.

    `R3NN` of nnx and of linen have theirs from here: a call is batch-major, the others are the Model's.
    """

    def _bound(self, key=None, deterministic=None):
        """Gives (params, key of this call's noise or None), by the conventions of nnx or of linen."""
        raise NotImplementedError(f"{type(self).__name__}._bound must be given.")

    def __call__(self, xs, mask=None, reset=None, targets=None, key=None, deterministic=None):
        """Predicts from the initial state: [*batch, T, O]; T is 1 where a model predicts once.

        xs [*batch, T, D] floats or [*batch, T] ids; mask, reset bool [*batch, T] as in `unroll`; targets
        [*batch, T, ...]: teacher forcing of the feedback. key: of the noise, as in `unroll`; None: from the
        stream. deterministic: None: as set. Raises: where there is noise but no stream and no key, ValueError
        (nnx) or flax.errors.InvalidRngError (linen).
        """
        params, key = self._bound(key, deterministic)
        return predict(self.model, params, xs, mask, reset, targets, key)

    def start(self, batch_shape: tuple[int, ...] = ()):
        """Returns the carry before the first step, as `Model.start` does."""
        params, _ = self._bound(deterministic=True)
        return self.model.start(params, batch_shape)

    def chunk(self, carry, xs, mask=None, reset=None, key=None, deterministic=None):
        """Runs any number of further steps, time-major, as `Model.chunk` does -> (carry, predictions [T,
        *batch, O])."""
        params, key = self._bound(key, deterministic)
        return self.model.chunk(params, carry, xs, mask, reset, key)

    def chunk_depths(self, carry, xs, mask=None, reset=None, targets=None, key=None, deterministic=None):
        """Does as `Model.chunk_depths`: as `chunk`, with predictions of every depth, [T, L, *batch, O]."""
        params, key = self._bound(key, deterministic)
        return self.model.chunk_depths(params, carry, xs, mask, reset, targets, key)

    def generate(self, carry, first, length: int, key=None):
        """Generates as `Model.generate` does: each prediction is the next input -> (carry, [length, *batch,
        ...])."""
        params, _ = self._bound(deterministic=True)
        return self.model.generate(params, carry, first, length, key)


def as_model(model: Model | None, options) -> Model:
    """Returns the model, or the one that `build` makes of the options. Raises: TypeError for both or
    neither."""
    if model is None:
        return build(**options)
    if options or not isinstance(model, Model):
        raise TypeError(f"model={model!r}, {options}: give either a Model or options for build, not both.")
    return model
