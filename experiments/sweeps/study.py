"""Records the trials of a sweep: Optuna's study in an RDB, its samplers and pruners by name."""

import contextlib
import functools
import importlib.util
import os
import random
import sqlite3
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
from experiments.errors import BadInput, NotSaved
from experiments.sweeps import secrets
from experiments.sweeps.plan import Sweep
from experiments.sweeps.secrets import VARIABLE, hide
from experiments.sweeps.trainer import Trainer

HEARTBEAT, GRACE = 15, 120  # seconds between two signs of life, and without one until a trial counts as lost
TRIES = 8  # of a call of the database; pauses double from 0.1 s, 13 s in all
ATTRIBUTE = "sweep"  # of the study: what is tried

optuna.logging.set_verbosity(optuna.logging.ERROR)  # what it warns of when a database fails, we say
# What is experimental there is pinned here: heartbeats, samplers with some values given.
warnings.filterwarnings("ignore", category=ExperimentalWarning)


class Away(NotSaved):
    """The database of a sweep fails for longer than `patiently` waits."""


class Database(NamedTuple):
    """Says where trials are recorded."""

    url: str  # as SQLAlchemy takes it
    shown: str  # as people and sweep.json may have it: without secrets
    said: str  # how a sentence begins that is about it

    @property
    def file(self) -> bool:
        """Says whether it is an SQLite file, which is in the sweep's folder."""
        return self.url.startswith("sqlite")


def database(storage: str, file: Path) -> Database:
    """Returns the database of --storage, or else of R3NN_STORAGE, or else an SQLite file.

    Raises: BadInput.
    """
    asked = storage or os.environ.get(VARIABLE, "")
    if not asked:
        url = sqlalchemy.URL.create("sqlite", database=str(file.resolve()))
        return Database(url.render_as_string(), "sweep.db", str(file))
    said = f"{'--storage' if storage else VARIABLE}={secrets.shown(asked)}"
    if not secrets.URL.fullmatch(asked):
        raise BadInput(
            f"{said}: is no database's URL; it must be such as postgresql://user@host/name, and in it "
            "%40 stands for an @ of the password, %3F for a ? and %20 for a space."
        )
    try:
        url = sqlalchemy.make_url(asked)
        url.get_dialect().import_dbapi()
    except (sqlalchemy.exc.ArgumentError, sqlalchemy.exc.NoSuchModuleError, ImportError, ValueError) as error:
        secrets.clean(error, asked)
        text = " ".join(str(error).split())
        raise BadInput(
            f"{said}: is no database that can be used here ({text}); it must be a URL such as "
            "postgresql://user@host/name."
        ) from error
    if url.get_backend_name() == "sqlite":
        raise BadInput(
            f"{said}: SQLite is for one machine, and the default: leave {said.partition('=')[0]} out, or "
            "name a server, as in postgresql://user@host/name."
        )
    return Database(asked, secrets.shown(asked), said)


def connect(database: Database) -> optuna.storages.RDBStorage:
    """Opens the storage. Raises: BadInput where nobody answers."""
    # SQLite: wait for others who write. Servers: notice a connection that has gone.
    options = {"connect_args": {"timeout": 60}} if database.file else {"pool_pre_ping": True}

    def make() -> optuna.storages.RDBStorage:
        storage = optuna.storages.RDBStorage(
            database.url.replace("{", "{{").replace("}", "}}"),
            engine_kwargs=options,
            heartbeat_interval=HEARTBEAT,
            grace_period=GRACE,
        )
        if database.file:  # damage in the middle of it would show later, or never
            with storage.engine.connect() as connection:
                found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
        return storage

    try:
        # Several who make the tables at the same time get in each other's way.
        return patiently(make, tries=4)
    except Exception as error:
        raise BadInput(_told(database, error, AGAIN)) from error


@contextlib.contextmanager
def connected(
    database: Database, connect: Callable[[Database], optuna.storages.RDBStorage] = connect
) -> Iterator[optuna.storages.RDBStorage]:
    """Opens the storage, by `connect`, and makes its tables where there are none.

    Raises: BadInput where nobody answers, Away where it fails later; no exception says a secret of the URL.
    """
    storage = connect(database)
    try:
        yield storage
    except Away as away:
        raise Away(_told(database, away, KEPT)) from away
    except Exception as error:
        secrets.clean(error, database.url)
        raise
    finally:
        storage.remove_session()
        storage.engine.dispose()


KEPT = (
    "Nothing is lost: each run is saved in its folder; once the database is in order, the same command goes "
    "on from there"
)
AGAIN = "Once it is in order, repeat the command"


