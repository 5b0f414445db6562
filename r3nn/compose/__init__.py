"""Makes cells of cells. What a composition returns is a cell again: it nests, and every mode applies to
it."""

from r3nn.cells._composition import Composition, prepare_part, run_part
from r3nn.compose._chain import Chain, chain
from r3nn.compose._deep import Deep, DeepParams, deep
from r3nn.compose._delay import delay
from r3nn.compose._every_depth import every_depth
from r3nn.compose._feedback import Feedback, FeedbackParams, FeedbackState, feedback
from r3nn.compose._layer_norm import LayerNormParams, layer_norm
from r3nn.compose._noisy import Noisy
from r3nn.compose._norm import norm
from r3nn.compose._output import WithOutputParams, with_output
from r3nn.compose._recurrent_dropout import recurrent_dropout
from r3nn.compose._refine import refine
from r3nn.compose._residual import residual
from r3nn.compose._slow import SlowState, slow
from r3nn.compose._state_noise import state_noise
from r3nn.compose._states import with_states
from r3nn.compose._variational_dropout import variational_dropout
from r3nn.compose._wrapper import Wrapper
from r3nn.compose._zoneout import zoneout

__all__ = [
    "Chain",
    "Composition",
    "Deep",
    "DeepParams",
    "Feedback",
    "FeedbackParams",
    "FeedbackState",
    "LayerNormParams",
    "Noisy",
    "SlowState",
    "WithOutputParams",
    "Wrapper",
    "chain",
    "deep",
    "delay",
    "every_depth",
    "feedback",
    "layer_norm",
    "norm",
    "recurrent_dropout",
    "refine",
    "residual",
    "prepare_part",
    "run_part",
    "slow",
    "state_noise",
    "variational_dropout",
    "with_output",
    "with_states",
    "zoneout",
]
