"""What the tests of training share: a spec with another field of its learner, and its numbers."""

import dataclasses

import jax.numpy as jnp

from r3nn import losses
from r3nn.tasks import Batch
from r3nn.training import Carry, HParams, Piece, Spec, Split


def learning(spec: Spec, **fields) -> Spec:
    """The spec with other fields of its learner."""
    return dataclasses.replace(spec, learner=dataclasses.replace(spec.learner, **fields))


def batch_at(spec: Spec, seed, numbers, rows=None) -> Batch:
    """`Supervised.batch_at` of all rows, or of some."""
    rows = jnp.arange(spec.batch, dtype=jnp.int32) if rows is None else rows
    return spec.learner.batch_at(seed, numbers, rows)


def loss(spec: Spec, hparams: HParams, params, batch: Batch):
    """The loss of whole sequences, without noise."""
    terms, _, _ = spec.learner.loss(hparams.own, params, Carry(), Piece(batch))
    (weight, summed, count) = terms["loss"]
    return weight * losses.mean(summed, count)


def predictions(spec: Spec, params, batch: Batch):
    """[L, B, T, O], from the start of each sequence."""
    return spec.learner.predictions(params, batch)


def evaluate(spec: Spec, params, batch: int, split: Split = "held_out"):
    """Those of `training.evaluate`, of a learner that shares nothing."""
    from r3nn import training

    return training.evaluate(spec, params, (), batch, split)
