"""What a run does after each call of the device: the same for one alone and for one of many side by side."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import _result, _shared
from experiments._checkpoint import Damaged
from experiments._diagnose import blame
from experiments._session import Session
from experiments.errors import NotFinite
from r3nn import training

Watch = Callable[[int, float], None]  # (updates made, held-out metric), after each evaluation


def next_count(session: Session) -> int:
    """Updates of the next call."""
    train = session.config.train
    return min(train.log_every, train.updates - session.counters.step)


def trained(session: Session, count: int, metrics: dict[str, Any]) -> float:
    """`count` more updates, of these metrics [count], and their line in the log -> the mean loss."""
    counters = session.counters
    counters.step += count
    means = mean(metrics)
    session.record("train", {**means, "seconds": round(counters.seconds, 3)})
    return means["loss"]


def mean(metrics: dict[str, Any]) -> dict[str, float]:
    """Of each metric [count], over the updates in which a step counted at all; NaN where there is none.

    Of whole sequences that is every update; a piece of truncated backpropagation may hold no counted step.
    """
    counted = np.asarray(metrics["counted"]) > 0
    columns = {name: np.asarray(values, np.float64)[counted] for name, values in metrics.items()}
    del columns["counted"]
    return {name: float(values.mean()) if len(values) else math.nan for name, values in columns.items()}


def not_finite(session: Session) -> NotFinite:
    """What to end with where session.state is not ok; saves it: a resume meets the same bad update again."""
    session.counters.step = int(session.state.step)
    session.save()
    return NotFinite(blame(session.experiment, session.state, session.arrays))


def shared_behind(
    learner: training.Learner, state: training.TrainState, numbers: dict[str, float]
) -> training.TrainState:
    """The state behind an evaluation of these numbers on held-out data, which may change what is shared."""
    if not learner.judges:
        return state
    place = lambda new, old: jax.device_put(jnp.asarray(new, old.dtype), old.sharding)
    shared = jax.tree.map(place, learner.judged(state.carry.shared, numbers), state.carry.shared)
    return state._replace(carry=state.carry._replace(shared=shared))


def judged(session: Session, numbers: dict[str, float], watch: Watch | None) -> bool:
    """These held-out metrics, and their line in the log -> whether they are the best so far.

    Raises: what `watch` raises.
    """
    learner, target, counters = session.experiment.learner, session.config.train.target, session.counters
    session.record("eval", {**numbers, "seconds": round(counters.seconds, 3)})
    value, sign = numbers[learner.metric], 1 if learner.higher_is_better else -1
    better = math.isfinite(value) and (counters.best is None or sign * value > sign * counters.best)
    counters.stale = 0 if better else counters.stale + 1
    if better:
        counters.best, counters.best_step = value, counters.step
        counters.reached = bool(target) and sign * value >= sign * target
    mark = "  (best so far)" if better else ""
    session.screen.say(f"held-out {learner.metric} after update {counters.step}: {value:.4g}{mark}")
    if watch:
        watch(counters.step, value)
    return better


def to_test(session: Session) -> training.TrainState:
    """The best state, which is tested; the last one where that is damaged."""
    best = session.counters.best_step
    if best in (None, session.counters.step):
        return session.state
    try:
        return session.checkpoints.read(best, session.experiment.placed())[0]
    except Damaged as damage:
        session.screen.say(f"the best checkpoint is damaged ({damage}); the last state is tested instead.")
        return session.state


def finish(session: Session, numbers: dict[str, float], tested: int, command: str) -> dict[str, Any]:
    """Writes result.json and the loss curve. numbers: on sequences that decided nothing; tested: the update
    after which the tested state stood."""
    result = _result.collect(session.experiment, session.counters, numbers, tested, command)
    _shared.mine(_result.save, result, session.place)
    return result
