"""Cells: what one step of a recurrence computes. Each file has the cells of one paper.

`CELLS` is the registry: a cell with a row in it has every mode and the Flax modules, and is tried by the
whole contract suite. `TRANSFORMS` are functions cell -> cell that change how a cell reads its state.
"""

from collections.abc import Callable

from r3nn.cells._activations import ACTIVATIONS
from r3nn.cells._antisymmetric import antisymmetric
from r3nn.cells._base import Cell, along, plus
from r3nn.cells._brc import brc, nbrc
from r3nn.cells._cornn import CoRNNState, cornn
from r3nn.cells._deltanet import deltanet, gated_deltanet
from r3nn.cells._elman import elman
from r3nn.cells._gated import GatedCell, GatedParams, extended
from r3nn.cells._gru import gru, gru_reset_before
from r3nn.cells._heads import heads
from r3nn.cells._indrnn import indrnn
from r3nn.cells._janet import janet
from r3nn.cells._lem import LEMState, lem
from r3nn.cells._lrc import lrc
from r3nn.cells._lru import lru
from r3nn.cells._lstm import LSTMState, lstm
from r3nn.cells._m2rnn import m2rnn
from r3nn.cells._mgu import mgu, mgu_reset_after
from r3nn.cells._min_rnn import mingru, minlstm
from r3nn.cells._multiplicative import mlstm, mrnn, mugrnn, multiplicative
from r3nn.cells._para_rnn import diagonal_gru, diagonal_lstm
from r3nn.cells._pd_ssm import pd_ssm
from r3nn.cells._rglru import rglru
from r3nn.cells._scornn import scornn
from r3nn.cells._slstm import SLSTMState, slstm
from r3nn.cells._star import star
from r3nn.cells._ugrnn import ugrnn
from r3nn.cells._unicornn import unicornn

CELLS: dict[str, Cell] = {
    "elman": elman,
    "ugrnn": ugrnn,
    "mgu": mgu,
    "mgu_reset_after": mgu_reset_after,
    "gru": gru,
    "gru_reset_before": gru_reset_before,
    "lstm": lstm,
    "janet": janet,
    "star": star,
    "nbrc": nbrc,
    "slstm": slstm,
    "lem": lem,
    "cornn": cornn,
    "scornn": scornn,
    "antisymmetric": antisymmetric,
    "m2rnn": m2rnn,
    "deltanet": deltanet,
    "gated_deltanet": gated_deltanet,
    "pd_ssm": pd_ssm,
    "mrnn": mrnn,
    "mugrnn": mugrnn,
    "mlstm": mlstm,
    "indrnn": indrnn,
    "brc": brc,
    "unicornn": unicornn,
    "diagonal_gru": diagonal_gru,
    "diagonal_lstm": diagonal_lstm,
    "lrc": lrc,
    "mingru": mingru,
    "minlstm": minlstm,
    "lru": lru,
    "rglru": rglru,
}

TRANSFORMS: dict[str, Callable] = {"heads": heads, "multiplicative": multiplicative}

__all__ = [
    "ACTIVATIONS",
    "CELLS",
    "TRANSFORMS",
    "Cell",
    "CoRNNState",
    "GatedCell",
    "GatedParams",
    "LEMState",
    "LSTMState",
    "SLSTMState",
    "along",
    "extended",
    "plus",
    *TRANSFORMS,
    *CELLS,
]
