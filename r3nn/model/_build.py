"""Builds a model from names and sizes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from r3nn import compose
from r3nn._literals import Encoder, Feeds, Mode, Norm, Order, Predict, Tie
from r3nn._lookup import FieldError, about, check_choice, check_int, did_you_mean, evaluate
from r3nn.cells import CELLS, TRANSFORMS, Cell
from r3nn.encoders import FEEDS, Embedding, Identity, Linear, OneHot, Readout
from r3nn.model._init import checked
from r3nn.model._model import Model
from r3nn.model._size import fit_hidden_size
from r3nn.time import MODES, blame
from r3nn.time._pick import check_how

ENCODERS: tuple[Encoder, ...] = get_args(Encoder)
PREDICT: tuple[Predict, ...] = get_args(Predict)
NONE: Mapping[str, Any] = MappingProxyType({})


def build(
    *,
    out_size: int,
    in_size: int | None = None,
    vocab: int | None = None,
    hidden_size: int = 64,
    params: int = 0,
    cell: str | Cell = "ugrnn",
    depth: int = 1,
    depth_cell: str | Cell = "",
    tie: Tie | int = "none",
    order: Order = "auto",
    residual: bool = False,
    norm: Norm | Literal[""] = "",
    delay: bool = False,
    predict_depths: bool = False,
    refine: int = 0,
    slow: int = 0,
    layer_norm: bool = False,
    dropout: float = 0.0,
    dropout_h: float = 0.0,
    dropout_candidate: float = 0.0,
    zoneout_h: float = 0.0,
    zoneout_c: float = 0.0,
    state_noise: float = 0.0,
    feedback: Feeds | Literal[""] = "",
    predict: Predict = "every",
    encoder: Encoder = "auto",
    width: int = 0,
    mode: Mode = "auto",
    chunk: int = 0,
    memory: int = 0,
    compute_dtype: Any = "",
    init: Mapping[str, Any] = NONE,
    allow_code: bool = False,
) -> Model:
    """Builds a model from names and sizes; every combination of options is a composition of cells.

    The options are those of config.model in configs/default.py, by the same names: `build(**sizes,
    **config.model)`. 0 switches a number off, "" leaves a name out, and None is as good as either.

    Args:
      out_size: O, the width of a prediction.
      in_size, vocab: float features [..., in_size], or ids in [0, vocab); one of the two.
      hidden_size: H. params: above 0, H is instead what comes nearest to so many parameters.
      cell: f of (3.2.1): a name in `CELLS`, a call such as "heads(gru, 4)", a cell, or, with allow_code,
        "file.py:name".
      depth: L, the number of levels, at least 1: deep(cell, L).
      depth_cell: g of (3.2.2); given, the body is chain(f, deep(g, L)), the article's R3NN.
      tie, order: as in `deep`, at a depth above 1; a cycle may be written "3" or 3.
      residual, norm, delay: what each level of the depth is wrapped in: a residual connection, a "rms" or
        "layer" norm of its input, the delayed reading.
      predict_depths: predictions at every depth (for deep supervision).
      refine: steps of every cell in each time step. slow: the depth (without depth_cell, all of the body)
        steps every so many time steps alone.
      layer_norm: inside the recurrence of every cell. dropout, dropout_h: rates of `variational_dropout`;
        dropout_candidate: of `recurrent_dropout`; zoneout_h, zoneout_c: of `zoneout`; state_noise: sigma of
        `state_noise`. All cells have them, and they act where `chunk` is given a key.
      feedback: y_{t-1} joins the input as "values" or "probabilities"; "": no third loop.
      predict: at "every" step; at every step, but in training by `Supervised` at those alone whose loss is
        "counted"; or once: at the "last", or of the "mean" of the body's outputs.
      encoder: "none" (features as they are), "linear", "one_hot", "embedding"; "auto": "none" for
        features, "one_hot" for ids. width: of a linear or embedding encoder; 0: the hidden size.
      mode, chunk, memory, compute_dtype: over time, as in `unroll`.
      init: options for the cells' `init`, e.g. {"chrono": 1000}; "dtype": of all parameters. chrono=0 is
        none, for cells that know no such option too.

    Raises: ValueError, TypeError, in one sentence, for what is unknown, out of range, contradictory or
      without effect; a `FieldError` (a ValueError) where one option is at fault.
    """
    check_int("hidden_size", hidden_size, 1)
    check_choice("predict", predict, PREDICT)
    check_choice("mode", mode, MODES)
    rates = (layer_norm, dropout_candidate, dropout, dropout_h, zoneout_h, zoneout_c, state_noise)
    make = lambda cell: _refined(_regularized(cell, *rates), refine)
    with about("cell"):
        first = as_cell(cell, allow_code=allow_code)
    with about("depth_cell"):
        second = as_cell(depth_cell, allow_code=allow_code) if depth_cell else None
    level = _level(make(first if second is None else second), norm, residual, delay)
    levels = _depth(level, depth, tie, order, predict_depths, slow)
    body = levels if second is None else compose.chain(make(first), levels)
    if feedback:
        check_choice("feedback", feedback, FEEDS)
        if predict == "counted":
            why = "under feedback each step's prediction is part of the next input; it must be 'every'."
            raise FieldError("predict", f"predict='counted': {why}")
    readout = Readout(out_size, feedback or "values", predict_depths)
    how = chunk or None, memory or None, jnp.dtype(compute_dtype) if compute_dtype else None
    check_how(body, mode, *how)
    options = checked(init, body)

    def sized(hidden_size: int) -> Model:
        encode = _encoder(encoder, in_size, vocab, width, hidden_size)
        return Model(encode, body, readout, hidden_size, bool(feedback), predict, mode, options, *how)

    model = sized(hidden_size)
    with blame(body, lambda: (model.encoder.width, hidden_size, ()), dict(options)):
        if params:
            model = sized(fit_hidden_size(sized, params))
        jax.eval_shape(lambda key: model.start(model.init(key)), jax.random.key(0))
    return model


def _regularized(cell, layer_norm, candidate, x, h, keep_h, keep_c, sigma) -> Cell:
    """Wraps a cell in those of the given transforms that are asked for, the innermost first."""
    if layer_norm:
        with about("layer_norm"):
            cell = compose.layer_norm(cell)
    if candidate:
        with about("dropout_candidate"):
            cell = compose.recurrent_dropout(cell, candidate)
    if x or h:
        with about("dropout_h" if h else "dropout"):
            cell = compose.variational_dropout(cell, x, h)
    if keep_h or keep_c:
        cell = compose.zoneout(cell, keep_h, keep_c)
    if sigma:
        with about("state_noise"):
            cell = compose.state_noise(cell, sigma)
    return cell


def _refined(cell, steps) -> Cell:
    return compose.refine(cell, steps) if steps else cell


def _level(cell, norm, residual, delay) -> Cell:
    """Wraps the cell as one level of the depth: norm, residual, delay."""
    if norm:
        cell = compose.norm(cell, norm)
    if residual:
        cell = compose.residual(cell)
    return compose.delay(cell) if delay else cell


def _depth(level, depth, tie, order, every, clock) -> Cell:
    """Stacks the level `depth` times. Raises: FieldError for a tie or an order that would do nothing."""
    cycle = int(tie) if isinstance(tie, str) and tie.isascii() and tie.isdecimal() else tie
    levels = compose.deep(level, depth, tie=cycle, order=order)
    for name, value, usual in (("tie", tie, "none"), ("order", order, "auto")):
        if depth == 1 and value != usual:
            what = f"acts over several levels, and depth is 1; it must be {usual!r}."
            raise FieldError(name, f"{name}={value!r}: {what}")
    if isinstance(cycle, int) and cycle >= depth:
        there = f"{depth - 1} of depth {depth}."
        what = f"a cycle is at most as long as the levels above the first, {there}"
        raise FieldError("tie", f"tie={tie!r}: {what}")
    if every:
        levels = compose.every_depth(levels)
    elif depth == 1:
        levels = level
    return compose.slow(levels, clock) if clock else levels


def as_cell(cell: str | Cell, *, allow_code: bool = False) -> Cell:
    """Reads a cell: by name, by a call such as "heads(gru, 4)" or "lem(dt=0.5)", by "file.py:name", or as it
    is.

    allow_code: whether such a file may be run. Raises: ValueError, TypeError.
    """
    if isinstance(cell, str):
        cell = evaluate("cell", CELLS, TRANSFORMS, cell, Cell, allow_code=allow_code)
    if not isinstance(cell, Cell):
        form = "a name in CELLS, a call such as 'heads(gru, 4)', 'file.py:name' of a Cell, or a Cell"
        raise TypeError(f"cell={cell!r}: must be {form}{did_you_mean(cell)}")
    return cell


def _encoder(encoder, in_size, vocab, width, hidden_size):
    check_choice("encoder", encoder, ENCODERS)
    if (in_size is None) == (vocab is None):
        raise ValueError(f"in_size={in_size}, vocab={vocab}: exactly one of the two must be given.")
    if encoder == "auto":
        encoder = "none" if vocab is None else "one_hot"
    if (encoder in ("one_hot", "embedding")) == (vocab is None):
        kind = "float features." if vocab is None else "integer ids."
        raise FieldError("encoder", f"encoder={encoder!r} does not take {kind}")
    if width and encoder not in ("linear", "embedding"):
        raise FieldError(
            "width", f"width={width}: acts with encoder=linear or embedding alone; it must be 0."
        )
    width = width or hidden_size
    if vocab is not None:
        return OneHot(vocab) if encoder == "one_hot" else Embedding(vocab, width)
    return Identity(in_size) if encoder == "none" else Linear(in_size, width)
