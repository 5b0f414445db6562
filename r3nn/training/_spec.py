"""Says what a training run is: the static half, and the numbers that can be swept."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from r3nn._lookup import FieldError, check_choice, check_int, unknown
from r3nn._value import Value
from r3nn.training.learner import Learner

SCHEDULES = ("constant", "cosine", "linear")

#: optimizer by name: (learning-rate schedule, hparams) -> optax transformation
OPTIMIZERS = {
    "adam": lambda rate, h: optax.adam(rate, b1=h.b1, b2=h.b2),
    "adamw": lambda rate, h: optax.adamw(rate, b1=h.b1, b2=h.b2, weight_decay=h.weight_decay),
    "nadam": lambda rate, h: optax.nadam(rate, b1=h.b1, b2=h.b2),
    "amsgrad": lambda rate, h: optax.amsgrad(rate, b1=h.b1, b2=h.b2),
    "sgd": lambda rate, h: optax.sgd(rate, momentum=h.b1),
    "rmsprop": lambda rate, h: optax.rmsprop(rate, decay=h.b2, momentum=h.b1),
    "lion": lambda rate, h: optax.lion(rate, b1=h.b1, b2=h.b2, weight_decay=h.weight_decay),
    "lamb": lambda rate, h: optax.lamb(rate, b1=h.b1, b2=h.b2, weight_decay=h.weight_decay),
}


class HParams(NamedTuple):
    """Holds traced scalars: float32, the seed uint32."""

    seed: Any = 0
    lr: Any = 1e-3  # learning rate, at the schedule's peak
    weight_decay: Any = 0.0
    clip: Any = jnp.inf  # global norm that gradients are scaled down to; inf: never
    b1: Any = 0.9  # first decay rate (adam family), or momentum (sgd, rmsprop)
    b2: Any = 0.999  # second decay rate
    outer_lr: Any = 1.0  # of the step to the average of local updates; 1: onto it
    outer_momentum: Any = 0.0  # of these steps, Nesterov's
    own: Any = ()  # those of the learner, as `Learner.own` names them


@dataclasses.dataclass(frozen=True)
class Spec(Value):
    """Holds all that is static about a training run.

    learner: what is trained. batch: rows per update. updates: how many at most. optimizer: by name, or a
    function (rate, hparams) -> optax transformation. schedule: by name; it rises over `warmup` updates and
    falls to `end_fraction` of the peak at `updates`. devices: an equal share of the rows on each. sync_every:
    above 1, each device makes so many updates of its own before their parameters are averaged. accumulate:
    parts that a device takes its rows in, one after another: the memory of one part, the numbers of all.
    """

    learner: Learner
    batch: int
    updates: int
    optimizer: str | Callable = "adam"
    schedule: str = "constant"
    warmup: int = 0
    end_fraction: float = 0.0
    devices: int = 1
    sync_every: int = 1
    accumulate: int = 1

    def __post_init__(self):
        check_int("batch", self.batch, 1)
        check_int("updates", self.updates, 1)
        check_int("warmup", self.warmup, 0, self.updates)
        check_int("devices", self.devices, 1)
        check_int("sync_every", self.sync_every, 1)
        check_int("accumulate", self.accumulate, 1)
        if self.sync_every > 1 and not self.learner.local_updates:
            why = f"must be 1 for a {type(self.learner).__name__}, whose updates are of all devices together."
            raise FieldError("sync_every", f"sync_every={self.sync_every}: {why}")
        if self.updates % self.sync_every:
            multiple = f"must be a multiple of sync_every={self.sync_every}."
            raise FieldError("updates", f"updates={self.updates}: {multiple}")
        if self.batch % self.devices:
            rows = f"must divide the batch, {self.batch} sequences."
            raise FieldError("devices", f"devices={self.devices}: {rows}")
        if self.batch // self.devices % self.accumulate:
            share = self.batch // self.devices
            what = f"accumulate={self.accumulate}: must divide the {share} rows of each device."
            raise FieldError("accumulate", what)
        if isinstance(self.optimizer, str) and self.optimizer not in OPTIMIZERS:
            raise FieldError("optimizer", unknown("optimizer", self.optimizer, OPTIMIZERS))
        check_choice("schedule", self.schedule, SCHEDULES)

    def hparams(self, **scalars) -> HParams:
        """Makes `HParams` with the learner's own defaults."""
        return HParams(own=self.learner.own)._replace(**scalars)
