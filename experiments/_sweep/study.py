"""Where the trials of a sweep are recorded: Optuna's study in an RDB, its samplers and pruners by name."""

import contextlib
import functools
import importlib.util
import random
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from configs._space import Axis, Range
from experiments._sweep.plan import Sweep
from experiments.errors import BadInput

HEARTBEAT, GRACE = 15, 120  # seconds between two signs of life, and without one until a trial counts as lost
TRIES = 8  # of a call of the database; pauses double from 0.1 s, 13 s in all
ATTRIBUTE = "sweep"  # of the study: what is tried

optuna.logging.set_verbosity(optuna.logging.WARNING)
# What is experimental there is pinned here: heartbeats, samplers with some values given.
warnings.filterwarnings("ignore", category=ExperimentalWarning)


class Database(NamedTuple):
    """A URL, as SQLAlchemy takes it and as it may be shown: without the password."""

    url: str
    shown: str


def database(storage: str, file: Path) -> Database:
    """The database of --storage, or, where that is empty, an SQLite file. Raises: BadInput."""
    if not storage:
        url = sqlalchemy.URL.create("sqlite", database=str(file.resolve()))
        return Database(url.render_as_string(), "sweep.db")
    try:
        url = sqlalchemy.make_url(storage)
        url.get_dialect().import_dbapi()
    except (sqlalchemy.exc.ArgumentError, sqlalchemy.exc.NoSuchModuleError, ImportError) as error:
        text = " ".join(str(error).split())
        raise BadInput(
            f"--storage={storage}: is no database that can be used here ({text}); it must be a URL such as "
            "postgresql://user:password@host/name."
        ) from error
    if url.get_backend_name() == "sqlite":
        raise BadInput(
            f"--storage={storage}: SQLite is for one machine, and the default: leave --storage out, or name "
            "a server, as in postgresql://user:password@host/name."
        )
    return Database(storage, url.render_as_string(hide_password=True))


@contextlib.contextmanager
def connected(database: Database) -> Iterator[optuna.storages.RDBStorage]:
    """The storage, its tables made where there are none. Raises: BadInput where nobody answers."""
    storage = _connect(database)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _connect(database: Database) -> optuna.storages.RDBStorage:
    # SQLite: wait for others who write. Servers: notice a connection that has gone.
    file = database.url.startswith("sqlite")
    options = {"connect_args": {"timeout": 60}} if file else {"pool_pre_ping": True}
    make = lambda: optuna.storages.RDBStorage(
        database.url.replace("{", "{{").replace("}", "}}"),
        engine_kwargs=options,
        heartbeat_interval=HEARTBEAT,
        grace_period=GRACE,
    )
    try:
        # Several who make the tables at the same time get in each other's way.
        return patiently(make, tries=4)
    except Exception as error:
        text = " ".join(str(getattr(error, "orig", error)).split())
        raise BadInput(f"--storage={database.shown}: cannot be used ({text}).") from error


def patiently(call: Callable[[], Any], tries: int = TRIES) -> Any:
    """call(), again and again where the database fails: a lock, a server that restarts."""
    for trial in range(tries):
        try:
            return call()
        except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError):
            if trial == tries - 1:
                raise
            time.sleep(0.1 * 2**trial * random.uniform(0.5, 1.5))


def opened(storage: optuna.storages.RDBStorage, name: str, sweep: Sweep) -> optuna.Study:
    """The study of that name, a new one if there is none, for reading trials and telling how they ended."""
    direction = "maximize" if sweep.higher_is_better else "minimize"
    make = functools.partial(
        optuna.create_study,
        storage=storage,
        study_name=name,
        direction=direction,
        load_if_exists=True,
        sampler=RandomSampler(),  # slots.py sets one for each trial
        pruner=pruner(sweep),
    )
    return patiently(make)


def recorded(study: optuna.Study) -> Sweep | None:
    """The sweep that the study is of; None where it is new."""
    known = study.user_attrs.get(ATTRIBUTE)
    return known and Sweep.from_dict(known)


def record(study: optuna.Study, sweep: Sweep) -> None:
    """Says what the study is of."""
    study.set_user_attr(ATTRIBUTE, sweep.to_dict())


def suggest(trial: optuna.Trial, name: str, axis: Axis) -> Any:
    """A value of an axis, by the study's sampler."""
    if not isinstance(axis, Range):
        return trial.suggest_categorical(name, axis.values)
    ask = trial.suggest_int if axis.whole else trial.suggest_float
    return ask(name, axis.low, axis.high, log=axis.log)


# Samplers: (sweep, a seed of the configuration's own) -> sampler.

NEEDS = {"cmaes": "cmaes", "gp": "torch"}  # packages that are not among ours
SAMPLERS: dict[str, Callable[[Sweep, int], BaseSampler]] = {
    "cmaes": lambda sweep, seed: CmaEsSampler(seed=seed, warn_independent_sampling=False),
    "gp": lambda sweep, seed: GPSampler(seed=seed, n_startup_trials=10 * len(sweep.cells)),
    "nsgaii": lambda sweep, seed: NSGAIISampler(seed=seed),
    # One sequence, of which the study counts the points.
    "qmc": lambda sweep, seed: QMCSampler(
        scramble=True,
        seed=sweep.seed,
        independent_sampler=RandomSampler(seed),
        warn_independent_sampling=False,
    ),
    "random": lambda sweep, seed: RandomSampler(seed),
    "tpe": lambda sweep, seed: TPESampler(seed=seed, n_startup_trials=10 * len(sweep.cells)),
}


def sampler(sweep: Sweep, configuration: int) -> BaseSampler:
    """Seeded by the configuration's number: who samples it, and in which process, makes no difference."""
    seed = int(np.random.SeedSequence([sweep.seed, configuration]).generate_state(1)[0])
    return SAMPLERS[sweep.sampler](sweep, seed)


def check_sampler(name: str) -> None:
    """Raises BadInput where it needs a package that is not there."""
    package = NEEDS.get(name)
    if package and importlib.util.find_spec(package) is None:
        raise BadInput(
            f"--sampler={name}: needs the package {package}: "
            f".venv/bin/python -m pip install {package}, or take tpe, random, qmc or nsgaii."
        )


# Pruners: (the least and the most updates that a trial may get, cells) -> pruner.

PRUNERS: dict[str, Callable[[int, int, int], BasePruner]] = {
    "halving": lambda least, most, cells: SuccessiveHalvingPruner(min_resource=least),
    "hyperband": lambda least, most, cells: HyperbandPruner(min_resource=least, max_resource=most),
    "median": lambda least, most, cells: MedianPruner(n_startup_trials=max(5, cells)),
    "none": lambda least, most, cells: NopPruner(),
    "percentile": lambda least, most, cells: PercentilePruner(25.0, n_startup_trials=max(5, cells)),
}


def pruner(sweep: Sweep) -> BasePruner:
    """In updates: nobody is judged before the first evaluation."""
    train = sweep.base["train"]
    return PRUNERS[sweep.pruner](train["eval_every"], train["updates"], len(sweep.cells))
