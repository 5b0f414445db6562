"""Defines the value `Model`: encode -> body -> predict. One carry serves training in pieces, streaming and
generation."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from r3nn._literals import Mode, Predict
from r3nn._serialize import serializable
from r3nn._value import Value
from r3nn.cells import Cell
from r3nn.cells._base import check_key
from r3nn.compose import FeedbackParams, FeedbackState, feedback
from r3nn.compose._shapes import output_shape
from r3nn.encoders import Embedding, Identity, Linear, OneHot, Readout
from r3nn.model._mean import Mean
from r3nn.time import match_varying_axes, unroll, zero_masked

Array = jax.Array


@serializable
class ModelParams(NamedTuple):
    """Holds the parameters of the encoder, of the recurrent body and of the readout."""

    encoder: Any
    body: Any
    readout: Any


@dataclasses.dataclass(frozen=True)
class Model(Value):
    """A model is encode -> body -> readout, as a frozen, hashable value with pure methods. Arrays are
    time-major: [T, *batch, ...].

    cell: the body without its feedback loop. stacked: its outputs come at every depth, [L, ..., H].
    predict: predictions at "every" step; or a single one, [1, ...]: at the "last" step of a chunk, or of the
      "mean" of the body's outputs over the steps so far. "counted" is "every" here, and tells `Supervised`
      that it may have predictions made at the steps alone that the loss counts.
    looped: whether predictions feed back into the input (`readout.feeds` says as what).
    init_options: pairs for `cell.init`. Of them, "dtype" is that of all parameters; float32 unless given.
    mode, block, memory, compute_dtype: over time, as in `unroll` (block: its `chunk`, the steps that the
    backward pass takes at once; here that name is the method's).
    """

    encoder: Identity | Linear | OneHot | Embedding
    cell: Cell
    readout: Readout
    hidden_size: int
    looped: bool = False
    predict: Predict = "every"
    mode: Mode = "auto"
    init_options: tuple[tuple[str, Any], ...] = ()
    block: int | None = None
    memory: int | None = None
    compute_dtype: Any = None

    @property
    def body(self) -> Cell:
        """Returns the recurrent body: the cell, under feedback where the model is looped."""
        return feedback(self.cell, self.readout) if self.looped else self.cell

    @property
    def noisy(self) -> bool:
        """Says whether a cell in the model draws noise, given a key."""
        return self.cell.noisy

    @property
    def _how(self) -> dict[str, Any]:
        """Returns the options of `unroll` by which the body runs over time."""
        sizes = {"chunk": self.block, "memory": self.memory}
        return {"mode": self.mode, **sizes, "compute_dtype": self.compute_dtype}

    def body_params(self, params: ModelParams):
        """Returns the parameters of `body`: with those of the readout, where its outputs feed back."""
        return FeedbackParams(params.body, params.readout) if self.looped else params.body

    def init(self, key: Array) -> ModelParams:
        """Draws fresh parameters, all of one dtype."""
        check_key(key)
        encoder, body, readout = jax.random.split(key, 3)
        width = self.encoder.width + (self.readout.size if self.looped else 0)
        options = dict(self.init_options)
        dtype = options.get("dtype", jnp.float32)
        return ModelParams(
            self.encoder.init(encoder, dtype),
            self.cell.init(body, width, self.hidden_size, **options),
            self.readout.init(readout, self.hidden_size, dtype),
        )

    def start(self, params: ModelParams, batch_shape: tuple[int, ...] = ()):
        """Returns the carry before the first step: the state of the whole body; a `Mean` of it for "mean"."""
        weights = self.body_params(params)
        state = self.body.initial_state(weights, batch_shape)
        if self.predict != "mean":
            return state
        return Mean.start(state, output_shape(self.body, weights, state, batch_shape), batch_shape)

    def chunk(self, params: ModelParams, carry, xs: Array, mask=None, reset=None, key=None):
        """Runs any number of further steps -> (carry, predictions [T, *batch, O] of the deepest level).

        xs [T, *batch, D] floats, cast to the dtype of params, or [T, *batch] ids; mask, reset and key as in
        `unroll`. Predictions have the dtype of params. A sequence in pieces gives the numbers of the whole
        one (with noise: where key is `Noise(...).after(...)`).
        """
        carry, ys = self.chunk_depths(params, carry, xs, mask, reset, key=key)
        return carry, ys[:, -1]

    def chunk_depths(self, params: ModelParams, carry, xs, mask=None, reset=None, targets=None, key=None):
        """Does as `chunk`, with the predictions of every depth: [T, L, *batch, O] (L = 1 unless stacked).

        targets [T, *batch, ...]: teacher forcing; the true y_{t-1} joins the input, not the predicted one.
        """
        carry, outputs = self.hidden(params, carry, xs, mask, reset, targets, key)
        return carry, self.predictions(params, carry, outputs)

    def predictions(self, params: ModelParams, carry, outputs: Array) -> Array:
        """Predicts from what `hidden` returns, or from some of its steps: [T, L, *batch, O]; [1, L, *batch,
        O] where predict is "last" or "mean"."""
        if self.predict == "last":
            outputs = outputs[-1:]
        if self.predict == "mean":
            outputs = carry.value()[None].astype(outputs.dtype)
        ys = self.readout(params.readout, outputs)
        return ys if self.readout.stacked else ys[:, None]

    def hidden(self, params: ModelParams, carry, xs, mask=None, reset=None, targets=None, key=None):
        """Does as `chunk_depths`, without the readout -> (carry, the body's outputs [T, *batch, H]).

        [T, L, *batch, H] where predictions come at every depth.
        """
        if mask is not None:
            xs = zero_masked(xs, mask)  # here already: the encoder has weights, which NaN would reach
        xs = _cast(self.encoder(params.encoder, xs), params)
        state = carry.body if self.predict == "mean" else carry
        if targets is not None and self.looped:
            state, outputs = self._teach(params, state, xs, mask, reset, targets, key)
        else:
            body = self.body_params(params)
            flags = {"mask": mask, "reset": reset}
            state, outputs = unroll(self.body, body, state, xs, **flags, key=key, **self._how)
        if self.predict == "mean":
            state = carry.after(state, outputs, mask, reset)
        return state, outputs

    def _teach(self, params, carry: FeedbackState, xs, mask, reset, targets, key):
        def step(fed, now):
            given, mask, reset = now
            fed = fed if reset is None else jnp.where(reset[..., None], 0, fed)
            return (given if mask is None else jnp.where(mask[..., None], given, fed)), fed

        given = self.readout.encode(targets).astype(carry.fed.dtype)
        first, *given = match_varying_axes(carry.fed, given, mask, reset)
        fed, before = lax.scan(step, first, tuple(given))  # y after each step, y_{t-1} at each
        xs = jnp.concatenate([xs, before], axis=-1)
        flags = {"mask": mask, "reset": reset}
        state, outputs = unroll(self.cell, params.body, carry.cell, xs, **flags, key=key, **self._how)
        last = outputs[-1] if outputs.shape[0] != 0 else carry.output
        if mask is not None:
            last = jnp.where(mask.any(axis=0)[..., None], last, carry.output)
        return FeedbackState(state, last, fed), outputs

    def generate(self, params: ModelParams, carry, first: Array, length: int, key=None):
        """Generates freely: each prediction is the next input. The state takes O(1) memory at any length.

        first: the first input, [*batch] ids or [*batch, D] values with D = O, cast as in `chunk`. key: sample
        classes from softmax(y); None: take the likeliest (of values: the value itself).
        Returns: (carry, what was generated [length, *batch, ...]). Raises: ValueError under predict="mean",
        whose prediction is of all steps so far.
        """
        if self.predict == "mean":
            raise ValueError(
                "predict='mean' says one thing of a whole sequence: generate needs 'every' or 'last'."
            )
        first = _cast(first, params)
        ids = isinstance(self.encoder, OneHot | Embedding)

        def step(state, key):
            carry, x = state
            carry, ys = self.chunk(params, carry, x[None])
            y = ys[0]
            if ids:
                y = jnp.argmax(y, -1) if key is None else jax.random.categorical(key, y)
                y = y.astype(first.dtype)
            if self.looped:
                carry = carry._replace(fed=self.readout.encode(y).astype(carry.fed.dtype))
            return (carry, y), y

        keys = None if key is None else jax.random.split(key, length)
        (carry, _), ys = lax.scan(step, (carry, first), keys, length=length)
        return carry, ys


def _cast(xs, params: ModelParams) -> Array:
    """Casts floats to the dtype of the params; leaves ids as they are."""
    xs = jnp.asarray(xs)
    return xs.astype(params.readout.kernel.dtype) if jnp.issubdtype(xs.dtype, jnp.floating) else xs
