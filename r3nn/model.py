"""A whole model: encode -> recurrent body -> predict. One carry serves training in pieces, streaming and
generation."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from r3nn._names import check_choice, check_int, lookup
from r3nn.cells import CELLS, Cell
from r3nn.compose import (
    FeedbackParams,
    FeedbackState,
    chain,
    deep,
    delay,
    every_depth,
    feedback,
    norm,
    residual,
)
from r3nn.encoders import FEEDS, Embedding, Identity, Linear, OneHot, Readout
from r3nn.time import MODES, blank, unroll, vary_alike

Array = jax.Array
ENCODERS = ("auto", "none", "linear", "one_hot", "embedding")
PREDICT = ("every", "last")


class ModelParams(NamedTuple):
    """Parameters of the encoder, of the recurrent body and of the readout."""

    encoder: Any
    body: Any
    readout: Any


@dataclasses.dataclass(frozen=True)
class Model:
    """encode -> body -> readout, as a frozen, hashable value with pure methods. Time-major: [T, *batch, ...].

    cell: the body without its feedback loop. stacked: its outputs come at every depth, [L, ..., H].
    predict: predictions at "every" step, or at the "last" of a chunk alone, [1, ...].
    looped: whether predictions feed back into the input (`readout.feeds` says as what).
    init_options: pairs for `cell.init`.
    """

    encoder: Identity | Linear | OneHot | Embedding
    cell: Cell
    readout: Readout
    hidden_size: int
    looped: bool = False
    predict: str = "every"
    mode: str = "auto"
    init_options: tuple[tuple[str, Any], ...] = ()

    @property
    def body(self) -> Cell:
        """The recurrent body: the cell, under feedback where the model is looped."""
        return feedback(self.cell, self.readout) if self.looped else self.cell

    def _body_params(self, params: ModelParams):
        return FeedbackParams(params.body, params.readout) if self.looped else params.body

    def init(self, key: Array) -> ModelParams:
        """Fresh parameters."""
        encoder, body, readout = jax.random.split(key, 3)
        width = self.encoder.width + (self.readout.size if self.looped else 0)
        return ModelParams(
            self.encoder.init(encoder),
            self.cell.init(body, width, self.hidden_size, **dict(self.init_options)),
            self.readout.init(readout, self.hidden_size),
        )

    def start(self, params: ModelParams, batch_shape: tuple[int, ...] = ()):
        """The carry before the first step: the state of the whole body."""
        return self.body.initial_state(self._body_params(params), batch_shape)

    def chunk(self, params: ModelParams, carry, xs: Array, mask=None, reset=None):
        """Any number of further steps: (carry, predictions [T, *batch, O]), the deepest level's.

        xs [T, *batch, D] floats or [T, *batch] ids; mask and reset [T, *batch] as in `unroll`. A sequence in
        pieces gives the numbers of the whole one.
        """
        carry, ys = self.chunk_depths(params, carry, xs, mask, reset)
        return carry, ys[:, -1]

    def chunk_depths(self, params: ModelParams, carry, xs, mask=None, reset=None, targets=None):
        """As `chunk`, with the predictions of every depth: [T, L, *batch, O] (L = 1 unless stacked).

        targets [T, *batch, ...]: teacher forcing; the true y_{t-1} joins the input, not the predicted one.
        """
        if mask is not None:
            xs = blank(xs, mask)  # here already: the encoder has weights, which NaN would reach
        xs = self.encoder(params.encoder, xs)
        if targets is not None and self.looped:
            carry, outputs = self._teach(params, carry, xs, mask, reset, targets)
        else:
            body = self._body_params(params)
            carry, outputs = unroll(self.body, body, carry, xs, mask=mask, reset=reset, mode=self.mode)
        if self.predict == "last":
            outputs = outputs[-1:]
        ys = self.readout(params.readout, outputs)
        return carry, ys if self.readout.stacked else ys[:, None]

    def _teach(self, params, carry: FeedbackState, xs, mask, reset, targets):
        def step(fed, now):
            given, mask, reset = now
            fed = fed if reset is None else jnp.where(reset[..., None], 0, fed)
            return (given if mask is None else jnp.where(mask[..., None], given, fed)), fed

        given = self.readout.encode(targets).astype(carry.fed.dtype)
        first, *given = vary_alike(carry.fed, given, mask, reset)
        fed, before = lax.scan(step, first, tuple(given))  # y after each step, y_{t-1} at each
        xs = jnp.concatenate([xs, before], axis=-1)
        flags = {"mask": mask, "reset": reset}
        state, outputs = unroll(self.cell, params.body, carry.cell, xs, **flags, mode=self.mode)
        last = outputs[-1] if len(outputs) else carry.output
        if mask is not None:
            last = jnp.where(mask.any(axis=0)[..., None], last, carry.output)
        return FeedbackState(state, last, fed), outputs

    def generate(self, params: ModelParams, carry, first: Array, length: int, key=None):
        """Free-running generation: each prediction is the next input. O(1) state at any length.

        first: the first input, [*batch] ids or [*batch, D] values with D = O. key: sample classes from
        softmax(y); None: take the likeliest (of values: the value itself).
        Returns: (carry, what was generated [length, *batch, ...]).
        """
        first = jnp.asarray(first)
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


def build(
    *,
    out_size: int,
    in_size: int | None = None,
    vocab: int | None = None,
    hidden_size: int = 64,
    cell: str | Cell = "ugrnn",
    depth: int = 1,
    depth_cell: str | Cell | None = None,
    tie: str | int = "none",
    order: str = "auto",
    residual_depth: bool = False,
    norm_depth: str | None = None,
    delay_depth: bool = False,
    predict_depths: bool = False,
    feedback: str | None = None,
    predict: str = "every",
    encoder: str = "auto",
    width: int | None = None,
    mode: str = "auto",
    init: Mapping[str, Any] | None = None,
) -> Model:
    """A model from names and sizes; every combination is a composition of cells.

    Args:
      out_size: O, the width of a prediction.
      in_size, vocab: float features [..., in_size], or ids in [0, vocab); one of the two.
      hidden_size: H.
      cell: f of (3.2.1): a name in `CELLS`, "file.py:name", or a cell.
      depth: L, the number of levels, at least 1: deep(cell, L).
      depth_cell: g of (3.2.2); given, the body is chain(f, deep(g, L)), the article's R3NN.
      tie, order: as in `deep`.
      residual_depth, norm_depth, delay_depth: what each level of the depth is wrapped in: a residual
        connection, a "rms" or "layer" norm of its input, the delayed reading.
      predict_depths: predictions at every depth (for deep supervision).
      feedback: y_{t-1} joins the input as "values" or "probabilities"; None: no third loop.
      predict: at "every" step or the "last".
      encoder: "none" (features as they are), "linear", "one_hot", "embedding"; "auto": "none" for
        features, "one_hot" for ids. width: its output width, hidden_size by default.
      mode: over time, as in `unroll`.
      init: options for the cells' `init`, e.g. {"chrono": 1000}.

    Raises: ValueError, TypeError, in one sentence, for what is unknown, out of range or contradictory.
    """
    check_int("hidden_size", hidden_size, 1)
    check_choice("predict", predict, PREDICT)
    check_choice("mode", mode, MODES)
    if feedback is not None:
        check_choice("feedback", feedback, FEEDS)
    body = _body(cell, depth_cell, depth, tie, order, residual_depth, norm_depth, delay_depth, predict_depths)
    readout = Readout(out_size, feedback or "values", predict_depths)
    encode = _encoder(encoder, in_size, vocab, width or hidden_size)
    options = tuple(sorted((init or {}).items()))
    model = Model(encode, body, readout, hidden_size, feedback is not None, predict, mode, options)
    jax.eval_shape(lambda key: model.start(model.init(key)), jax.random.key(0))
    return model


def _body(cell, depth_cell, depth, tie, order, residual_depth, norm_depth, delay_depth, every) -> Cell:
    first = as_cell(cell)
    level = first if depth_cell is None else as_cell(depth_cell)
    if norm_depth is not None:
        level = norm(level, norm_depth)
    if residual_depth:
        level = residual(level)
    if delay_depth:
        level = delay(level)
    levels = deep(level, depth, tie=tie, order=order)
    if every:
        levels = every_depth(levels)
    elif depth == 1:
        levels = level
    return levels if depth_cell is None else chain(first, levels)


def as_cell(cell: str | Cell) -> Cell:
    """A cell by name, by "file.py:name", or as it is. Raises: ValueError, TypeError."""
    cell = lookup("cell", CELLS, cell) if isinstance(cell, str) else cell
    if not isinstance(cell, Cell):
        raise TypeError(f"cell={cell!r}: must be a name in CELLS, 'file.py:name' of a Cell, or a Cell")
    return cell


def _encoder(encoder, in_size, vocab, width):
    check_choice("encoder", encoder, ENCODERS)
    if (in_size is None) == (vocab is None):
        raise ValueError(f"in_size={in_size}, vocab={vocab}: exactly one of the two must be given")
    if encoder == "auto":
        encoder = "none" if vocab is None else "one_hot"
    if (encoder in ("one_hot", "embedding")) == (vocab is None):
        kind = "float features" if vocab is None else "integer ids"
        raise ValueError(f"encoder={encoder!r} does not take {kind}")
    if vocab is not None:
        return OneHot(vocab) if encoder == "one_hot" else Embedding(vocab, width)
    return Identity(in_size) if encoder == "none" else Linear(in_size, width)


def count_params(model: Model) -> int:
    """The number of trained numbers, without making any."""
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def fit_hidden_size(make: Callable[[int], Model], params: int) -> int:
    """The hidden size for which make(hidden_size) comes nearest to `params` parameters.

    For comparisons of cells at equal parameters. Raises: ValueError for params below 1.
    """
    check_int("params", params, 1)
    size = lambda hidden: count_params(make(hidden))
    high = 1
    while size(high) < params:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) < params else (low, middle)
    return high if low == 0 or size(high) - params < params - size(low) else low
