"""Training as pure functions: data from (seed, step), one update, many updates in one call, evaluation.

What is static stands in a `Spec`, which is hashable; what can be swept stands in `HParams`, a tree of traced
scalars, so that trials of one architecture can run side by side in one program. `Spec.devices` splits the
batch over devices, of this host or of several processes: the same numbers on any count of them.
"""

from r3nn.training._data import (
    HELD_OUT,
    INIT,
    LENGTHS,
    NOISE,
    TEST,
    TRAIN,
    Position,
    batch_at,
    last_step,
    piece_at,
    stream,
)
from r3nn.training._evaluate import Stream, evaluate, evaluate_chunk, start_stream
from r3nn.training._forward import loss, predictions
from r3nn.training._gradients import Finite, gradients
from r3nn.training._members import member_evaluate, member_sharding, member_updates
from r3nn.training._optimizer import OPTIMIZERS, SCHEDULES, optimizer, schedule
from r3nn.training._spec import HParams, Spec, Trainable
from r3nn.training._state import Carry, Local, TrainState, placed, start
from r3nn.training._update import diagnose, update, updates

__all__ = [
    "HELD_OUT",
    "INIT",
    "LENGTHS",
    "NOISE",
    "OPTIMIZERS",
    "SCHEDULES",
    "TEST",
    "TRAIN",
    "Carry",
    "Finite",
    "HParams",
    "Local",
    "Position",
    "Spec",
    "Stream",
    "TrainState",
    "Trainable",
    "batch_at",
    "diagnose",
    "evaluate",
    "evaluate_chunk",
    "gradients",
    "last_step",
    "loss",
    "member_evaluate",
    "member_sharding",
    "member_updates",
    "optimizer",
    "piece_at",
    "placed",
    "predictions",
    "schedule",
    "start",
    "start_stream",
    "stream",
    "update",
    "updates",
]
