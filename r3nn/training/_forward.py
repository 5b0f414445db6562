"""From parameters and a batch to predictions, loss and metrics."""

import jax
import jax.numpy as jnp

from r3nn import losses
from r3nn.tasks import Batch
from r3nn.training._data import last_step
from r3nn.training._spec import HParams, Spec

Array = jax.Array


def predictions(spec: Spec, params, batch: Batch, teacher_forcing: bool = False) -> Array:
    """Predictions at every depth, [L, B, T, O], from the start of each sequence, without noise."""
    carry = spec.model.start(params, (len(batch.valid),))
    return predict(spec, params, carry, batch, teacher_forcing)[1]


def predict(spec: Spec, params, carry, batch: Batch, teacher_forcing: bool, noise=None):
    """(carry, predictions [L, B, T, O]) of a batch that goes on from a carry; noise: for each row."""
    xs, targets, valid = (jnp.swapaxes(leaf, 0, 1) for leaf in (batch.inputs, batch.targets, batch.valid))
    mask = valid if spec.padded or spec.shortest < batch.valid.shape[1] else None
    options = {} if noise is None else {"key": noise}
    fed = targets if teacher_forcing else None
    carry, ys = spec.model.chunk_depths(params, carry, xs, mask, None, fed, **options)
    return carry, jnp.transpose(ys, (1, 2, 0, 3))


def loss(spec: Spec, hparams: HParams, params, batch: Batch) -> tuple[Array, dict[str, Array]]:
    """The deepest prediction's loss and, weighted, that of every other depth; with the metrics."""
    ys = predictions(spec, params, batch, spec.teacher_forcing)
    return scores(spec, *tally_of(spec, hparams, ys, batch))


def scores(spec: Spec, summed: Array, tally) -> tuple[Array, dict[str, Array]]:
    """The loss and the metrics: means over the counted steps."""
    return losses.mean(summed, tally.count), spec.task.metrics(tally)


def tally_of(spec: Spec, hparams: HParams, ys: Array, batch: Batch):
    """The loss of predictions [L, B, T, O], summed over the counted steps; and the deepest one's tally."""
    counted = last_step(batch) if spec.predict_last else batch
    *shallower, deepest = (spec.task.tally(y, counted) for y in ys)
    weighted = deepest.loss.sum() + hparams.depth_weight * sum(tally.loss.sum() for tally in shallower)
    return weighted / (1 + hparams.depth_weight * len(shallower)), deepest
