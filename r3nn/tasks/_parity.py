"""Defines parity: one bit of state that every input can flip."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from r3nn._lookup import check_choice
from r3nn.tasks._base import Batch
from r3nn.tasks._kinds import Classification


@dataclasses.dataclass(frozen=True)
class Parity(Classification):
    """Is the number of ones so far odd?

        x[t] ~ U{0, 1},    y[t] = (x[0] + ... + x[t]) mod 2

    Inputs and targets int32 [B, T]. `labels` says at which steps the loss counts: "last" (the
    published protocol; the targets of the other steps are there, unmasked) or "every".

    Example, length 5:

        x    1   0   1   1   0
        y    1   1   0   1   1      labels="last": only the 1 at the end counts

    Baseline: without the inputs the running parities are independent fair bits: cross-entropy
    ln 2, accuracy 1/2; all counted steps right with probability 1/2 ("last") or 2^-length
    ("every").

    Source: Minsky & Papert 1969, "Perceptrons"; as a test of length generalisation Deletang et al.
    2023, "Neural Networks and the Chomsky Hierarchy".
    """

    labels: str = "last"

    vocab = 2
    out_size = 2

    def __post_init__(self) -> None:
        check_choice("labels", self.labels, ("last", "every"))

    def example(
        self, key: jax.Array, length: jax.Array, max_length: int
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Does what `Task.example` says."""
        bits = jax.random.bernoulli(key, shape=(max_length,)).astype(jnp.int32)
        t = jnp.arange(max_length, dtype=jnp.int32)
        mask = t < length if self.labels == "every" else t == length - 1
        return bits, jnp.cumsum(bits, dtype=jnp.int32) % 2, mask

    def latent(self, batch: Batch) -> jax.Array:
        """Returns the running parity, int32 [B, T]."""
        return batch.targets

    def baseline(self, length: int) -> dict[str, float]:
        """Gives even odds at every step; see the class."""
        counted = length if self.labels == "every" else 1
        return {
            "cross_entropy": math.log(2),
            "accuracy": 0.5,
            "sequence_accuracy": 0.5**counted,
        }
