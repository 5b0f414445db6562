"""Defines the adding problem: remember two numbers over a long gap."""

import dataclasses

import jax
import jax.numpy as jnp

from r3nn.tasks._base import Batch
from r3nn.tasks._kinds import Regression


@dataclasses.dataclass(frozen=True)
class Adding(Regression):
    """Adds the two marked numbers of a sequence; the answer counts at the last step only.

        x[t, 0] ~ U[0, 1)
        x[t, 1] = 1 at t = i and t = j, else 0;  i ~ U{0 .. n//2 - 1},  j ~ U{n//2 .. n - 1}
        y[n-1]  = x[i, 0] + x[j, 0]                                     (n the length)

    Inputs float32 [B, T, 2], targets float32 [B, T, 1] (0 before the last step).

    Example, length 4, i = 1, j = 2:

        x[:, 0]   .9   .2   .5   .7
        x[:, 1]    0    1    1    0
        y          -    -    -   .7

    Baseline: without the inputs the best guess is the mean, 1, whose error is the variance of two
    uniforms, 2/12: mse 1/6. The sum has the density of a triangle on [0, 2], hence is within d of
    1 with probability 2d - d^2, .0784 for d = .04. (A predictor that holds one of the two numbers
    gets 1/12: a plateau seen in practice.)

    Source: Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", whose criterion of success is
    an error below .04; in this form, one marker a half, Arjovsky, Shah & Bengio 2016, "Unitary
    Evolution Recurrent Neural Networks".
    """

    in_size = 2
    out_size = 1
    min_length = 2
    tolerance = 0.04

    def example(
        self, key: jax.Array, length: jax.Array, max_length: int
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Does what `Task.example` says."""
        key_markers, key_values = jax.random.split(key)
        half = length // 2
        low, high = jnp.stack([jnp.zeros_like(half), half]), jnp.stack([half, length])
        i, j = jax.random.randint(key_markers, (2,), low, high, jnp.int32)
        values = jax.random.uniform(key_values, (max_length,), jnp.float32)
        t = jnp.arange(max_length, dtype=jnp.int32)
        last = t == length - 1
        inputs = jnp.stack([values, ((t == i) | (t == j)).astype(jnp.float32)], axis=-1)
        targets = jnp.where(last, values[i] + values[j], 0)[:, None]
        return inputs, targets, last

    def counted(self, max_length: int) -> int:
        """Counts the last step."""
        del max_length
        return 1

    def latent(self, batch: Batch) -> jax.Array:
        """Returns the sum of the marked numbers so far, float32 [B, T]."""
        return jnp.cumsum(batch.inputs[..., 0] * batch.inputs[..., 1], axis=1)

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses 1, the mean of the answer, whatever the length; see the class."""
        del length
        return {"mse": 1 / 6, "within_tolerance": 2 * self.tolerance - self.tolerance**2}
