"""Time: how a cell runs over T steps. One entry point, `unroll`; one backward pass; several solvers."""

from r3nn.time._flags import blank
from r3nn.time._trees import vary_alike
from r3nn.time._unroll import MODES, unroll

__all__ = ["MODES", "blank", "unroll", "vary_alike"]
