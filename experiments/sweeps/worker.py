"""Runs one trial after another in a process of its own, until all slots of the sweep are done.

The first line of its standard input says what to do, in JSON; when the input ends, it saves and stops, and
without delay where the parent is dead. A database server's URL comes in R3NN_STORAGE, of the environment.
"""

import fcntl
import json
import os
import signal
import socket
import threading
import time
from typing import Any, NamedTuple

import optuna

from experiments.errors import Interrupted, ending, memory_in_words
from experiments.program.files import append
from experiments.program.locks import locked
from experiments.program.signals import Signals
from experiments.sweeps import slots, study
from experiments.sweeps.folder import Folder
from experiments.sweeps.plan import Sweep, workdir
from experiments.sweeps.slots import Claim, Worker
from experiments.sweeps.study import Away
from experiments.sweeps.trainer import Trainer
from experiments.sweeps.trial import Heart, settle, watch

IDLE = 0.5  # seconds between two looks for work
ALONE = 5.0  # seconds to save in, once the parent is dead: then the updates under way are dropped


class Job(NamedTuple):
    """Holds what a parent tells its worker."""

    folder: str
    sweep: dict[str, Any]  # as `Sweep.to_dict` has it: whatever the folder says, no other code is run
    name: str  # of the study
    together: int  # trials side by side, at most
    cores: list[int]  # of this machine, that it may use; none: as it is
    workers: int  # on this machine
    parent: int  # its process


class Post(NamedTuple):
    """Holds what a worker works with."""

    study: optuna.Study
    sweep: Sweep
    folder: Folder
    worker: Worker
    job: Job
    heart: Heart
    stop: threading.Event
    signals: Signals


def main(trainer: Trainer) -> int:
    """Works -> the exit status: 0 once all slots are done, or the input ended."""
    with os.fdopen(os.dup(0)) as order:
        job = Job(**json.loads(order.readline()))
    if job.cores:
        os.sched_setaffinity(0, job.cores)  # before JAX starts, and counts them
    stop = threading.Event()
    with Signals() as signals:
        alone = threading.Thread(target=until_alone, args=(stop, signals, job.parent), daemon=True)
        alone.start()
        return ending(lambda: _main(job, trainer, stop, signals))


def until_alone(stop: threading.Event, signals: Signals, parent: int) -> None:
    """Waits for the end of the input, which the parent closed, and then stops as at a signal.

    Where the parent is dead nobody waits for the updates under way, and nobody could send a second signal:
    after ALONE seconds there is one.
    """
    while os.read(0, 4096):
        pass
    stop.set()
    signals.send()
    while os.getppid() == parent:
        time.sleep(IDLE)
    time.sleep(ALONE)
    os.kill(os.getpid(), signal.SIGTERM)


def _main(job: Job, trainer: Trainer, stop: threading.Event, signals: Signals) -> None:
    folder, sweep = Folder(job.folder), Sweep.from_dict(job.sweep, trainer)
    identity = f"{os.getpid()}-{os.urandom(4).hex()}"
    alive = folder.lock_of(identity)
    there = study.connected(study.database("", folder.database))
    with append(alive) as lock, there as storage, Heart(storage) as heart:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as long as this process lives
        worker = Worker(socket.gethostname(), identity, job.folder)
        work(Post(study.opened(storage, job.name, sweep), sweep, folder, worker, job, heart, stop, signals))
        alive.unlink()


def work(post: Post) -> None:
    """Runs slots, some at a time, until all are done or the post is to stop."""
    while not post.stop.is_set():
        group = take(post)
        if group:
            with post.heart.holding(group):
                run(post, group)
        elif slots.all_finished(slots.trials_of(post.study), post.sweep.total):
            return
        else:
            post.stop.wait(IDLE)


def take(post: Post) -> list[Claim]:
    """Claims the next slots for this worker, of one architecture; none where there are none now."""
    with locked(post.folder.claims):
        first = slots.claim(post.study, post.sweep, post.worker)
        group = [first] if first else []
        most = size(post, first) if first else 0
        while len(group) < most:
            more = slots.claim(post.study, post.sweep, post.worker, like=first.values)
            if more is None:
                break
            group.append(more)
    return group


def size(post: Post, first: Claim) -> int:
    """Says how many to train side by side: not more than this worker's share of what is left."""
    sweep, job = post.sweep, post.job
    config = sweep.config_of(first.values)
    if config.devices > 1:  # a run on its own then
        return 1
    if job.together:
        return job.together
    begun = slots.current(slots.trials_of(post.study), sweep.total)
    fair = -(-(sweep.total - len(begun) + 1) // job.workers)
    ours = sweep.architecture(first.values).items()
    alike = sum(ours >= sweep.architecture(point).items() for point in sweep.grid_points)
    return min(even(alike, sweep.trainer.together(config, max(1, len(job.cores)))), fair)


def even(count: int, most: int) -> int:
    """Returns `most`, or a number near it that parts `count` evenly: five members as four and then one would
    compile twice."""
    return -(-count // round(count / most)) if 1 < most < count else most


def run(post: Post, group: list[Claim]) -> None:
    """Trains a group and records how each of its trials ended, as soon as that is known.

    Raises: Away, once all are saved; trials of which the database has not heard are taken up again.
    """
    left, away = dict(enumerate(group)), []

    def done(number, outcome):
        try:
            settle(post.study, left[number], outcome)
            del left[number]  # only now: what the storage did not take is tried again
        except Away as error:
            away.append(error)
            post.signals.send()  # saves the others

    try:
        members = [member(post, claim) for claim in group]
        with memory_in_words():
            if len(members) == 1:
                done(0, post.sweep.trainer.run(**members[0]))
            else:
                post.sweep.trainer.run_members(members, done)
    except Away:
        raise
    except Interrupted as stopped:
        post.stop.set()
        for claim in left.values():
            settle(post.study, claim, stopped)
    except Exception as error:
        if len(group) == 1:
            return settle(post.study, group[0], error)
        for claim in left.values():  # what is wrong with one is not to be the end of the others
            run(post, [claim])
    if away:
        raise away[0]


def member(post: Post, claim: Claim) -> dict[str, Any]:
    """Makes an ordinary run of a trial, in its own folder, as `Trainer.run` takes it. Raises: Interrupted."""
    place = post.folder.path / workdir(claim.slot)
    while post.sweep.trainer.in_use(place) and not post.stop.wait(IDLE):
        pass  # a worker that was taken for dead is still there
    if post.stop.is_set():
        raise Interrupted("asked to stop before it began.", signal.SIGTERM)
    print(f"\nslot {claim.slot}: {claim.values}", flush=True)
    command = post.sweep.command(str(place), claim.values)
    config = post.sweep.config_of(claim.values)
    return dict(config=config, workdir=str(place), command=command, watch=watch(claim))
