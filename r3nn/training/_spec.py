"""What a training run is: the static half, and the numbers that can be swept."""

import dataclasses
from typing import Any, NamedTuple, Protocol

import jax.numpy as jnp

from r3nn._names import check_choice, check_int, unknown
from r3nn._value import Value
from r3nn.tasks import Task
from r3nn.training._optimizer import OPTIMIZERS, SCHEDULES


class Trainable(Protocol):
    """What is trained: `r3nn.model.Model`, or a Flax module behind `r3nn.nnx.Functional`.

    Where it has a true attribute `noisy`, training also passes key=, a `Noise` of keys [B].
    """

    def start(self, params, batch_shape: tuple[int, ...]):
        """The carry before the first step."""

    def chunk(self, params, carry, xs, mask=None, reset=None):
        """(carry, predictions [T, B, O])."""

    def chunk_depths(self, params, carry, xs, mask=None, reset=None, targets=None):
        """(carry, predictions at every depth [T, L, B, O])."""


class HParams(NamedTuple):
    """Traced scalars: float32, the seed uint32."""

    seed: Any = 0
    learning_rate: Any = 1e-3  # at the schedule's peak
    weight_decay: Any = 0.0
    clip: Any = jnp.inf  # global norm that gradients are scaled down to; inf: never
    b1: Any = 0.9  # first decay rate (adam family), or momentum (sgd, rmsprop)
    b2: Any = 0.999  # second decay rate
    depth_weight: Any = 1.0  # of each shallower depth's loss, where the deepest's weighs 1
    outer_lr: Any = 1.0  # of the step to the average of local updates; 1: onto it
    outer_momentum: Any = 0.0  # of these steps, Nesterov's


@dataclasses.dataclass(frozen=True)
class Spec(Value):
    """All that is static about a training run.

    model: what is trained. task: what on. batch: sequences per update. min_length, max_length: the lengths,
    in steps, drawn uniformly per sequence. optimizer, schedule: by name; the schedule rises over `warmup`
    updates and falls to `end_fraction` of the peak at `updates`. predict_last: predictions come for the last
    step alone. teacher_forcing: true outputs feed back in training. tbptt: steps per update of truncated
    backpropagation; 0: whole sequences. devices: an equal share of the batch on each. sync_every: above 1,
    each device makes so many updates of its own before their parameters are averaged.
    """

    model: Trainable
    task: Task
    batch: int
    max_length: int
    updates: int
    min_length: int | None = None
    optimizer: str = "adam"
    schedule: str = "constant"
    warmup: int = 0
    end_fraction: float = 0.0
    predict_last: bool = False
    teacher_forcing: bool = False
    tbptt: int = 0
    devices: int = 1
    sync_every: int = 1

    def __post_init__(self):
        check_int("batch", self.batch, 1)
        check_int("updates", self.updates, 1)
        check_int("warmup", self.warmup, 0, self.updates)
        check_int("length", self.max_length, self.task.min_length)
        check_int("min_length", self.shortest, self.task.min_length, self.max_length)
        check_int("tbptt", self.tbptt, 0)
        check_int("devices", self.devices, 1)
        check_int("sync_every", self.sync_every, 1)
        if self.updates % self.sync_every:
            raise ValueError(f"updates={self.updates}: must be a multiple of sync_every={self.sync_every}.")
        if self.batch % self.devices:
            raise ValueError(f"devices={self.devices}: must divide the batch, {self.batch} sequences.")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(unknown("optimizer", self.optimizer, OPTIMIZERS))
        check_choice("schedule", self.schedule, SCHEDULES)

    @property
    def shortest(self) -> int:
        """The least length that is drawn."""
        return self.max_length if self.min_length is None else self.min_length

    @property
    def piece(self) -> int:
        """Steps of one update at most: those of a piece of truncated backpropagation, or of a sequence."""
        return min(self.tbptt or self.max_length, self.max_length)

    @property
    def padded(self) -> bool:
        """Whether a row of an update may have steps that do not exist."""
        return self.shortest < self.max_length or self.max_length % self.piece > 0
