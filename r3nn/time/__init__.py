"""Time: how a cell runs over T steps. One entry point, `unroll`; one backward pass; several solvers."""

from r3nn.time._flags import blank
from r3nn.time._linear import Linear
from r3nn.time._linear_scan import linear_scan
from r3nn.time._newton import Newton, NewtonInfo
from r3nn.time._newton_info import newton
from r3nn.time._noise import Keyed, Noise
from r3nn.time._part_adjoints import PartAdjoint, adjoint
from r3nn.time._pick import MODES, Pick
from r3nn.time._probe import CellError, blame
from r3nn.time._trees import vary_alike
from r3nn.time._unroll import explain, unroll

__all__ = [
    "MODES",
    "CellError",
    "Keyed",
    "Linear",
    "Newton",
    "NewtonInfo",
    "Noise",
    "PartAdjoint",
    "Pick",
    "adjoint",
    "blame",
    "blank",
    "explain",
    "linear_scan",
    "newton",
    "unroll",
    "vary_alike",
]
