"""Holds a config together with what is built from it."""

import dataclasses
import math
import os
from typing import Any

import jax
from ml_collections import ConfigDict

from experiments.building.learners import OURS
from experiments.building.memory_limit import check_memory, machine_memory
from experiments.config.fields import asked
from r3nn import training
from r3nn.analysis import live_bytes


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Holds a config, and what it means."""

    config: ConfigDict  # whole and checked
    spec: training.Spec
    hparams: training.HParams
    arrays: Any  # the learner's finite data, on the host; None where it has none
    parameters: int  # their number
    update_bytes: int = 0  # that an update of one device holds at its fullest
    source: Any = None  # parameters to start from, in place of fresh ones

    @property
    def learner(self) -> training.Learner:
        """Returns the learner of the spec: its parameters, data, loss and metrics."""
        return self.spec.learner

    @property
    def title(self) -> str:
        """Names the experiment for a screen: by its task, length and cell, or by the user's file."""
        config = self.config
        if config.learner.name != OURS:
            return os.path.basename(config.learner.name)
        return f"{config.task.name}, T={config.train.length}: {config.model.cell}"

    def start(self) -> training.TrainState:
        """Returns the state before the first update, a pure function of the seed."""
        return start(self.spec, self.hparams)

    def on(self, devices: int) -> "Experiment":
        """Returns the same experiment on so many devices, which its config says then. Raises: BadInput."""
        with asked(self.config, "train", ""):
            spec = dataclasses.replace(self.spec, devices=devices)
        config = self.config.copy_and_resolve_references()
        config.devices = devices
        return dataclasses.replace(self, config=config.lock(), spec=spec)

    def check_memory(self) -> None:
        """Raises BadInput where an update or an evaluation does not fit: a CPU's devices share its memory."""
        device, rows = jax.local_devices()[0], self.config.train.eval_batch
        shared = device.platform == "cpu"
        there = machine_memory() if shared else (device.memory_stats() or {}).get("bytes_limit", math.inf)
        parts = 1 if shared else self.spec.devices
        smaller = "a smaller config.train.{}, config.train.length or model".format
        what = f"the {self.spec.batch:,} rows of an update"
        check_memory(self.update_bytes // parts, there, what, smaller("batch"))
        what = f"the {rows:,} rows of an evaluation"
        check_memory(self.evaluation_bytes(rows) // parts, there, what, smaller("eval_batch"))

    def evaluation_bytes(self, rows: int) -> int:
        """Returns the most bytes that an evaluation of so many rows holds at a time, on one device."""
        alone = dataclasses.replace(self.spec, devices=1, sync_every=1)
        state = jax.eval_shape(lambda: start(alone, self.hparams))
        measure = lambda params, shared, arrays: training.evaluate(
            alone, params, shared, rows, "held_out", arrays
        )
        return live_bytes(measure, state.params, state.carry.shared, self.arrays)

    def placed(self) -> training.TrainState:
        """Returns the shapes and shardings of a state, without its numbers."""
        return training.placed(self.spec, jax.eval_shape(self.start))


def start(spec: training.Spec, hparams: training.HParams) -> training.TrainState:
    """Returns the state before the first update, which is drawn from the seed in `hparams`."""
    return training.start(spec, hparams, spec.learner.init(training.stream(hparams.seed, training.INIT)))
