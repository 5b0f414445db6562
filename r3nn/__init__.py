"""r3nn runs nonlinear gated recurrent networks on long sequences, as pure functions in JAX."""

from r3nn.cells import CELLS, Cell, heads, multiplicative
from r3nn.compose import (
    chain,
    deep,
    delay,
    every_depth,
    feedback,
    layer_norm,
    norm,
    recurrent_dropout,
    refine,
    residual,
    slow,
    state_noise,
    variational_dropout,
    with_output,
    with_states,
    zoneout,
)
from r3nn.tasks import TASKS
from r3nn.time import Noise, linear_scan, unroll

__version__ = "0.1.0"

__all__ = [
    "CELLS",
    "TASKS",
    "Cell",
    "Noise",
    "__version__",
    "chain",
    "deep",
    "delay",
    "every_depth",
    "feedback",
    "heads",
    "layer_norm",
    "linear_scan",
    "multiplicative",
    "norm",
    "recurrent_dropout",
    "refine",
    "residual",
    "slow",
    "state_noise",
    "unroll",
    "variational_dropout",
    "with_output",
    "with_states",
    "zoneout",
]
