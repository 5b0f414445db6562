"""Cells: what one step of a recurrence computes. One paper, one file.

`CELLS` is the registry: a row buys every mode, the Flax modules and the whole contract suite.
"""

from r3nn.cells._base import Cell, GatedCell, GatedParams
from r3nn.cells._elman import elman
from r3nn.cells._gru import gru, gru_reset_before
from r3nn.cells._lstm import LSTMState, lstm
from r3nn.cells._mgu import mgu, mgu_reset_after
from r3nn.cells._ugrnn import ugrnn

CELLS: dict[str, Cell] = {
    "elman": elman,
    "ugrnn": ugrnn,
    "mgu": mgu,
    "mgu_reset_after": mgu_reset_after,
    "gru": gru,
    "gru_reset_before": gru_reset_before,
    "lstm": lstm,
}

__all__ = ["CELLS", "Cell", "GatedCell", "GatedParams", "LSTMState", *CELLS]