def _told(database: Database, error: Exception, otherwise: str) -> str:
    """Says what to say of a database that fails, without its secrets.

    otherwise: what follows from that where it is not damaged.
    """
    secrets.clean(error, database.url)
    cause = _cause(error)
    reason = " ".join(str(cause).split())
    if _damaged(cause):
        return (
            f"{database.said}: is damaged ({reason}). The runs are whole, each in its own folder in trials/: "
            "put back a copy of that file, or begin again in another --workdir."
        )
    return f"{database.said}: cannot be used ({reason}). {otherwise}."


def _cause(error: BaseException) -> BaseException:
    """Returns what the driver of the database said: SQLAlchemy and Optuna put words of their own around
    it."""
    return error if error.__cause__ is None else _cause(error.__cause__)


def _damaged(cause: BaseException) -> bool:
    """Says whether an error is what SQLite says of a file that is broken, or no database.

    All else is a subclass.
    """
    return type(cause) is sqlite3.DatabaseError or "Could not decode to UTF-8" in str(cause)


def patiently(call: Callable[[], Any], tries: int = TRIES) -> Any:
    """Returns call(), and tries again where the database fails: a lock, a server that restarts.

    Raises: Away.
    """
    for trial in range(tries):
        try:
            return call()
        except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
            if trial == tries - 1 or _damaged(_cause(error)):
                raise Away(hide(f"the database fails ({_cause(error)}).")) from error
            time.sleep(0.1 * 2**trial * random.uniform(0.5, 1.5))


def opened(storage: optuna.storages.RDBStorage, name: str, sweep: Sweep) -> optuna.Study:
    """Opens the study of that name, a new one if there is none.

    It serves to read trials and to tell how they ended.
    """
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


def recorded(study: optuna.Study, trainer: Trainer) -> Sweep | None:
    """Returns the sweep that the study is of; None where it is new."""
    known = patiently(lambda: study.user_attrs).get(ATTRIBUTE)
    return known and Sweep.from_dict(known, trainer)


def record(study: optuna.Study, sweep: Sweep) -> None:
    """Says what the study is of."""
    patiently(lambda: study.set_user_attr(ATTRIBUTE, sweep.to_dict()))


def suggest(trial: optuna.Trial, name: str, axis: Axis) -> Any:
    """Returns a value of an axis, by the study's sampler."""
    if not isinstance(axis, Range):
        return trial.suggest_categorical(name, axis.values)
    ask = trial.suggest_int if axis.whole else trial.suggest_float
    return ask(name, axis.low, axis.high, log=axis.log)


# Samplers: (sweep, a seed of the configuration's own) -> sampler.

NEEDS = {"cmaes": "cmaes", "gp": "torch"}  # packages that are not among ours
SAMPLERS: dict[str, Callable[[Sweep, int], BaseSampler]] = {
    "cmaes": lambda sweep, seed: CmaEsSampler(seed=seed, warn_independent_sampling=False),
    "gp": lambda sweep, seed: GPSampler(seed=seed, n_startup_trials=10 * len(sweep.grid_points)),
    "nsgaii": lambda sweep, seed: NSGAIISampler(seed=seed),
    # One sequence, of which the study counts the points.
    "qmc": lambda sweep, seed: QMCSampler(
        scramble=True,
        seed=sweep.seed,
        independent_sampler=RandomSampler(seed),
        warn_independent_sampling=False,
    ),
    "random": lambda sweep, seed: RandomSampler(seed),
    "tpe": lambda sweep, seed: TPESampler(seed=seed, n_startup_trials=10 * len(sweep.grid_points)),
}


def sampler(sweep: Sweep, configuration: int) -> BaseSampler:
    """Makes a sampler that is seeded by the configuration's number.

    Who samples it, and in which process, makes no difference.
    """
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


# Pruners: (the least and the most updates that a trial may get, grid points) -> pruner.

PRUNERS: dict[str, Callable[[int, int, int], BasePruner]] = {
    "halving": lambda least, most, points: SuccessiveHalvingPruner(min_resource=least),
    "hyperband": lambda least, most, points: HyperbandPruner(min_resource=least, max_resource=most),
    "median": lambda least, most, points: MedianPruner(n_startup_trials=max(5, points)),
    "none": lambda least, most, points: NopPruner(),
    "percentile": lambda least, most, points: PercentilePruner(25.0, n_startup_trials=max(5, points)),
}


def pruner(sweep: Sweep) -> BasePruner:
    """Makes a pruner, whose numbers are updates: nobody is judged before the first evaluation."""
    train = sweep.base["train"]
    return PRUNERS[sweep.pruner](train["eval_every"], train["updates"], len(sweep.grid_points))
