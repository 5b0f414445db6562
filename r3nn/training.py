"""Training as pure functions: data from (seed, step), one update, many updates in one call, evaluation.

What is static stands in a `Spec`, which is hashable; what can be swept stands in `HParams`, a tree of traced
scalars, so that trials of one architecture can run side by side in one program.
"""

import dataclasses
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from jax import lax

from r3nn._names import check_choice, check_int, unknown
from r3nn.tasks import Batch, Task

Array = jax.Array
INIT, TRAIN, LENGTHS, HELD_OUT, TEST = range(5)  # streams of random numbers under one seed
SCHEDULES = ("constant", "cosine", "linear")


class Trainable(Protocol):
    """What is trained: `r3nn.model.Model`, or a Flax module behind `r3nn.nnx.Functional`."""

    def start(self, params, batch_shape: tuple[int, ...]):
        """The carry before the first step."""

    def chunk(self, params, carry, xs, mask=None, reset=None):
        """(carry, predictions [T, B, O])."""

    def chunk_depths(self, params, carry, xs, mask=None, reset=None, targets=None):
        """(carry, predictions at every depth [T, L, B, O])."""


class HParams(NamedTuple):
    """Traced scalars: float32, the seed uint32."""

    seed: Any = 0
    learning_rate: Any = 1e-3  # at the schedule's peak
    weight_decay: Any = 0.0
    clip: Any = jnp.inf  # global norm that gradients are scaled down to; inf: never
    b1: Any = 0.9  # first decay rate (adam family), or momentum (sgd, rmsprop)
    b2: Any = 0.999  # second decay rate
    depth_weight: Any = 1.0  # of each shallower depth's loss, where the deepest's weighs 1


#: optimizer by name: (learning-rate schedule, hparams) -> optax transformation
OPTIMIZERS = {
    "adam": lambda rate, h: optax.adam(rate, b1=h.b1, b2=h.b2),
    "adamw": lambda rate, h: optax.adamw(rate, b1=h.b1, b2=h.b2, weight_decay=h.weight_decay),
    "nadam": lambda rate, h: optax.nadam(rate, b1=h.b1, b2=h.b2),
    "amsgrad": lambda rate, h: optax.amsgrad(rate, b1=h.b1, b2=h.b2),
    "sgd": lambda rate, h: optax.sgd(rate, momentum=h.b1),
    "rmsprop": lambda rate, h: optax.rmsprop(rate, decay=h.b2, momentum=h.b1),
    "lion": lambda rate, h: optax.lion(rate, b1=h.b1, b2=h.b2, weight_decay=h.weight_decay),
    "lamb": lambda rate, h: optax.lamb(rate, b1=h.b1, b2=h.b2, weight_decay=h.weight_decay),
}


@dataclasses.dataclass(frozen=True)
class Spec:
    """All that is static about a training run.

    model: what is trained. task: what on. batch: sequences per update. min_length, max_length: the lengths,
    in steps, drawn uniformly per sequence. optimizer, schedule: by name; the schedule rises over `warmup`
    updates and falls to `end_fraction` of the peak at `updates`. predict_last: predictions come for the last
    step alone. teacher_forcing: true outputs feed back in training.
    """

    model: Trainable
    task: Task
    batch: int
    max_length: int
    updates: int
    min_length: int | None = None
    optimizer: str = "adam"
    schedule: str = "constant"
    warmup: int = 0
    end_fraction: float = 0.0
    predict_last: bool = False
    teacher_forcing: bool = False

    def __post_init__(self):
        check_int("batch", self.batch, 1)
        check_int("updates", self.updates, 1)
        check_int("warmup", self.warmup, 0, self.updates)
        check_int("length", self.max_length, self.task.min_length)
        check_int("min_length", self.shortest, self.task.min_length, self.max_length)
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(unknown("optimizer", self.optimizer, OPTIMIZERS))
        check_choice("schedule", self.schedule, SCHEDULES)

    @property
    def shortest(self) -> int:
        """The least length that is drawn."""
        return self.max_length if self.min_length is None else self.min_length


