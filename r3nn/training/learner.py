"""Defines what is trained: a `Learner`, and what it carries from update to update.

The update (`r3nn.training.update`) knows no task. It draws a learner's batch, takes the gradient of its loss,
adds up over the devices, and moves the parameters. Everything else is the learner's: what the data are, what
the loss is, what is carried. `Supervised` is the one that trains a model on a task; another is one file of
your own (r3nn/README.md, "Another loss, other data, another way to learn").

Axes: b rows of a batch on one device, N rows of any number, T time, L depth.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import jax

from r3nn._value import Value

Array = jax.Array
Split = Literal["train", "held_out", "test"]
#: a term of the objective: (weight, sum [] over this device's rows, count [] of what the sum is over)
Term = tuple[Any, Array, Array]


class Carry(NamedTuple):
    """Holds what a learner carries from update to update; either may be ()."""

    rows: Any = ()  # leaves [b, ...], one entry a row: split over the devices
    shared: Any = ()  # the same on every device


@dataclasses.dataclass(frozen=True)
class Learner(Value):
    """A learner is what is trained, as a frozen, hashable value of pure functions: paths and sizes are its
    fields, arrays are not. A subclass is a frozen dataclass, and gives `metric`, `higher_is_better`, `init`,
    `draw`, `loss`, `measure` and `metrics`; the rest have defaults.

    The objective is, over the names of its terms, the sum of weight * sum / count, where sums and counts are
    those of all rows on all devices.
    """

    #: traced scalars of the learner's own, a NamedTuple of their defaults: config.learner.options sets them,
    #: a sweep may vary them, and runs that train side by side may differ in them
    own: ClassVar[Any] = ()
    #: the headline, a key of `metrics`, and whether more of it is better
    metric: ClassVar[str]
    higher_is_better: ClassVar[bool]
    #: another key of `metrics`: of checkpoints that are equal in `metric`, the one with less of it is the
    #: best; None: the first
    tie_breaker: ClassVar[str | None] = None
    #: the keys of `metrics` that are fractions: means over rows or steps of what is right or wrong. Their
    #: 95% interval, in an evaluation, is that of a fraction; the others' is that of a mean of any numbers
    fractions: ClassVar[tuple[str, ...]] = ()
    #: whether devices may make updates of their own (`Spec.sync_every` above 1); `after` then comes once for
    #: all of a round
    local_updates: ClassVar[bool] = True

    def init(self, key: Array) -> Any:
        """Draws fresh parameters, a tree of arrays."""
        raise NotImplementedError(f"{type(self).__name__}.init must be given.")

    def start(self, params: Any, seed: Array, rows: Array) -> Carry:
        """Returns what is carried before the first update. seed: uint32 []. rows: int32 [b], numbers of the
        rows."""
        return Carry()

    def draw(self, split: Split, seed: Array, at: Array, rows: Array, carry: Carry, arrays: Any) -> Any:
        """Draws the batch of these rows, a tree of leaves [b, ...]. All that is random is in it, as arrays or
        as keys.

        What a row holds follows from (split, seed, at, row) and what is carried for this row, not from other
        rows, so that any number of devices draws the same data.
        at: int32 [], updates completed; 0 for the splits that are measured. arrays: those of `arrays`.
        """
        raise NotImplementedError(f"{type(self).__name__}.draw must be given.")

    def loss(self, own: Any, params: Any, carry: Carry, batch: Any) -> tuple[dict[str, Term], Any, Any]:
        """Computes (terms, tally, carry.rows behind the batch) of these rows. own: traced, as `own`. tally:
        leaves [b, ...]."""
        raise NotImplementedError(f"{type(self).__name__}.loss must be given.")

    def measure(self, params: Any, carry: Carry, batch: Any) -> tuple[Any, Any]:
        """Measures held-out and test data, free-running and without noise -> (tally, carry.rows behind
        them)."""
        raise NotImplementedError(f"{type(self).__name__}.measure must be given.")

    def metrics(self, tally: Any) -> dict[str, Array]:
        """Computes floating scalars by name, from a tally of leaves [N, ...] of any N rows."""
        raise NotImplementedError(f"{type(self).__name__}.metrics must be given.")

    def arrays(self) -> Any:
        """Returns finite data, a tree of NumPy arrays: read once on the host of each process, an operand of
        the programs (no constant in them), the same on all devices. None: the data are drawn."""
        return None

    def size(self, split: Split) -> int | None:
        """Counts the rows of a finite split, each measured once; None: as many as are asked for."""
        return None

    def baseline(self) -> dict[str, float]:
        """Returns, by metric, what the best guess gets that does not see the inputs; {} where none is
        known."""
        return {}

    @property
    def width(self) -> int | None:
        """Counts the numbers of a row's state at a time step, by which a CPU's cores are given out; None: all
        are."""
        return None

    def after(self, own: Any, shared: Any, params: Any, sums: Any) -> Any:
        """Returns `Carry.shared` behind an update that led to `params`; sums: the tally, summed over all
        rows."""
        return shared

    def rate(self, own: Any, shared: Any) -> Array | None:
        """Returns what the update's step is multiplied by, a floating [], beside the schedule; None: 1."""
        return None

    def told(self, shared: Any) -> dict[str, Array]:
        """Returns numbers of `Carry.shared` that are logged beside the metrics of an update, []."""
        return {}

    def judged(self, shared: Any, metrics: dict[str, Any]) -> Any:
        """Returns `Carry.shared` behind an evaluation on held-out data, before its checkpoint is saved."""
        return shared

    @property
    def judges(self) -> bool:
        """Says whether `judged` changes anything."""
        return type(self).judged is not Learner.judged

    def streamed(self) -> "Streamed | None":
        """Returns the learner's sequences of any length, in pieces, which `experiments/evaluate.py --lengths`
        measures. None: there are none."""
        return None

    def look(self, params: Any, carry: Carry, batch: Any) -> dict[str, Array]:
        """Returns, by name, the arrays that are searched for numbers that are not finite: [b, T] or [b, T, L,
        ...]."""
        return {}

    @property
    def probes(self) -> tuple[tuple[str, Callable], ...]:
        """Lists (name, function) of what is to be looked at after every `log_every` updates, by a second
        program: the one that trains stays as it is, and nothing of it feeds back.

        function(params, grads, changes, batch, tally) -> a tree of scalars, of the update that comes next;
        changes: what the optimizer would add to the parameters. batch, tally: of all rows, leaves [B, ...].
        """
        return ()

    def optimizer(self, hparams: Any) -> Any:
        """Returns an optax transformation in place of the one that is configured; None: that one."""
        return None


