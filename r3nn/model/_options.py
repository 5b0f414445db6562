"""Types the keywords of `build`, for constructors that hand them on."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from r3nn._literals import Encoder, Feeds, Mode, Norm, Order, Predict, Tie
from r3nn.cells import Cell


class SizedOptions(TypedDict, total=False):
    """Lists the keywords of `build` but for its `params`, a number, where that name means the arrays."""

    out_size: int
    in_size: int | None
    vocab: int | None
    hidden_size: int
    cell: str | Cell
    depth: int
    depth_cell: str | Cell
    tie: Tie | int
    order: Order
    residual: bool
    norm: Norm | Literal[""]
    delay: bool
    predict_depths: bool
    refine: int
    slow: int
    layer_norm: bool
    dropout: float
    dropout_h: float
    dropout_candidate: float
    zoneout_h: float
    zoneout_c: float
    state_noise: float
    feedback: Feeds | Literal[""]
    predict: Predict
    encoder: Encoder
    width: int
    mode: Mode
    chunk: int
    memory: int
    compute_dtype: Any
    init: Mapping[str, Any]
    allow_code: bool


class BuildOptions(SizedOptions, total=False):
    """Lists all keywords of `build`."""

    params: int
