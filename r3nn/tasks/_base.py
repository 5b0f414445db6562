"""Defines what a task is: a distribution over sequences, a loss, metrics and a trivial baseline.

A task is a frozen dataclass, so it can be a static argument of a jitted function. Its
options are dataclass fields: `dataclasses.replace(task, option=...)` is another task. Its facts
(`vocab`, `out_size`, ...) are class attributes, or properties where they follow from the options.

A new task is one file: subclass `Regression` or `Classification`, give the facts, `example` (ONE
sequence; `sample` batches and pads it) and `baseline`, and add a row to `TASKS`.

Axes: B batch, T time (= max_length), D input features, O outputs.
"""

import dataclasses
import functools
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from r3nn import losses
from r3nn._lookup import check_int
from r3nn._value import Value


class Batch(NamedTuple):
    """Holds B sequences, padded to T steps; padding is 0 in inputs and targets, False in the masks.

    Attributes:
      inputs: float32 [B, T, D], or ids int32 [B, T] in [0, vocab).
      targets: float32 [B, T, O], or class ids int32 [B, T] in [0, out_size).
      mask: bool [B, T], where the loss counts; within `valid`.
      valid: bool [B, T], which steps exist: t < length, or the row's own length where it is shorter.
    """

    inputs: jax.Array
    targets: jax.Array
    mask: jax.Array
    valid: jax.Array


class Automaton(NamedTuple):
    """Holds a deterministic machine that says what a task asks for: NumPy arrays, for S states and V tokens.

    Attributes:
      next: int32 [S, V], the state behind a token; -1 where no sequence of the task goes on with it.
      output: int32 [S], the target at a step that led to this state; -1 where the task never asks there.
      start: the state before the first token.
    """

    next: np.ndarray
    output: np.ndarray
    start: int


class Tally(NamedTuple):
    """Sums over the counted steps of each sequence, so that metrics need no whole sequence.

    The tallies of the time chunks of one batch add up, leaf by leaf, to the tally of the batch;
    tallies of different sequences concatenate along B.

    Attributes:
      loss: floating [B].
      correct: int32 [B], steps got right (Classification: the most likely class is the target;
        Regression: every output within `tolerance`).
      count: int32 [B], steps counted.
    """

    loss: jax.Array
    correct: jax.Array
    count: jax.Array