class Last(NamedTuple):
    """Says of each row of a piece whether any step of it counts, and whether the last that does is right."""

    there: Array  # bool [B]
    right: Array  # bool [B]


@dataclasses.dataclass(frozen=True)
class Streamed(Value):
    """Draws sequences of any length for what a learner has trained, taken piece by piece with the state
    carried.

    It is a frozen, hashable value of pure functions, as a learner is. But in a learner the length is static,
    so that each length would be a program of its own, and a draw makes a whole batch. Here a length is a
    traced number and a piece is an operand: one program serves all lengths, and memory does not grow with
    them.

    learner: its `metrics` are those of the tallies. trained: the shortest and the longest length that it is
    trained on. min_length: the shortest that there is.

    Where `block` is a number, sequences are also drawn piece by piece (`before`, `piece`), in the memory of a
    piece; where it is None, they are drawn whole (`draw`).
    """

    learner: Learner
    trained: tuple[int, int]
    min_length: int = 1

    def draw(self, arrays: Any, key: Array, rows: Array, length: Array, steps: int) -> Any:
        """Draws sequences number `rows`, int32 [B], of a length, int32 []: a tree of leaves [B, steps, ...],
        which an evaluation cuts into pieces [B, C, ...].

        A sequence follows from key, its number and the length alone; nothing counts from `length` on.
        arrays: those of `Learner.arrays`.
        """
        raise NotImplementedError(f"{type(self).__name__}.draw must be given.")

    @property
    def block(self) -> int | None:
        """Returns the steps of a block, of which a piece is one or several; None: sequences are drawn
        whole."""
        return None

    def before(self, rows: Array) -> Any:
        """Returns what drawing carries before step 0 of these sequences, where it goes piece by piece."""
        raise NotImplementedError(f"{type(self).__name__}.before must be given.")

    def piece(
        self, arrays: Any, key: Array, rows: Array, length: Array, at: Array, count: int, drawn: Any
    ) -> tuple[Any, Any]:
        """Draws steps at .. at + count of the sequences of `draw` -> (what drawing then carries, leaves
        [B, count, ...]).

        at: int32 [], a multiple of `block`, as the static `count` is. drawn: what drawing carries so far.
        """
        raise NotImplementedError(f"{type(self).__name__}.piece must be given.")

    def start(self, params: Any, shared: Any, size: int) -> Any:
        """Returns what is carried before the first piece of `size` sequences. shared: `Carry.shared` of the
        run."""
        raise NotImplementedError(f"{type(self).__name__}.start must be given.")

    def measure(self, params: Any, carry: Any, piece: Any) -> tuple[Any, Any]:
        """Measures a piece -> (tally of leaves [B, ...], what is then carried); tallies of pieces add up."""
        raise NotImplementedError(f"{type(self).__name__}.measure must be given.")

    def measure_last(self, params: Any, carry: Any, piece: Any) -> tuple[Any, Any, Any]:
        """Measures a piece as `measure` does -> (tally, its last counted step, what is then carried).

        The middle one is a `Last`, from which an evaluation makes last_accuracy; () where a learner says no
        class at a step.
        """
        tally, carry = self.measure(params, carry, piece)
        return tally, (), carry

    def baseline(self, length: int) -> dict[str, float]:
        """Does as `Learner.baseline`, at this length."""
        return {}
