"""A config, and what it means."""

import dataclasses
import os
from typing import Any

import jax
from ml_collections import ConfigDict

from experiments.building.learners import OURS
from experiments.building.memory import check_memory, machine_memory
from experiments.config.fields import asked
from r3nn import training


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Holds a config, and what it means."""

    config: ConfigDict  # whole and checked
    spec: training.Spec
    hparams: training.HParams
    arrays: Any  # the learner's finite data, on the host; None where it has none
    parameters: int  # their number
    source: Any = None  # parameters to start from, in place of fresh ones

    @property
    def learner(self) -> training.Learner:
        """The learner of the spec: its parameters, data, loss and metrics."""
        return self.spec.learner

    @property
    def title(self) -> str:
        """Names the experiment for a screen."""
        config = self.config
        if config.learner.name != OURS:
            return os.path.basename(config.learner.name)
        return f"{config.task.name}, T={config.train.length}: {config.model.cell}"

    def start(self) -> training.TrainState:
        """The state before the first update, a pure function of the seed."""
        return start(self.spec, self.hparams)

    def on(self, devices: int) -> "Experiment":
        """Returns the same experiment on so many devices, which its config says then. Raises: BadInput."""
        with asked(self.config, "train", ""):
            spec = dataclasses.replace(self.spec, devices=devices)
        config = self.config.copy_and_resolve_references()
        config.devices = devices
        return dataclasses.replace(self, config=config.lock(), spec=spec)

    def check_memory(self) -> None:
        """Raises BadInput where the batch of an update does not fit: of a CPU all devices share a memory."""
        device, state = jax.local_devices()[0], jax.eval_shape(self.start)
        kept = training.kept(self.spec, self.hparams, state, self.arrays)
        if device.platform == "cpu":
            there = machine_memory()
        else:
            kept, there = kept // self.spec.devices, (device.memory_stats() or {}).get("bytes_limit", kept)
        check_memory(kept, there, f"a batch of {self.spec.batch:,} rows")

    def placed(self) -> training.TrainState:
        """Shapes and shardings of a state."""
        return training.placed(self.spec, jax.eval_shape(self.start))


def start(spec: training.Spec, hparams: training.HParams) -> training.TrainState:
    """The state before the first update, of the seed in `hparams`."""
    return training.start(spec, hparams, spec.learner.init(training.stream(hparams.seed, training.INIT)))