class TrainState(NamedTuple):
    """What a run carries from update to update, and what a checkpoint holds."""

    params: Any
    opt_state: Any
    step: Array  # int32 [], updates completed
    carry: Any  # the body's state between pieces of one sequence; None: each update starts afresh
    ok: Array  # bool []; False: `step` met a non-finite loss or gradient, and nothing changed since


def optimizer(spec: Spec, hparams: HParams) -> optax.GradientTransformation:
    """Clipping by global norm, then the named optimizer under the named schedule."""

    def rate(count):
        return hparams.learning_rate * _schedule(spec, count)

    return optax.chain(optax.clip_by_global_norm(hparams.clip), OPTIMIZERS[spec.optimizer](rate, hparams))


def _schedule(spec: Spec, count):
    """The fraction of the peak rate at an update: linear warm-up, then the named fall."""
    rise = jnp.minimum(1.0, (count + 1) / max(1, spec.warmup)) if spec.warmup else 1.0
    done = jnp.clip((count - spec.warmup) / max(1, spec.updates - spec.warmup), 0.0, 1.0)
    falls = {"constant": 0.0, "linear": done, "cosine": 0.5 * (1 - jnp.cos(jnp.pi * done))}
    return rise * (1 - (1 - spec.end_fraction) * falls[spec.schedule])


def start(spec: Spec, hparams: HParams, params) -> TrainState:
    """The state before the first update."""
    opt_state = optimizer(spec, hparams).init(params)
    return TrainState(params, opt_state, jnp.int32(0), None, jnp.bool_(True))


def stream(seed, name: int) -> Array:
    """The PRNG key of one stream (INIT, TRAIN, LENGTHS, HELD_OUT, TEST) under a seed."""
    return jax.random.fold_in(jax.random.key(seed), name)


def batch_at(spec: Spec, seed, step) -> Batch:
    """The batch of an update: a pure function of (seed, step)."""
    lengths = spec.max_length
    if spec.shortest < spec.max_length:
        key = jax.random.fold_in(stream(seed, LENGTHS), step)
        lengths = jax.random.randint(key, (spec.batch,), spec.shortest, spec.max_length + 1)
    key = jax.random.fold_in(stream(seed, TRAIN), step)
    return spec.task.sample(key, spec.batch, lengths, spec.max_length)


def predictions(spec: Spec, params, batch: Batch, teacher_forcing: bool = False) -> Array:
    """Predictions at every depth, [L, B, T, O], from the start of each sequence."""
    xs, targets, valid = (jnp.swapaxes(leaf, 0, 1) for leaf in (batch.inputs, batch.targets, batch.valid))
    mask = valid if spec.shortest < batch.valid.shape[1] else None
    carry = spec.model.start(params, (len(batch.valid),))
    fed = targets if teacher_forcing else None
    _, ys = spec.model.chunk_depths(params, carry, xs, mask, None, fed)
    return jnp.transpose(ys, (1, 2, 0, 3))


def last_step(batch: Batch) -> Batch:
    """Each sequence's last step alone, [B, 1, ...]."""
    last = batch.valid.sum(axis=1) - 1

    def pick(leaf):
        index = last.reshape(-1, *[1] * (leaf.ndim - 1))
        return jnp.take_along_axis(leaf, index, axis=1)

    return Batch(*map(pick, batch))


def loss(spec: Spec, hparams: HParams, params, batch: Batch) -> tuple[Array, dict[str, Array]]:
    """The deepest prediction's loss and, weighted, that of every other depth; with the metrics."""
    ys = predictions(spec, params, batch, spec.teacher_forcing)
    counted = last_step(batch) if spec.predict_last else batch
    each = [spec.task.loss(y, counted) for y in ys]
    total = each[-1] + hparams.depth_weight * sum(each[:-1])
    total = total / (1 + hparams.depth_weight * (len(each) - 1))
    return total, spec.task.metrics(spec.task.tally(ys[-1], counted))


