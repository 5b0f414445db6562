"""Trains by pure functions: what is trained, one update, many updates in one call, evaluation.

A `Learner` says what is trained: parameters, data, loss, metrics (`Supervised`: a model on a task). A `Spec`
is all that is static about a run, and hashable; what can be swept stands in `HParams`, a tree of traced
scalars, so that trials of one architecture can run side by side in one program. `Spec.devices` splits the
rows over devices, of this host or of several processes: the same numbers on any count of them.
"""

from r3nn.training._evaluate import evaluate
from r3nn.training._gradients import Finite, kept
from r3nn.training._keys import HELD_OUT, INIT, LENGTHS, NOISE, TEST, TRAIN, row_keys, shuffled, stream
from r3nn.training._members import member_evaluate, member_probe, member_sharding, member_updates
from r3nn.training._optimizer import optimizer, schedule
from r3nn.training._spec import OPTIMIZERS, SCHEDULES, HParams, Spec
from r3nn.training._state import Local, TrainState, placed, start
from r3nn.training._update import diagnose, probe, update, updates
from r3nn.training.curriculum import Curriculum, Progress
from r3nn.training.learner import Carry, Last, Learner, Split, Streamed
from r3nn.training.supervised import Own, Piece, Position, Supervised, Trainable, last_step

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
    "Curriculum",
    "Finite",
    "HParams",
    "Last",
    "Learner",
    "Local",
    "Own",
    "Piece",
    "Position",
    "Progress",
    "Spec",
    "Split",
    "Streamed",
    "Supervised",
    "TrainState",
    "Trainable",
    "diagnose",
    "evaluate",
    "kept",
    "last_step",
    "member_evaluate",
    "member_probe",
    "member_sharding",
    "member_updates",
    "optimizer",
    "placed",
    "probe",
    "row_keys",
    "schedule",
    "shuffled",
    "start",
    "stream",
    "update",
    "updates",
]
