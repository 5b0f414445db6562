"""r3nn: nonlinear gated recurrent networks on long sequences, as pure functions in JAX."""

from r3nn.cells import CELLS, Cell
from r3nn.compose import chain, deep, delay, every_depth, feedback, norm, residual
from r3nn.tasks import TASKS
from r3nn.time import unroll

__all__ = [
    "CELLS",
    "TASKS",
    "Cell",
    "chain",
    "deep",
    "delay",
    "every_depth",
    "feedback",
    "norm",
    "residual",
    "unroll",
]
