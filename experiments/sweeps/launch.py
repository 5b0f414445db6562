"""Leads from a command line to a running sweep: everything is checked before anything is created."""

import contextlib
import os
from collections.abc import Sequence

import jax
import optuna
from optuna.storages import RDBStorage

from configs._space import Axis, Grid, Range
from experiments.errors import BadInput, Ending, Interrupted
from experiments.sweeps import checks, places, plan, report, slots, study
from experiments.sweeps.folder import Folder, difference, file_system
from experiments.sweeps.plan import Sweep
from experiments.sweeps.request import CommandLine
from experiments.sweeps.secrets import MARK, VARIABLE
from experiments.sweeps.study import Away, Database
from experiments.sweeps.supervise import supervise
from experiments.sweeps.trainer import Trainer

TRIALS = 16  # configurations to sample, where --trials does not say
MOST = 10**6  # runs of a sweep
NETWORKED = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "lustre", "gpfs", "afs", "9p")


def launch(asked: CommandLine, trainer: Trainer, worker: Sequence[str]) -> None:
    """Does what experiments/sweep.py was asked for. Raises: the `Ending`s of experiments.errors.

    worker: what Python is called with, to be a worker.
    """
    jax.config.update("jax_platforms", "cpu")  # of this process: GPUs are for its workers
    sweep = planned(asked, trainer)
    folder = Folder(asked.workdir)
    database = study.database(asked.storage, folder.database)
    if asked.workdir:
        folder.check(sweep, database.shown)
    print(describe(sweep, asked, database))
    if asked.dry_run:
        print("Nothing was created.")
        return
    prepare(asked, sweep, folder, database)
    with study.connected(database) as storage:
        trials = joined(asked, sweep, storage, database)
        folder.create(sweep, database.shown)
        slots.reopen(trials, sweep)
        try:
            supervise(trials, sweep, folder, database, asked.workers, asked.together, worker)
        except Interrupted:
            with contextlib.suppress(Away):
                report.save(trials, sweep, folder.path)
            raise
        found = report.finish(trials, sweep, folder.path)
    if found.best is None:
        raise Ending(f"none of the {sweep.total} runs succeeded: {folder.path}/trials.csv says why.")


def planned(asked: CommandLine, trainer: Trainer) -> Sweep:
    """Makes the sweep of a command line, and checks that its axes are fields and their values fit.

    Raises: BadInput.
    """
    study.check_sampler(asked.sampler)
    base = trainer.base(asked.config, asked.overrides)
    axes = plan.space(asked.config)
    checks.names(axes, asked.overrides, trainer)
    learner = trainer.build(trainer.complete(base)).learner
    sweep = Sweep(
        config=asked.config,
        overrides=asked.overrides,
        base=base.to_dict(),
        axes=axes,
        trials=_trials(asked, axes),
        sampler=asked.sampler,
        pruner=asked.pruner,
        seed=asked.seed,
        metric=learner.metric,
        higher_is_better=learner.higher_is_better,
        trainer=trainer,
    )
    if sweep.total > MOST:
        raise BadInput(
            f"--config={asked.config}: get_sweep() and --trials={sweep.trials} make {sweep.total:,} runs; "
            f"they must be at most {MOST:,}."
        )
    checks.values(sweep)
    return sweep


def _trials(asked: CommandLine, axes: dict[str, Axis]) -> int:
    sampled = any(not isinstance(axis, Grid) for axis in axes.values())
    if not sampled and asked.trials is not None:
        raise BadInput(
            f"--trials={asked.trials}: all axes of {asked.config} are grids, so there is nothing to sample; "
            "leave it out."
        )
    return (asked.trials or TRIALS) if sampled else 1


def prepare(asked: CommandLine, sweep: Sweep, folder: Folder, database: Database) -> None:
    """Makes the folder, where the database is a file in it; other databases are asked first.

    Raises: BadInput.
    """
    if not database.file:
        return
    kind = file_system(folder.path)
    if kind in NETWORKED:
        print(
            f"{folder.path} is on a network file system ({kind}), where SQLite may lose trials: take a "
            "folder on a local disk, or --storage=postgresql://user@host/name."
        )
    folder.create(sweep, database.shown)


def joined(asked: CommandLine, sweep: Sweep, storage: RDBStorage, database: Database) -> optuna.Study:
    """Opens the study, which has the name of the folder and must be of this very sweep.

    Raises: BadInput.
    """
    found = study.opened(storage, os.path.normpath(asked.workdir), sweep)
    before = study.recorded(found, sweep.trainer)
    field = before and difference(sweep, before)
    if field is not None:
        raise BadInput(
            f"{database.said}: has a sweep of --workdir={asked.workdir} that differs in {field}; "
            "repeat its command, or take another folder."
        )
    if before is None or before.trials < sweep.trials:
        study.record(found, sweep)
    return found


def describe(sweep: Sweep, asked: CommandLine, database: Database) -> str:
    """Describes the plan in words."""
    first = {name: plan.edges(axis)[0] for name, axis in sweep.axes.items()}
    note = f" (all on this machine can read command lines: {VARIABLE} keeps the password out)"
    note = note if asked.storage and MARK in database.shown else ""
    rows = {
        "runs": runs(sweep),
        **{f"  {name}": _words(axis) for name, axis in sweep.axes.items()},
        "sampler, pruner": f"{sweep.sampler}, {sweep.pruner}; "
        f"{'highest' if sweep.higher_is_better else 'lowest'} held-out {sweep.metric}",
        "trials kept in": database.shown + note,
        "workers": "; ".join(_place(place) for place in places.places(asked.workers)),
        "a run": sweep.command(f"{asked.workdir or 'DIR'}/{plan.workdir(0)}", first),
    }
    return "\n".join(f"{name:20} {value}" for name, value in rows.items())


def runs(sweep: Sweep) -> str:
    """Says how many runs there are, and of what, such as "48: 16 configurations x 3 values of seed"."""
    grids = {name: len(axis.values) for name, axis in sweep.axes.items() if isinstance(axis, Grid)}
    factors = [f"{count} value{'s' * (count != 1)} of {name}" for name, count in grids.items()]
    if sweep.sampled:
        factors.insert(0, f"{sweep.trials} configuration{'s' * (sweep.trials != 1)}")
    return f"{sweep.total}: {' x '.join(factors)}"


def _words(axis: Axis) -> str:
    if not isinstance(axis, Range):
        kind = "each of" if isinstance(axis, Grid) else "one of"
        return f"{kind} {', '.join(map(str, axis.values))}"
    return f"{axis.low} to {axis.high}{', logarithmic' if axis.log else ''}"


def _place(place: places.Place) -> str:
    gpu = place.environment.get("CUDA_VISIBLE_DEVICES")
    cores = f"core{'s' * (len(place.cores) != 1)} {_numbers(place.cores)}" if place.cores else "all cores"
    return cores if gpu is None else f"GPU {gpu}, {cores}"


def _numbers(cores: list[int]) -> str:
    return str(cores[0]) if len(cores) == 1 else f"{cores[0]}-{cores[-1]}"
