"""Holds the network that is looked into, and what an answer about it is."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.errors import BadInput
from experiments.saved.learned import Learned
from r3nn import training
from r3nn.model import Model, ModelParams
from r3nn.tasks import Batch, Task
from r3nn.time.arrays.trees import batch_axes

ROWS = 32  # test sequences that are looked at
LONGEST = 1000  # steps of them


class DoesNotApply(Exception):
    """Says in a clause why a question has no answer for this network."""


class Picture(NamedTuple):
    """Holds a figure. title: what to see in it. scatter: whether it is of many points."""

    title: str
    figure: Figure
    scatter: bool = False


class Answer(NamedTuple):
    """Holds the answer to a question about a network.

    Attributes:
      answer: a sentence or two.
      sure: how sure it is, and of what it was measured.
      numbers: what the answer is made of, for JSON.
      arrays: what the pictures are made of.
    """

    answer: str
    sure: str
    numbers: dict[str, Any] = {}
    pictures: tuple[Picture, ...] = ()
    arrays: dict[str, np.ndarray] = {}


class Question(NamedTuple):
    """Holds a question, the name of its arrays' file, and what answers it."""

    name: str
    question: str
    ask: Callable[["Subject"], Answer]


@dataclasses.dataclass(frozen=True)
class Subject:
    """Holds a trained network with test sequences.

    model: it predicts at every step. params: float64. batch: leaves [B, T, ...].
    """

    label: str
    learned: Learned
    model: Model
    params: ModelParams
    batch: Batch

    @property
    def task(self) -> Task:
        """Returns the task of the run."""
        return self.learned.experiment.learner.task

    @property
    def body_params(self) -> Any:
        """Returns the parameters of `model.body`."""
        return self.model.body_params(self.params)

    @property
    def xs(self) -> jax.Array:
        """Returns what the body reads, [T, B, D]."""
        return self.encoded(jnp.swapaxes(jnp.asarray(self.batch.inputs), 0, 1))

    @property
    def mask(self) -> np.ndarray | None:
        """Returns which steps exist, bool [T, B]; None: all."""
        valid = np.asarray(self.batch.valid).T
        return None if valid.all() else valid

    @property
    def common(self) -> jax.Array:
        """Returns the steps of `xs` that all sequences have."""
        return self.xs if self.mask is None else self.xs[: int(self.mask.sum(axis=0).min())]

    def encoded(self, inputs: jax.Array) -> jax.Array:
        """Encodes inputs as the model does: ids, or features in float64."""
        if jnp.issubdtype(inputs.dtype, jnp.floating):
            inputs = inputs.astype(jnp.float64)
        return self.model.encoder(self.params.encoder, inputs).astype(jnp.float64)

    def metrics(self, outputs: jax.Array) -> dict[str, float]:
        """Judges what the body gives, [T, B, ...], by the metrics of the task."""
        batch = self.batch
        if self.learned.experiment.learner.model.predict == "mean":
            there = jnp.swapaxes(batch.valid, 0, 1)
            there = there.reshape(*there.shape[:1], *[1] * (outputs.ndim - 3), there.shape[1], 1)
            outputs = (outputs * there).sum(axis=0, keepdims=True) / there.sum(axis=0, keepdims=True)
            batch = training.last_step(batch)
        ys = self.model.predictions(self.params, None, outputs)[:, -1]
        found = self.task.metrics(self.task.tally(jnp.swapaxes(ys, 0, 1), batch))
        return {name: float(value) for name, value in found.items()}

    def states(self) -> tuple[Any, jax.Array]:
        """Runs the body -> (its states, leaves [T, B, ...], and its outputs [T, B, ...])."""
        body, params = self.model.body, self.body_params
        ready = body.prepare(params)

        def step(state, x):
            state = body.step(ready, state, body.project(ready, x))
            return state, (state, body.output(ready, state, x))

        states, outputs = jax.jit(
            lambda xs: jax.lax.scan(step, body.initial_state(params, xs.shape[1:2]), xs)[1]
        )(self.xs)
        axes = batch_axes(body, params)
        return jax.tree.map(lambda axis, leaf: jnp.moveaxis(leaf, axis + 1, 1), axes, states), outputs


def subject_of(learned: Learned, label: str, seed: int) -> Subject:
    """Takes a run as a subject. Raises: BadInput where it holds no network on a task."""
    learner = learned.experiment.learner
    model = getattr(learner, "model", None)
    if not isinstance(learner, training.Supervised) or not isinstance(model, Model):
        raise BadInput(
            f"{label}: an analysis looks into a Model that was trained on a task; this run has none."
        )
    rows = np.arange(min(ROWS, learner.size("test") or ROWS), dtype=np.int32)
    length = (
        learner.length if learner.task.finite else max(min(learner.length, LONGEST), learner.task.min_length)
    )
    at = training.Supervised(model, learner.task, length, batch=len(rows))  # without stages
    arrays = learned.experiment.arrays
    batch = at.draw("test", np.uint32(seed), jnp.int32(0), rows, training.Carry(), arrays).batch
    every = dataclasses.replace(
        model, predict="every", mode="plain", block=None, memory=None, compute_dtype=None
    )
    double = lambda leaf: leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
    params = jax.tree.map(lambda leaf: double(jnp.asarray(leaf)), learned.params)
    return Subject(label, learned, every, params, jax.tree.map(jnp.asarray, batch))