@dataclasses.dataclass(frozen=True)
class Task(Value):
    """A task is this protocol; subclass `Regression` or `Classification` instead.

    Attributes:
      vocab: inputs are ids in [0, vocab); None means float features.
      in_size: features of a float input; for ids, of their one-hot code (= vocab).
      out_size: O, what a model of this task predicts per step.
      kind: "regression" or "classification".
      metric: the headline, a key of `metrics`.
      higher_is_better: whether a larger `metric` is the better one.
      tie_breaker: another key of `metrics`, of which less is better, for values of `metric` that are equal;
        None: there is none.
      fractions: the keys of `metrics` that are fractions: means over sequences or steps of what is right or
        wrong.
      min_length: the shortest sequence that makes sense.
      own_lengths: whether a sequence may be shorter than the length it is drawn for, as those of a grammar
        are, which do not come in every length. `Batch.valid` says how long each is.
      lyapunov: of a chaotic signal whose targets are the next inputs, its largest Lyapunov exponent, in nats
        a step, by which a model's free run is judged. None: of any other task.
      block: steps of a block, where the task draws piece by piece (`piece`); None: it draws whole.
      finite: whether its sequences are rows of finite data, which are taken rather than drawn: the task is
        then a `r3nn.tasks.Finite`.
    """

    vocab: ClassVar[int | None] = None
    out_size: ClassVar[int]
    kind: ClassVar[str]
    metric: ClassVar[str]
    higher_is_better: ClassVar[bool]
    tie_breaker: ClassVar[str | None] = None
    fractions: ClassVar[tuple[str, ...]] = ()
    min_length: ClassVar[int] = 1
    own_lengths: ClassVar[bool] = False
    lyapunov: ClassVar[float | None] = None
    block: ClassVar[int | None] = None
    finite: ClassVar[bool] = False

    @property
    def in_size(self) -> int:
        """Returns the number of features of one input step."""
        return self.vocab

    def sample(self, key: jax.Array, batch: int, length: Any, max_length: int) -> Batch:
        """Draws a batch. Pure; under jit, `batch` and `max_length` are static, `length` traced.

        Row i comes from fold_in(key, i) and length[i] alone: not from the other rows, nor from
        `batch`, nor, beyond the amount of padding, from `max_length` (the last holds for JAX's
        default random generator). Rows of different lengths share no promise.

        Args:
          key: typed or legacy PRNG key.
          batch: B.
          length: int or integer array [] or [B], the number of steps, in [min_length, max_length].
          max_length: T.

        Raises:
          ValueError: an argument is out of range. A traced length cannot be checked; out of range
            it gives an unspecified batch.
        """
        check_int("batch", batch, 1)
        check_int("max_length", max_length, self.min_length)
        lengths = self._lengths(length, batch, max_length)
        return _sample(self, key, lengths, max_length)

    def draw(self, keys: jax.Array, length: Any, max_length: int) -> Batch:
        """Draws as `sample`, row i from keys[i] alone: sample(key, B, ...) is that for fold_in(key, i), i <
        B.

        keys: PRNG keys [B].
        """
        check_int("max_length", max_length, self.min_length)
        return _draw(self, keys, self._lengths(length, len(keys), max_length), max_length)

    def example(self, key: jax.Array, length: jax.Array, max_length: int) -> tuple[jax.Array, ...]:
        """Draws one sequence: inputs, targets and mask of [T, D] or [T], [T, O] or [T], and [T].

        Where `own_lengths` is true a fourth entry follows: the steps that the sequence has, int32 [], at
        least 1 and at most `length`.
        `length` is a traced int32 scalar. Steps from `length` on may hold anything: `sample` clears
        them. For rows that do not depend on `max_length`, let it be only the first axis of draws
        (a prefix of those does not depend on their size) and permute nothing that long.
        """
        raise NotImplementedError

    def piece(
        self, key: jax.Array, state: jax.Array, at: jax.Array, count: int, length: jax.Array
    ) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        """Draws steps at .. at + count of the sequence that `example` draws for this key and length, in the
        memory of these steps -> (the state behind them, (inputs, targets, mask) [count]).

        Block k of `block` steps comes from fold_in(key, k) and the state alone. at: int32 [], traced, a
        multiple of `block`, as the static `count` is. state: int32 [], before step 0 that of `automaton`.
        """
        raise NotImplementedError(f"{type(self).__name__} draws whole sequences: its `block` is None.")

    def own(self, length: Any) -> Any:
        """Returns the steps of a sequence drawn in pieces for `length`, an int or a traced one."""
        return length

    def automaton(self) -> Automaton | None:
        """Returns the machine whose outputs are the targets, for tasks of ids that have one."""
        return None

    def steps(self, n: int) -> int:
        """Returns the `length` of what the task's source calls size n; see the task's docstring."""
        return n

    def counted(self, max_length: int) -> int | None:
        """Bounds the steps that count in a sequence of at most max_length steps, tightly; None: unknown.

        By this bound a model with predict="counted" need not predict at all the other steps.
        """
        del max_length
        return None

    def arrays(self) -> dict[str, Any] | None:
        """Returns finite data, trees of NumPy arrays by split: train, held_out, test. None: it draws."""
        return None

    def rows(self, split: str, length: int) -> int | None:
        """Counts the sequences of a split of finite data; None: as many as are asked for can be drawn."""
        del split, length
        return None

    def latent(self, batch: Batch) -> jax.Array | None:
        """Returns what has to be remembered after each step, int32 or float32 [B, T]; None if unnamed.

        Several numbers, such as the total and the factor of a sum, are [B, T, K]. Meaningful where
        `batch.valid`. For probes, automaton extraction and figures, not for training.
        """
        del batch
        return None

    def decode(self, ids: np.ndarray) -> str:
        """Writes ids [T] as people read them: as numbers, unless a task knows what its ids stand for."""
        return " ".join(map(str, ids.tolist()))

    def tally(self, predictions: jax.Array, batch: Batch) -> Tally:
        """Returns the sums of a batch, or of a chunk of its time axis, from predictions [B, T, O].

        A subclass may return a pytree of more [B] sums, with these three fields in it.
        """
        raise NotImplementedError

    def loss(self, predictions: jax.Array, batch: Batch) -> jax.Array:
        """Returns the mean over all counted steps of the batch, the scalar that training minimises."""
        tally = self.tally(predictions, batch)
        return losses.mean(tally.loss, tally.count)

    def metrics(self, tally: Tally) -> dict[str, jax.Array]:
        """Computes floating scalars by name, from a tally; 0 where nothing counted."""
        raise NotImplementedError

    def baseline(self, length: int) -> dict[str, float]:
        """Returns each of `metrics` for the best predictor that sees time and length but no input."""
        raise NotImplementedError

    def _lengths(self, length: Any, batch: int, max_length: int) -> jax.Array:
        """Returns `length` as int32 [B], checked as far as it is known."""
        length = length if isinstance(length, jax.Array) else np.asarray(length)
        if length.shape not in ((), (batch,)) or not jnp.issubdtype(length.dtype, jnp.integer):
            raise ValueError(
                f"length must be an integer, or an integer array [{batch}] (one a row), "
                f"got {length.dtype} {list(length.shape)}."
            )
        if not isinstance(length, jax.core.Tracer):
            for value in np.ravel(length).tolist():
                check_int("length", value, self.min_length, max_length)
        return jnp.broadcast_to(jnp.asarray(length, jnp.int32), (batch,))


# Jitted, so that a call outside jit compiles one program rather than one for every operation.
@functools.partial(jax.jit, static_argnames=("task", "max_length"))
def _sample(task: Task, key: jax.Array, lengths: jax.Array, max_length: int) -> Batch:
    rows = jnp.arange(len(lengths), dtype=jnp.uint32)
    return _draw(task, jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, rows), lengths, max_length)


@functools.partial(jax.jit, static_argnames=("task", "max_length"))
def _draw(task: Task, keys: jax.Array, lengths: jax.Array, max_length: int) -> Batch:
    example = jax.vmap(functools.partial(task.example, max_length=max_length))
    inputs, targets, mask, *own = example(keys, lengths)
    return padded(inputs, targets, mask, own[0] if own else lengths)


def padded(inputs: jax.Array, targets: jax.Array, mask: jax.Array, lengths: jax.Array) -> Batch:
    """Makes a batch of sequences, leaves [B, T, ...], of which all is cleared behind their lengths, int32
    [B]."""
    valid = jnp.arange(mask.shape[1], dtype=jnp.int32)[None] < lengths[:, None]
    return Batch(_pad(inputs, valid), _pad(targets, valid), mask & valid, valid)


def _pad(x: jax.Array, valid: jax.Array) -> jax.Array:
    keep = valid.reshape(valid.shape + (1,) * (x.ndim - valid.ndim))
    return jnp.where(keep, x, jnp.zeros((), x.dtype))
