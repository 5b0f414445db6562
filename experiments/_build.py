"""From a checked config to what is trained."""

import contextlib
import dataclasses
import math
import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiments import _code, _contradictions
from experiments._config import asked, complete, running
from experiments._learner import OURS, cells_of, learner_of, own_of
from experiments.errors import BadInput
from r3nn import training
from r3nn._names import lookup
from r3nn.cells import Cell
from r3nn.cells._composition import all_parts
from r3nn.tasks import Task
from r3nn.time import CellError

#: what a Python file holds, by the group of config that names it
KINDS = {
    "task": ("task", Task),
    "model": ("cell", Cell),
    "learner": ("learner", Callable),
    "optimizer": ("optimizer", Callable),
}
SENTENCE = 300  # characters of an error that is not ours


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config, and what it means."""

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
        """What a screen calls it."""
        config = self.config
        if config.learner.name != OURS:
            return os.path.basename(config.learner.name)
        return f"{config.task.name}, T={config.train.length}: {config.model.cell}"

    def start(self) -> training.TrainState:
        """The state before the first update, a pure function of the seed."""
        return start(self.spec, self.hparams)

    def on(self, devices: int) -> "Experiment":
        """The same on so many devices, which its config says then. Raises: BadInput."""
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
            there = _memory()
        else:
            kept, there = kept // self.spec.devices, (device.memory_stats() or {}).get("bytes_limit", kept)
        _check_memory(kept, there, f"a batch of {self.spec.batch:,} rows")

    def placed(self) -> training.TrainState:
        """Shapes and shardings of a state."""
        return training.placed(self.spec, jax.eval_shape(self.start))


def start(spec: training.Spec, hparams: training.HParams) -> training.TrainState:
    """The state before the first update, of the seed in `hparams`."""
    return training.start(spec, hparams, spec.learner.init(training.stream(hparams.seed, training.INIT)))


def vary(experiment: Experiment, config: ConfigDict) -> Experiment:
    """The same architecture under a config that differs in hyperparameters alone. Raises: BadInput."""
    config = complete(config)
    _contradictions.check(config, experiment.spec)
    return dataclasses.replace(experiment, config=config, hparams=_hparams(config, experiment.learner))


def build(config: ConfigDict, devices: int = 1, *, allow_code: bool = False) -> Experiment:
    """Checks a config and builds what it describes. Raises: BadInput, in one sentence.

    devices: of this host, that training is split over; config.devices is what was asked for. allow_code:
    whether the Python files that the config names may be run, as those of a command line may.
    """
    config = complete(config)
    if allow_code:
        _run_files(config)
    try:
        with _code_at_fault(config):
            learner = learner_of(config, allow_code)
            params = jax.eval_shape(learner.init, jax.random.key(0))
        count = _numbers_in(params)
        _check_memory(16 * count, _memory(), f"{count:,} parameters, their gradients and two moments")
        spec = _spec(config, learner, devices, allow_code)
        _contradictions.check(config, spec)
        hparams = _hparams(config, learner)
        with asked(config, "model"), _code_at_fault(config):
            experiment = Experiment(config, spec, hparams, learner.arrays(), count)
            _trace(experiment)
    except BadInput:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInput(_sentence(error, config, allow_code)) from error
    return experiment


def _run_files(config: ConfigDict) -> None:
    """Runs the Python files that a task or a cell comes from. Raises: BadInput for whatever that raises."""
    for field in _code.files(config):
        group, name = field.split(".")
        with running(f"config.{field}", config[group][name]):
            kind, of = KINDS[group]
            lookup(kind, {}, config[group][name], of, allow_code=True)


@contextlib.contextmanager
def _code_at_fault(config: ConfigDict) -> Iterator[None]:
    """Around what calls code of the user: what his file raises is a BadInput."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        ran = {frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)}
        for field, (file, _) in _code.files(config).items():
            group = field.split(".")[0]
            if group == "model" or str(file) not in ran:  # what is wrong in a cell, `unroll` finds
                continue
            what = f"{type(error).__name__}: {' '.join(str(error).split())[:SENTENCE].rstrip('.')}"
            name = config[group].name
            raise BadInput(f"config.{field}={name}: fails ({what}); R3NN_TRACEBACK=1 shows where.") from error
        raise


def _trace(experiment: Experiment) -> None:
    """Follows the shapes and dtypes of an update, and of what the learner's probes say of it.

    Raises: what these would, before anything is made; ValueError for a probe that gives no scalars.
    """
    spec, hparams = experiment.spec, experiment.hparams
    updates = lambda state, arrays: training.updates(spec, hparams, state, spec.sync_every, arrays)
    state = jax.eval_shape(experiment.start)
    jax.eval_shape(updates, state, experiment.arrays)
    if spec.learner.probes:
        probe = lambda state, arrays: training.probe(spec, hparams, state, arrays)
        for name, found in jax.eval_shape(probe, state, experiment.arrays).items():
            if any(leaf.shape for leaf in jax.tree.leaves(found)):
                raise ValueError(f"the learner's probe {name!r} must give a tree of scalars, got {found}")


def _sentence(error: Exception, config: ConfigDict, allow_code: bool) -> str:
    """What went wrong, on one line, with the field where that is a cell of config.model."""
    text = " ".join(str(error).split())
    if isinstance(error, CellError):
        cells = cells_of(config, allow_code).items()
        field = next(name for name, cell in cells if error.cell in all_parts(cell))
        return f"config.model.{field}={config.model[field]}: {text}."
    return f"{text[:SENTENCE]} ..." if len(text) > SENTENCE else f"{text.rstrip('.')}."


def _memory() -> int:
    """Bytes that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _check_memory(needed: int, there: int, what: str) -> None:
    """Raises BadInput where so many bytes, the least that `what` takes, are more than there are."""
    if needed > there:
        raise BadInput(
            f"config: {what} take {needed / 2**30:,.0f} GiB or more, and there are {there / 2**30:,.0f} GiB; "
            "take smaller sizes."
        )


def _numbers_in(tree: Any) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def _spec(config: ConfigDict, learner: training.Learner, devices: int, allow_code: bool) -> training.Spec:
    name = config.optimizer.name
    if name not in training.OPTIMIZERS:
        name = lookup("optimizer", training.OPTIMIZERS, name, Callable, allow_code=allow_code)
    names = [field.name for field in dataclasses.fields(training.Spec)]
    with asked(config, "train", "optimizer", ""):
        return training.Spec(learner=learner, optimizer=name, devices=devices, **_called(names, config))


def _hparams(config: ConfigDict, learner: training.Learner) -> training.HParams:
    scalars = _called(training.HParams._fields, config)
    scalars["clip"] = scalars["clip"] or np.inf
    scalars = {name: np.float32(value) for name, value in scalars.items()}
    return training.HParams(np.uint32(config.seed), **scalars, own=own_of(config, learner))


def _called(names: Iterable[str], config: ConfigDict) -> dict[str, Any]:
    """The fields of training and optimizer that the library calls by the same names."""
    groups = (config.train, config.optimizer)
    return {name: group[name] for group in groups for name in names if name in group}
