"""A model from names and sizes."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from r3nn._names import check_choice, check_int, did_you_mean, evaluate
from r3nn.cells import CELLS, TRANSFORMS, Cell
from r3nn.compose import (
    chain,
    deep,
    delay,
    every_depth,
    layer_norm,
    norm,
    recurrent_dropout,
    refine,
    residual,
    slow,
    variational_dropout,
    zoneout,
)
from r3nn.encoders import FEEDS, Embedding, Identity, Linear, OneHot, Readout
from r3nn.model._model import Model
from r3nn.time import MODES, blame

ENCODERS = ("auto", "none", "linear", "one_hot", "embedding")
PREDICT = ("every", "last", "mean")


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
    refine: int | None = None,
    slow: int | None = None,
    layer_norm: bool = False,
    dropout: float = 0.0,
    dropout_h: float = 0.0,
    dropout_candidate: float = 0.0,
    zoneout_h: float = 0.0,
    zoneout_c: float = 0.0,
    feedback: str | None = None,
    predict: str = "every",
    encoder: str = "auto",
    width: int | None = None,
    mode: str = "auto",
    chunk: int | None = None,
    memory: int | None = None,
    compute_dtype=None,
    init: Mapping[str, Any] | None = None,
) -> Model:
    """A model from names and sizes; every combination is a composition of cells.

    Args:
      out_size: O, the width of a prediction.
      in_size, vocab: float features [..., in_size], or ids in [0, vocab); one of the two.
      hidden_size: H.
      cell: f of (3.2.1): a name in `CELLS`, a call such as "heads(gru, 4)", or a cell (`as_cell` takes
        one from a file).
      depth: L, the number of levels, at least 1: deep(cell, L).
      depth_cell: g of (3.2.2); given, the body is chain(f, deep(g, L)), the article's R3NN.
      tie, order: as in `deep`.
      residual_depth, norm_depth, delay_depth: what each level of the depth is wrapped in: a residual
        connection, a "rms" or "layer" norm of its input, the delayed reading.
      predict_depths: predictions at every depth (for deep supervision).
      refine: sweeps of every cell in each time step. slow: the depth (without depth_cell, all of the body)
        steps every so many time steps alone.
      layer_norm: inside the recurrence of every cell. dropout, dropout_h: rates of `variational_dropout`;
        dropout_candidate: of `recurrent_dropout`; zoneout_h, zoneout_c: of `zoneout`. All cells have them,
        and they act where `chunk` is given a key.
      feedback: y_{t-1} joins the input as "values" or "probabilities"; None: no third loop.
      predict: at "every" step; or once: at the "last", or of the "mean" of the body's outputs.
      encoder: "none" (features as they are), "linear", "one_hot", "embedding"; "auto": "none" for
        features, "one_hot" for ids. width: its output width, hidden_size by default.
      mode, chunk, memory, compute_dtype: over time, as in `unroll`.
      init: options for the cells' `init`, e.g. {"chrono": 1000}; "dtype": of all parameters.

    Raises: ValueError, TypeError, in one sentence, for what is unknown, out of range or contradictory.
    """
    check_int("hidden_size", hidden_size, 1)
    check_choice("predict", predict, PREDICT)
    check_choice("mode", mode, MODES)
    if feedback is not None:
        check_choice("feedback", feedback, FEEDS)
    rates = (layer_norm, dropout_candidate, dropout, dropout_h, zoneout_h, zoneout_c)
    make = lambda cell: _refined(_regularized(as_cell(cell), *rates), refine)
    first = make(cell)
    level = _level(first if depth_cell is None else make(depth_cell), norm_depth, residual_depth, delay_depth)
    levels = _depth(level, depth, tie, order, predict_depths, slow)
    body = levels if depth_cell is None else chain(first, levels)
    readout = Readout(out_size, feedback or "values", predict_depths)
    encode = _encoder(encoder, in_size, vocab, width or hidden_size)
    init = dict(init or {})
    if "dtype" in init:
        init["dtype"] = _floating(init["dtype"])
    options = tuple(sorted(init.items()))
    how = {"block": chunk, "memory": memory}
    how["compute_dtype"] = None if compute_dtype is None else jnp.dtype(compute_dtype)
    model = Model(encode, body, readout, hidden_size, feedback is not None, predict, mode, options, **how)
    with blame(body, lambda: (encode.width, hidden_size, ()), init):
        jax.eval_shape(lambda key: model.start(model.init(key)), jax.random.key(0))
    return model


def _floating(dtype):
    """Of parameters. Raises: TypeError for what is no dtype, ValueError for one that is not floating."""
    dtype = jnp.dtype(dtype)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"init dtype={dtype}: must be a floating dtype, such as float32 or bfloat16")
    return dtype


def _regularized(cell, normal: bool, candidate, x, h, keep_h, keep_c) -> Cell:
    """The transforms of one cell, the innermost first."""
    if normal:
        cell = layer_norm(cell)
    if candidate:
        cell = recurrent_dropout(cell, candidate)
    if x or h:
        cell = variational_dropout(cell, x, h)
    return zoneout(cell, keep_h, keep_c) if keep_h or keep_c else cell


def _refined(cell, sweeps) -> Cell:
    return cell if sweeps is None else refine(cell, sweeps)


def _level(cell, norm_kind, residual_depth, delay_depth) -> Cell:
    """One level of the depth."""
    if norm_kind is not None:
        cell = norm(cell, norm_kind)
    if residual_depth:
        cell = residual(cell)
    return delay(cell) if delay_depth else cell


def _depth(level, depth, tie, order, every, clock) -> Cell:
    """All levels."""
    levels = deep(level, depth, tie=tie, order=order)
    if every:
        levels = every_depth(levels)
    elif depth == 1:
        levels = level
    return levels if clock is None else slow(levels, clock)


def as_cell(cell: str | Cell, *, allow_code: bool = False) -> Cell:
    """A cell by name, by a call such as "heads(gru, 4)" or "lem(dt=0.5)", by "file.py:name", or as it is.

    allow_code: whether such a file may be run. Raises: ValueError, TypeError.
    """
    if isinstance(cell, str):
        cell = evaluate("cell", CELLS, TRANSFORMS, cell, Cell, allow_code=allow_code)
    if not isinstance(cell, Cell):
        form = "a name in CELLS, a call such as 'heads(gru, 4)', 'file.py:name' of a Cell, or a Cell"
        raise TypeError(f"cell={cell!r}: must be {form}{did_you_mean(cell)}")
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
