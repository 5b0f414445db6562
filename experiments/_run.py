"""One run: from a config and a folder to a trained model and its result."""

import time
from typing import Any

import jax
from ml_collections import ConfigDict

from experiments import _code, _devices, _jax, _processes, _result, _shared, _turn
from experiments._build import build
from experiments._config import complete, with_devices
from experiments._disk import writing
from experiments._load import sourced
from experiments._report import duration
from experiments._session import Session, opened
from experiments._signals import Signals
from experiments._turn import Watch
from experiments._workdir import Workdir
from experiments.errors import Ending, Interrupted
from r3nn import training


def run(config: ConfigDict, workdir: str, command: str = "", watch: Watch | None = None) -> dict[str, Any]:
    """Trains what a config describes, or goes on where an earlier call stopped -> the content of result.json.

    command: what repeats the run, for the result. watch: may raise an `Ending`, such as Pruned: the run then
    saves and ends with it. Raises: the `Ending`s of experiments.errors.
    """
    with Signals() as signals:
        config = complete(config)
        _jax.configure(config, cache=False)
        _jax.check_cache(config)
        config = with_devices(config, _devices.choose(config, _processes.tell(Workdir(workdir).devices)))
        _processes.connect()
        experiment = sourced(build(config, config.devices, allow_code=True), Workdir(workdir))
        with _shared.claimed(Workdir(workdir), config) as place:
            _jax.use_cache(config)
            result = _processes.tell(place.read_result)
            if result is None:
                with opened(experiment, place) as session:
                    train(session, _processes.Agreed(signals), watch)
                    result = finish(session, command)
            else:
                _processes.say(f"This run has finished already: nothing to do in {place.path}.")
    _processes.say(_result.summary(result, place, code=bool(_code.files(config))))
    return result


def train(session: Session, signals: Signals, watch: Watch | None = None) -> None:
    """Updates until all are made, the target is reached, or a signal came.

    Raises: NotFinite, Interrupted, and what `watch` raises.
    """
    begin(session)
    every, counters = session.config.train, session.counters
    while not (session.done or signals.received):
        count = _turn.next_count(session)
        advance(session, count)
        better = session.due(every.eval_every, count) and evaluate(session, watch)
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
        f"{experiment.title}, {experiment.parameters:,} parameters, on "
        f"{_devices.describe(config.devices)}; {start}, compiling ..."
    )
    began = time.perf_counter()
    session.program(_turn.next_count(session))
    session.evaluator("held_out")
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
    experiment, state, count = session.experiment, session.state, session.config.profile
    arguments = (experiment.spec, experiment.hparams, state, count, session.arrays)
    jax.block_until_ready(program(*arguments))
    with writing(session.place.profile), _shared.mine(jax.profiler.trace, str(session.place.profile)):
        jax.block_until_ready(program(*arguments))
    session.screen.say(f"traced {session.config.profile} updates into {session.place.profile}")


def advance(session: Session, count: int) -> None:
    """`count` updates in one call of the device, and their line in the log.

    Raises: NotFinite, once the state before the bad update is saved.
    """
    program, began = session.program(count), time.perf_counter()
    with session.timed():
        session.state, metrics = program(session.experiment.hparams, session.state, session.arrays)
        finite = bool(session.state.ok)
    rate = count / (time.perf_counter() - began)
    if not finite:
        raise _turn.not_finite(session)
    loss = _turn.trained(session, count, metrics)
    session.screen.progress(session.counters.step, loss, rate)


def evaluate(session: Session, watch: Watch | None) -> bool:
    """The metrics on held-out data, and their line in the log -> whether they are the best so far.

    Raises: what `watch` raises, once the run is saved.
    """
    with session.timed():
        numbers = session.measure(session.state, "held_out")
        session.state = _turn.shared_behind(session.experiment.learner, session.state, numbers)
    try:
        return _turn.judged(session, numbers, watch)
    except Ending:
        session.save()
        raise


def finish(session: Session, command: str) -> dict[str, Any]:
    """Tests the best state on sequences that decided nothing; writes result.json and the loss curve."""
    state = _turn.to_test(session)
    numbers = session.measure(state, "test")
    return _processes.tell(lambda: _turn.finish(session, numbers, int(state.step), command))
