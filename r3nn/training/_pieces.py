"""Takes a task's sequences of any length through a model, piece by piece."""

import dataclasses

import jax
import jax.numpy as jnp

from r3nn.tasks import Batch
from r3nn.training.learner import Streamed

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Pieces(Streamed):
    """Streams the sequences of a `Supervised`, free-running and without noise."""

    def draw(self, arrays, key: Array, rows: Array, length: Array, steps: int) -> Batch:
        """Draws fresh sequences, [B, steps, ...]."""
        one = lambda row: self.learner.task.sample(jax.random.fold_in(key, row), 1, length, steps)
        return jax.tree.map(lambda leaf: leaf[:, 0], jax.vmap(one)(rows))

    def start(self, params, shared, size: int):
        """Returns the model's carry before the first step of `size` sequences."""
        return self.learner.model.start(params, (size,))

    def measure(self, params, carry, piece: Batch):
        """Measures a piece [B, C, ...] -> (the task's tally, the model's carry behind it)."""
        xs, valid = (jnp.swapaxes(leaf, 0, 1) for leaf in (piece.inputs, piece.valid))
        carry, ys = self.learner.model.chunk_depths(params, carry, xs, valid, None, None)
        return self.learner.task.tally(jnp.swapaxes(ys[:, -1], 0, 1), self.learner.predicted(piece)), carry

    def baseline(self, length: int) -> dict[str, float]:
        """Returns the task's metrics for the best guess without the inputs, at this length."""
        return self.learner.task.baseline(length)
