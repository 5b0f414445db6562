"""From configs and folders to trained models and their results: one run, or many side by side."""

import json
from collections.abc import Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from configs.default import FIELDS
from experiments import _code, _devices, _jax, _processes, _result
from experiments._build import Experiment, build, vary
from experiments._config import complete, fields
from experiments._engines import Alone, SideBySide
from experiments._learner import own_names
from experiments._load import sourced
from experiments._loop import Ended, Loop, Member, Outcome
from experiments._session import Watch
from experiments._signals import Signals
from experiments._workdir import Workdir
from experiments.errors import BadInput, Ending
from r3nn import training


def run(config: ConfigDict, workdir: str, command: str = "", watch: Watch | None = None) -> dict[str, Any]:
    """Trains what a config describes, or goes on where an earlier call stopped -> the content of result.json.

    command: what repeats the run, for the result. watch: may raise an `Ending`, such as Pruned: the run then
    saves and ends with it. Raises: the `Ending`s of experiments.errors.
    """
    with Signals() as signals:
        config, place = complete(config), Workdir(workdir)
        _jax.configure(config, cache=False)
        _jax.check_cache(config)
        _devices.make_all(config.devices)
        _processes.connect()
        experiment = build(config, allow_code=True)
        devices = _devices.choose(config, experiment.learner.width, _processes.tell(place.devices))
        experiment = sourced(experiment.on(devices), place)
        experiment.check_memory()
        loop = Loop([Member(config, workdir, command, watch)], [experiment], Alone)
        outcome = loop.train(_processes.Agreed(signals))[0]
    if isinstance(outcome, Ending):
        raise outcome
    _processes.say(_result.summary(outcome, place, code=bool(_code.files(config))))
    return outcome


def run_members(members: Sequence[Member], ended: Ended | None = None) -> list[Outcome]:
    """Trains members side by side, or goes on where earlier calls (or `run`) stopped -> an outcome of each.

    Each has its own folder, lock, log, checkpoints and result, as `run` leaves them on one device; its
    seconds of training are its share of those that all took. One whose result stands already is left alone.
    One that ends early (NotFinite, Pruned, BadInput for a folder that cannot be used) is saved and frozen:
    its `Ending` is its outcome, and the others go on. config.profile is not obeyed.
    ended(i, outcome): called once for each member, as soon as its outcome is known and its files are written.
    Raises: ValueError where the configs are not `alike`; BadInput for a config that is bad in itself; both
    before anything is created. Interrupted on SIGINT and SIGTERM, once all members are saved.
    """
    with Signals() as signals:
        outcomes = Loop(members, _experiments(members), SideBySide, ended).train(signals)
        return [outcomes[number] for number in range(len(members))]


def alike(config: ConfigDict) -> str:
    """What all members of one program have in common: configs go together where this is equal."""
    traced = free(config)
    return json.dumps({k: v for k, v in fields(complete(config)) if k not in traced}, sort_keys=True)


def free(config: ConfigDict) -> tuple[str, ...]:
    """The fields in which members of this config may differ: the traced ones, and the learner's scalars."""
    own = (f"learner.options.{name}" for name in own_names(config))
    return (*(name for name, field in FIELDS.items() if field.traced), *own)


def together(config: ConfigDict, devices: int) -> int:
    """How many members of this config to train side by side on so many devices of this host; 1: `run` it.

    On a CPU, where the time grows with each of them, enough to share out what a program costs once, and to
    keep every core at work when some end early; elsewhere as many as fill a device, as long as what their
    backward passes keep fits into a quarter of its memory.
    """
    if _alone(config):
        return 1
    _devices.make_all()  # before JAX is asked for any
    memory = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    if memory is None:
        return 4 * devices
    try:
        one = build(config, allow_code=True)
    except BadInput:  # the run itself says so
        return 1
    kept = training.kept(one.spec, one.hparams, jax.eval_shape(one.start), one.arrays)
    return devices * max(1, min(16, memory // (4 * kept)))


def _experiments(members: Sequence[Member]) -> list[Experiment]:
    """What the configs mean; JAX has its devices then. Raises: BadInput, ValueError."""
    configs = [complete(member.config) for member in members]
    if len({alike(config) for config in configs}) > 1:
        raise ValueError(
            f"members train together where their configs differ in {', '.join(free(configs[0]))} alone."
        )
    for config in configs:
        if field := _alone(config):
            raise BadInput(f"config.{field}: a member lies on one device of its own; it must be 0 or 1.")
    _jax.configure(configs[0], cache=False)
    _jax.check_cache(configs[0])
    _devices.make_all()
    first = build(configs[0], allow_code=True)
    experiments = [one.on(1) for one in (first, *(vary(first, config) for config in configs[1:]))]
    first.check_memory()
    places = [Workdir(member.workdir) for member in members]
    return [sourced(one, place) for one, place in zip(experiments, places, strict=True)]


def _alone(config: ConfigDict) -> str:
    """The field that wants several devices for one run, with its value; "" where none does."""
    wanted = {"devices": config.devices, "train.sync_every": config.train.get("sync_every", 1)}
    return next((f"{name}={value}" for name, value in wanted.items() if value > 1), "")
