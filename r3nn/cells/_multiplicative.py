"""Defines `multiplicative`, by which each input has a recurrent matrix of its own."""

import dataclasses
import functools
from typing import NamedTuple

import jax

from r3nn._serialize import serializable
from r3nn.cells._base import Array
from r3nn.cells._elman import elman
from r3nn.cells._gated import Dense, GatedCell, check_dense, extended
from r3nn.cells._lstm import lstm
from r3nn.cells._ugrnn import ugrnn

MultiplicativeParams = serializable(
    extended(
        "MultiplicativeParams",
        __name__,
        "Adds the two factors of m to `GatedParams`: multiplier W_mh [H, H], input_multiplier W_mx [D, H].",
        multiplier=Array,
        input_multiplier=Array,
    )
)


@dataclasses.dataclass(frozen=True)
class Multiplicative(Dense):
    """Each gate reads m @ w, m = u.multiplier ⊙ (h @ params.multiplier)."""

    kind = "multiplicative"

    def extend(self, params, key, draw_input, draw_recurrent):
        """Adds the two factors W_mx and W_mh to the gates' params."""
        to_h, to_x = jax.random.split(key)
        return MultiplicativeParams(*params, draw_recurrent(to_h), draw_input(to_x))

    def extend_inputs(self, params, x, u):
        """Adds W_mx x to the gates' pre-activations."""
        return with_multiplier(type(u))(*u, x @ params.input_multiplier)

    def source(self, params, h, u):
        """Computes m, [..., H]."""
        return u.multiplier * (h @ params.multiplier)


@functools.cache
def with_multiplier(gates: type) -> type:
    """Returns the gates' NamedTuple class with one more field, `multiplier`."""
    fields = [(name, Array) for name in (*gates._fields, "multiplier")]
    return NamedTuple(f"Multiplied{gates.__name__}", fields)


def multiplicative(cell: GatedCell) -> GatedCell:
    """Returns the cell with h_{t-1} replaced, wherever a gate's weights meet it, by

        m_t = (W_mx x_t) ⊙ (W_mh h_{t-1})

    so that the input chooses the recurrent matrix, U diag(W_mx x_t) W_mh: what word problems of groups ask
    for. m has no bias; what a gate carries on is h, not m.
    Source: Sutskever, Martens & Hinton 2011, "Generating text with recurrent neural networks" (mrnn =
    multiplicative(elman)); Krause, Lu, Murray & Renals 2016, "Multiplicative LSTM for sequence modelling",
    arXiv 1609.07959 (mlstm = multiplicative(lstm), with the LSTM's tanh on the candidate).

    Args:
      cell: a gated cell whose recurrence is "dense".

    Raises: TypeError, ValueError for any other cell.
    """
    return dataclasses.replace(check_dense("multiplicative", cell), reads=Multiplicative())


mrnn = multiplicative(elman)
"""The simple recurrent network, each input with a recurrent matrix of its own."""
mlstm = multiplicative(lstm)
"""The LSTM, each input with a recurrent matrix of its own."""
mugrnn = multiplicative(ugrnn)
"""The update-gate RNN, each input with a recurrent matrix of its own."""
