"""One run: from a config and a folder to a trained model and its result."""

import math
import time
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiments import _devices, _jax, _result
from experiments._build import build
from experiments._checkpoint import Damaged
from experiments._config import complete, with_devices
from experiments._diagnose import blame
from experiments._report import duration
from experiments._session import Session, opened
from experiments._signals import Signals
from experiments._workdir import Workdir
from experiments.errors import Interrupted, NotFinite
from r3nn import training


def run(config: ConfigDict, workdir: str, command: str = "") -> dict[str, Any]:
    """Trains what a config describes, or goes on where an earlier call stopped -> the content of result.json.

    command: what repeats the run, for the result. Raises: the `Ending`s of experiments.errors.
    """
    with Signals() as signals:
        config = complete(config)
        _jax.configure(config, cache=False)
        _jax.check_cache(config)
        config = with_devices(config, _devices.choose(config, Workdir(workdir).devices()))
        experiment = build(config, config.devices)
        with Workdir(workdir).claimed(config) as place:
            _jax.use_cache(config)
            result = place.read_result()
            if result is None:
                with opened(experiment, place) as session:
                    train(session, signals)
                    result = finish(session, command)
            else:
                print(f"This run has finished already: nothing to do in {place.path}.")
    print(_result.summary(result, place))
    return result


def train(session: Session, signals: Signals) -> None:
    """Updates until all are made, the target is reached, or a signal came. Raises: NotFinite, Interrupted."""
    begin(session)
    every, counters = session.config.train, session.counters
    while not (session.done or signals.received):
        count = min(every.log_every, every.updates - counters.step)
        advance(session, count)
        better = session.due(every.eval_every, count) and evaluate(session)
        if better or session.due(every.checkpoint_every, count):
            session.save()
    session.save()
    if signals.received and not session.done:
        raise Interrupted(
            f"{signals.received.name}: stopped and saved after update {counters.step}; "
            "the same command goes on from there.",
            signals.received,
        )


def begin(session: Session) -> None:
    """Says what is about to be trained, compiles it, and traces some updates where the config asks for it."""
    config, experiment, step = session.config, session.experiment, session.counters.step
    if session.done:
        return
    start = f"going on after update {step}{other_devices(session)}" if step else "starting"
    session.screen.say(
        f"{config.task.name}, T={config.train.length}: {config.model.cell}, {experiment.parameters:,} "
        f"parameters, on {_devices.describe(config.devices)}; {start}, compiling ..."
    )
    began = time.perf_counter()
    session.program(min(config.train.log_every, config.train.updates - step))
    session.evaluator()
    session.screen.say(f"compiled in {duration(time.perf_counter() - began)}")
    if config.profile:
        profile(session)


def other_devices(session: Session) -> str:
    """A remark where the run began on another number of devices."""
    begun, now = session.place.devices(), session.config.devices
    same = begun in (0, now)
    return "" if same else f" (begun on {begun} devices, now {now}: the same numbers, not the same bits)"


def profile(session: Session) -> None:
    """A trace of config.profile updates, whose result is dropped: the run stays as it is without."""
    program = jax.jit(training.updates, static_argnums=(0, 3))
    arguments = (session.experiment.spec, session.experiment.hparams, session.state, session.config.profile)
    jax.block_until_ready(program(*arguments))
    with jax.profiler.trace(str(session.place.profile)):
        jax.block_until_ready(program(*arguments))
    session.screen.say(f"traced {session.config.profile} updates into {session.place.profile}")


def advance(session: Session, count: int) -> None:
    """`count` updates in one call of the device, and their line in the log.

    Raises: NotFinite, once the state before the bad update is saved: a resume meets the same one again.
    """
    program, counters = session.program(count), session.counters
    began = time.perf_counter()
    with session.timed():
        session.state, metrics = program(session.experiment.hparams, session.state)
        finite = bool(session.state.ok)
    rate = count / (time.perf_counter() - began)
    if not finite:
        counters.step = int(session.state.step)
        session.save()
        raise NotFinite(blame(session.experiment, session.state))
    counters.step += count
    means = mean(metrics)
    session.record("train", {**means, "seconds": round(counters.seconds, 3)})
    session.screen.progress(counters.step, means["loss"], rate)


def mean(metrics: dict[str, Any]) -> dict[str, float]:
    """Of each metric [count], over the updates in which a step counted at all; NaN where there is none.

    Of whole sequences that is every update; a piece of truncated backpropagation may hold no counted step.
    """
    counted = np.asarray(metrics["counted"]) > 0
    columns = {name: np.asarray(values, np.float64)[counted] for name, values in metrics.items()}
    del columns["counted"]
    return {name: float(values.mean()) if len(values) else math.nan for name, values in columns.items()}


def evaluate(session: Session) -> bool:
    """The metrics on held-out data, and their line in the log -> whether they are the best so far."""
    task, target, counters = session.experiment.spec.task, session.config.train.target, session.counters
    with session.timed():
        numbers = session.measure(session.state.params, training.HELD_OUT)
    session.record("eval", {**numbers, "seconds": round(counters.seconds, 3)})
    value, sign = numbers[task.metric], 1 if task.higher_is_better else -1
    better = math.isfinite(value) and (counters.best is None or sign * value > sign * counters.best)
    if better:
        counters.best, counters.best_step = value, counters.step
        counters.reached = bool(target) and sign * value >= sign * target
    mark = "  (best so far)" if better else ""
    session.screen.say(f"held-out {task.metric} after update {counters.step}: {value:.4g}{mark}")
    return better


def finish(session: Session, command: str) -> dict[str, Any]:
    """Tests the best state on sequences that decided nothing; writes result.json and the loss curve."""
    best, state = session.counters.best_step, session.state
    if best not in (None, session.counters.step):
        try:
            state, _ = session.checkpoints.read(best, session.experiment.placed())
        except Damaged as damage:
            session.screen.say(
                f"the best checkpoint is damaged ({damage}); the last state is tested instead."
            )
    numbers = session.measure(state.params, training.TEST)
    result = _result.collect(session.experiment, session.counters, numbers, int(state.step), command)
    _result.save(result, session.place)
    return result