def gradients(spec: Spec, hparams: HParams, state: TrainState) -> tuple[Array, dict[str, Array], Any]:
    """Loss, metrics and gradients of the next update, on its own batch."""
    batch = batch_at(spec, hparams.seed, state.step)
    of_params = lambda params: loss(spec, hparams, params, batch)
    (value, metrics), grads = jax.value_and_grad(of_params, has_aux=True)(state.params)
    return value, metrics, grads


def update(spec: Spec, hparams: HParams, state: TrainState) -> tuple[TrainState, dict[str, Array]]:
    """One update; from the first non-finite loss or gradient on, none: `ok` is False and `step` names it."""
    value, metrics, grads = gradients(spec, hparams, state)
    norm = optax.tree.norm(grads)
    ok = state.ok & jnp.isfinite(value) & jnp.isfinite(norm)
    changes, opt_state = optimizer(spec, hparams).update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, changes)
    new = TrainState(params, opt_state, state.step + 1, state.carry, ok)
    kept = jax.tree.map(lambda a, b: jnp.where(ok, a, b), new, state._replace(ok=ok))
    return kept, {"loss": value, "grad_norm": norm, **metrics}


def updates(spec: Spec, hparams: HParams, state: TrainState, count: int):
    """`count` updates in one scan -> (state, metrics of each, [count])."""
    return lax.scan(lambda state, _: update(spec, hparams, state), state, length=count)


class Finite(NamedTuple):
    """Which numbers of an update are finite."""

    predictions: Array  # bool [L, B, T] (T = 1 under predict_last)
    gradients: Any  # bool [] for each parameter


def diagnose(spec: Spec, hparams: HParams, state: TrainState) -> Finite:
    """What was finite in the update that `state` is frozen before: its batch follows from (seed, step)."""
    batch = batch_at(spec, hparams.seed, state.step)
    ys = predictions(spec, state.params, batch, spec.teacher_forcing)
    _, _, grads = gradients(spec, hparams, state)
    return Finite(jnp.isfinite(ys).all(-1), jax.tree.map(lambda g: jnp.isfinite(g).all(), grads))


def evaluate(spec: Spec, params, key: Array, batch: int, length: int) -> dict[str, Array]:
    """The task's metrics on fresh sequences of one length, free-running."""
    data = spec.task.sample(key, batch, length, length)
    whole = dataclasses.replace(spec, min_length=None, max_length=length)
    ys = predictions(whole, params, data)[-1]
    return spec.task.metrics(spec.task.tally(ys, last_step(data) if spec.predict_last else data))


class Stream(NamedTuple):
    """Where an evaluation in pieces stands: the body's carry, and the sums so far."""

    carry: Any
    tally: Any


def evaluate_chunk(spec: Spec, params, at: Stream, piece: Batch) -> Stream:
    """The next piece [B, C, ...] of long sequences: memory does not grow with their length."""
    xs, valid = (jnp.swapaxes(leaf, 0, 1) for leaf in (piece.inputs, piece.valid))
    carry, ys = spec.model.chunk(params, at.carry, xs, valid)
    counted = last_step(piece) if spec.predict_last else piece
    tally = spec.task.tally(jnp.swapaxes(ys, 0, 1), counted)
    return Stream(carry, jax.tree.map(jnp.add, at.tally, tally))


def start_stream(spec: Spec, params, batch: int) -> Stream:
    """Before the first piece."""
    carry = spec.model.start(params, (batch,))
    shape = jax.eval_shape(
        lambda key: spec.task.sample(key, batch, spec.max_length, spec.max_length), stream(0, 0)
    )
    out = jax.ShapeDtypeStruct((batch, spec.max_length, spec.task.out_size), jnp.float32)
    tally = jax.eval_shape(spec.task.tally, out, shape)
    return Stream(carry, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), tally))
