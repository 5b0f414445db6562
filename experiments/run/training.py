"""Leads from configs and folders to trained models and their results: one run, or many side by side."""

from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from experiments.building.assembly import build, vary
from experiments.building.experiment import Experiment
from experiments.config import named_code
from experiments.config.fields import complete
from experiments.errors import BadInput, Ending
from experiments.processes import agreement
from experiments.processes.stopping import signals as stopping
from experiments.run import device_count, jax_settings
from experiments.run.engines import Alone, SideBySide
from experiments.run.grouping import alike, alone, free
from experiments.run.loop import Ended, Loop, Member, Outcome
from experiments.run.session import EvaluationCallback
from experiments.saved import result_words
from experiments.saved.learned import sourced
from experiments.saved.workdir import Workdir


def run(
    config: ConfigDict, workdir: str, command: str = "", watch: EvaluationCallback | None = None
) -> dict[str, Any]:
    """Trains what a config describes, or goes on where an earlier call stopped -> the content of result.json.

    command: what repeats the run, for the result. watch: may raise an `Ending`, such as Pruned: the run then
    saves and ends with it. Raises: the `Ending`s of experiments.errors.
    """
    with stopping() as signals:
        config, place = complete(config), Workdir(workdir)
        jax_settings.configure(config, cache=False)
        jax_settings.check_cache(config)
        device_count.make_all(config.devices)
        agreement.connect()
        experiment = build(config, allow_code=True)
        recorded = agreement.broadcast_from_0(place.devices)
        devices = device_count.choose(config, experiment.learner.width, recorded)
        experiment = sourced(experiment.on(devices), place)
        experiment.check_memory()
        loop = Loop([Member(config, workdir, command, watch)], [experiment], Alone)
        outcome = loop.train(agreement.Agreed(signals))[0]
    if isinstance(outcome, Ending):
        raise outcome
    code, profiled = bool(named_code.files(config)), place.profile.exists()
    agreement.print_once(result_words.summary(outcome, place, code, profiled))
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
    with stopping() as signals:
        outcomes = Loop(members, _experiments(members), SideBySide, ended).train(signals)
        return [outcomes[number] for number in range(len(members))]


def _experiments(members: Sequence[Member]) -> list[Experiment]:
    """Builds what the configs mean; JAX has its devices then. Raises: BadInput, ValueError."""
    configs = [complete(member.config) for member in members]
    if len({alike(config) for config in configs}) > 1:
        raise ValueError(
            f"members train together where their configs differ in {', '.join(free(configs[0]))} alone."
        )
    for config in configs:
        if field := alone(config):
            raise BadInput(f"config.{field}: a member lies on one device of its own; it must be 0 or 1.")
    jax_settings.configure(configs[0], cache=False)
    jax_settings.check_cache(configs[0])
    device_count.make_all()
    first = build(configs[0], allow_code=True)
    experiments = [one.on(1) for one in (first, *(vary(first, config) for config in configs[1:]))]
    first.check_memory()
    places = [Workdir(member.workdir) for member in members]
    return [sourced(one, place) for one, place in zip(experiments, places, strict=True)]
