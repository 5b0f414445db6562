"""How the gates of a cell read the hidden state: `Cell.recurrence`, with the weights that go with it."""

import dataclasses
from typing import ClassVar

from r3nn import initializers
from r3nn._ranks import along
from r3nn._value import Value


@dataclasses.dataclass(frozen=True)
class Dense(Value):
    """Each gate reads h @ w, w [H, H]."""

    kind: ClassVar[str] = "dense"
    #: how a gate's weights start, unless the cell or the caller says otherwise
    default = staticmethod(initializers.orthogonal)

    def draw(self, init, key, size: int, dtype):
        """One gate's weights, by an initializer of shape [H, H]."""
        return init(key, (size, size), dtype)

    def extend(self, params, key, draw_input, draw_recurrent):
        """The params of the whole cell, from those of its gates."""
        return params

    def extend_inputs(self, params, x, u):
        """What the step takes from x, from what its gates take."""
        return u

    def source(self, params, h, u):
        """What stands for h [..., H] in the products."""
        return h

    def product(self, h, w):
        """What one gate reads, [..., H]."""
        return h @ w


@dataclasses.dataclass(frozen=True)
class Diagonal(Dense):
    """Each gate reads w ⊙ h, w [H]: a unit sees itself alone."""

    kind = "diagonal"
    default = staticmethod(initializers.diagonal_normal)

    def draw(self, init, key, size, dtype):
        """One gate's weights, by an initializer of shape [H]."""
        return init(key, (size,), dtype)

    def product(self, h, w):
        """What one gate reads, [..., H]."""
        return along(w, h) * h


@dataclasses.dataclass(frozen=True)
class Unread(Dense):
    """No gate reads h."""

    kind = "none"


def check_dense(name: str, cell):
    """The cell, if its gates read a dense product of h. Raises: TypeError, ValueError otherwise."""
    if not hasattr(cell, "reads"):
        raise TypeError(f"{name}: {cell!r} is no GatedCell: take one such as r3nn.CELLS['gru']")
    if cell.recurrence != "dense":
        raise ValueError(f"{name}: {cell!r} has recurrence {cell.recurrence!r}: must be 'dense'")
    return cell
