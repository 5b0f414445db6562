"""Runs a cell over T steps of time, by one entry point, `unroll`; there are one backward pass and several
solvers."""

from r3nn.time._facts import check_facts
from r3nn.time._newton_info import newton
from r3nn.time._noise import Keyed, Noise, bare, bernoulli, fold, part, put
from r3nn.time._part_adjoints import PartAdjoint, adjoint
from r3nn.time._pick import MODES, Pick
from r3nn.time._probe import CellError, blame
from r3nn.time._unroll import explain, unroll
from r3nn.time.arrays.flags import zero_masked
from r3nn.time.arrays.trees import match_varying_axes
from r3nn.time.parallel.linear import Linear
from r3nn.time.parallel.linear_scan import linear_scan
from r3nn.time.parallel.newton import Newton, NewtonInfo

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
    "bare",
    "bernoulli",
    "blame",
    "check_facts",
    "explain",
    "fold",
    "linear_scan",
    "match_varying_axes",
    "newton",
    "part",
    "put",
    "unroll",
    "zero_masked",
]
