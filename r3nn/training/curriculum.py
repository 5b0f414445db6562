"""Trains in stages: on short sequences before long ones, on random words before harder ones.

A stage has a longest length and a task. It ends on success, when the share of counted steps that are right,
averaged over about the last ten updates, passes a threshold; no stage has a quota of updates. Training
sequences are drawn afresh for each update, so that this share is one of sequences never seen before. The last
stage lasts until training ends, and the learning rate may fall along it.

Where a run stands is `Carry.shared`: it is part of each checkpoint, and follows from the seed.

Sources: Bengio et al. 2009, "Curriculum learning"; over lengths, growing on success, Zaremba & Sutskever
2014, "Learning to execute", and the training of Siems et al. 2025, "DeltaProduct", on word problems.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from r3nn._lookup import FieldError, check_int
from r3nn.tasks import Batch, Task
from r3nn.training.learner import Carry
from r3nn.training.supervised import Piece, Supervised

Array = jax.Array
_SHARE = 0.1  # of the newest update in the running share of right steps


class Progress(NamedTuple):
    """Says where a curriculum stands."""

    stage: Array  # int32 []
    right: Array  # float32 [], running share of right steps in this stage, from 0
    updates: Array  # int32 [], completed
    since: Array  # int32 [], updates completed when the stage began


@dataclasses.dataclass(frozen=True)
class Curriculum(Supervised):
    """Trains a model on a task in stages; held-out and test data are those of the last one.

    lengths: the longest lengths of the stages before the last, which has `length`. first: the task of those
    stages, where it is another (with the same inputs and outputs): a stage with it at `length` then stands
    before the last. success: the share of right steps that ends a stage; the running share starts at 0, so
    that at 0.97 a stage has at least 34 updates. updates: of all training, each of all devices together
    (`Spec.sync_every` must be 1).
    end_fraction: of the learning rate, at the end of the last stage, to which it falls along a cosine.

    Each length is a branch of the training program: an update of a stage costs what its length costs, and a
    length costs its compile time. Where runs train side by side on an accelerator, all branches are taken.
    """

    lengths: tuple[int, ...] = ()
    first: Task | None = None
    success: float = 0.97
    updates: int = 0
    end_fraction: float = 1.0

    local_updates = False

    def __post_init__(self):
        super().__post_init__()
        check_int("updates", self.updates, 1)
        if not 0 <= self.success < 1:
            raise FieldError("success", f"success={self.success}: must be at least 0 and below 1.")
        if self.task.finite:
            raise FieldError("lengths", f"lengths={list(self.lengths)}: the data of its task are finite.")
        if getattr(self.task, "tolerance", 0) is None:
            what = "its task has no tolerance, by which a step would be right"
            raise FieldError("lengths", f"lengths={list(self.lengths)}: {what}.")
        if self.tbptt:
            raise FieldError(
                "tbptt", f"tbptt={self.tbptt}: must be 0 in a curriculum, whose updates are whole."
            )
        floor = max(self.task.min_length, self.min_length)
        if [*self.lengths] != sorted({*self.lengths}) or not all(
            floor <= length < self.length for length in self.lengths
        ):
            must = f"must grow, from at least {floor} to less than the length {self.length}"
            raise FieldError("lengths", f"lengths={list(self.lengths)}: {must}.")
        if not self.lengths and self.first is None:
            raise FieldError("lengths", "lengths=[]: there must be some, or another task to begin with.")

    @property
    def stages(self) -> tuple[int, ...]:
        """Lists the longest length of each stage."""
        return (*self.lengths, self.length, *[self.length] * (self.first is not None))

    def start(self, params, seed, rows: Array) -> Carry:
        """Begins with the first stage."""
        zero = jnp.int32(0)
        return Carry(shared=Progress(zero, jnp.float32(0), zero, zero))

    # Data: those of the stage, padded to the full length.

    def draw(self, split, seed, at, rows: Array, carry: Carry, arrays) -> Piece:
        """Draws the rows of the stage in training; elsewhere those of the last stage."""
        if split != "train":
            return super().draw(split, seed, at, rows, carry, arrays)
        stage = carry.shared.stage
        longest = jnp.asarray(self.stages, jnp.int32)[stage]
        lengths = self._lengths(seed, at, rows, longest)
        drawn = lambda task: lambda: task.draw(self._row_keys(seed, at, rows), lengths, self.length)
        if self.first is None:
            batch = drawn(self.task)()
        else:
            batch = lax.cond(stage < len(self.stages) - 1, drawn(self.first), drawn(self.task))
        return Piece(batch, noise=self._noise(seed, at, rows))

    # Loss: each length is a branch.

    def loss(self, own, params, carry: Carry, piece: Piece):
        """Does as `Supervised.loss`, on the steps that the stage's sequences may have."""
        lengths = sorted({*self.stages})

        def branch(length: int):
            def run():
                batch = Batch(*(leaf[:, :length] for leaf in piece.batch))
                terms, tally, _ = super(Curriculum, self).loss(
                    own, params, carry, piece._replace(batch=batch)
                )
                return terms["loss"][1:], tally

            return run

        which = jnp.asarray([lengths.index(length) for length in self.stages], jnp.int32)
        (summed, count), tally = lax.switch(which[carry.shared.stage], [branch(length) for length in lengths])
        return {"loss": (1.0, summed, count)}, tally, ()

    def after(self, own, shared: Progress, params, sums) -> Progress:
        """Counts an update, and goes on to the next stage on success."""
        share = sums.correct.sum() / jnp.maximum(sums.count.sum(), 1)
        right = shared.right + _SHARE * (share.astype(jnp.float32) - shared.right)
        updates = shared.updates + 1
        through = (right >= self.success) & (shared.stage < len(self.stages) - 1)
        behind = Progress(shared.stage + 1, jnp.float32(0), updates, updates)
        stays = Progress(shared.stage, right, updates, shared.since)
        return jax.tree.map(lambda new, old: jnp.where(through, new, old), behind, stays)

    def rate(self, own, shared: Progress) -> Array:
        """Returns 1, and in the last stage what falls from there to `end_fraction`."""
        done = (shared.updates - shared.since) / jnp.maximum(self.updates - shared.since, 1)
        falling = self.end_fraction + (1 - self.end_fraction) * (1 + jnp.cos(jnp.pi * done)) / 2
        return jnp.where(shared.stage == len(self.stages) - 1, falling, 1.0).astype(jnp.float32)

    def told(self, shared: Progress) -> dict[str, Any]:
        """Logs the stage and the longest length in it."""
        return {"stage": shared.stage, "stage_length": jnp.asarray(self.stages, jnp.int32)[shared.stage]}
