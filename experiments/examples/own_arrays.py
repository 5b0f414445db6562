"""Finite data and a loss of one's own: sequences from an .npz file, labels that are smoothed.

    scripts/run experiments/train.py --config=experiments/examples/own_arrays.py --workdir=runs/own \
        --config.learner.options.file=my.npz --config.learner.options.smooth=0.2

The file is one of the task `arrays`, with a label for each sequence; `r3nn.tasks.Arrays` says what it holds.
Without a file, the waves of that task are taken, whose label says whether their pitch rises. Training on a
file with the usual loss takes no learner of one's own: `configs/arrays.py` does that by name.

Time: 15 s on 2 cores. Result: every test row right after 100 updates with seed 0.

An epoch is a permutation of the training rows that follows from (seed, epoch): each row once, in another
order each time. The arrays are an operand of the compiled programs, not a part of them.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from configs import default
from r3nn.model import Model, build
from r3nn.tasks import Arrays, Rows
from r3nn.training import Carry, Learner, shuffled, stream


class Own(NamedTuple):
    """Holds a traced number, which a sweep may vary."""

    smooth: Any = 0.1  # share of the target that is spread over all classes


class Tally(NamedTuple):
    """Holds the sums of each row, [b]."""

    loss: jax.Array
    correct: jax.Array


@dataclasses.dataclass(frozen=True)
class OwnArrays(Learner):
    """Trains a model that says a sequence's label at its last step."""

    model: Model
    data: Arrays
    batch: int  # rows of an update, over all devices

    own = Own()
    metric = "accuracy"
    fractions = ("accuracy",)
    higher_is_better = True

    def arrays(self) -> dict[str, Rows]:
        """Reads the splits of the file, on the host."""
        return self.data.found()

    def size(self, split) -> int | None:
        """Counts the held-out or test rows, each measured once; None in training, which has no end."""
        return None if split == "train" else len(self.data.found()[split].length)

    def init(self, key):
        """Draws fresh parameters of the model."""
        return self.model.init(key)

    def draw(self, split, seed, at, rows, carry, arrays) -> Rows:
        """Draws, in training, the next rows of the epoch; elsewhere, rows as they are numbered."""
        if split == "train":
            size, place = len(arrays[split].length), at * self.batch + rows
            epoch = lambda number: jax.random.fold_in(stream(seed, 1), number)
            rows = jax.vmap(lambda i: shuffled(epoch(i // size), i % size, size))(place)
        return Rows(*(leaf[rows] for leaf in arrays[split]))

    def _tally(self, params, batch: Rows, smooth) -> Tally:
        xs = jnp.swapaxes(batch.inputs, 0, 1)
        mask = jnp.arange(len(xs))[:, None] < batch.length  # padding leaves the state as it is
        _, ys = self.model.chunk(params, self.model.start(params, batch.length.shape), xs, mask)
        logs = jax.nn.log_softmax(ys[-1])  # [b, O]
        right = jnp.take_along_axis(logs, batch.targets[:, None], axis=1)[:, 0]
        loss = -(1 - smooth) * right - smooth * logs.mean(axis=1)
        return Tally(loss, logs.argmax(axis=1) == batch.targets)

    def loss(self, own, params, carry: Carry, batch: Rows):
        """Computes the cross-entropy of the smoothed label, in nats."""
        tally = self._tally(params, batch, own.smooth)
        return {"loss": (1.0, tally.loss.sum(), jnp.int32(len(tally.loss)))}, tally, ()

    def measure(self, params, carry: Carry, batch: Rows):
        """Tallies held-out or test rows, by the loss of the label itself."""
        return self._tally(params, batch, 0.0), ()

    def metrics(self, tally: Tally):
        """Computes cross-entropy and accuracy, means over the rows."""
        return {"cross_entropy": tally.loss.mean(), "accuracy": tally.correct.mean(dtype=jnp.float32)}

    def look(self, params, carry: Carry, batch: Rows):
        """Returns the loss of each row, [b, 1]."""
        return {"losses": self._tally(params, batch, 0.0).loss[:, None]}


def make(config) -> OwnArrays:
    """Makes the learner of a config; sizes are read off the file."""
    data = Arrays(config.learner.options.file)
    model = build(
        in_size=data.in_size,
        out_size=data.out_size,
        cell=config.model.cell,
        hidden_size=config.model.hidden_size,
        predict="last",
    )
    return OwnArrays(model, data, config.train.batch)


def get_config() -> ConfigDict:
    """Returns a config of a GRU of 32 units on the file that `learner.options.file` names."""
    config = default.get_config()
    config.learner.name = f"{__file__}:make"
    config.learner.options.file = ""
    config.model.cell, config.model.hidden_size = "gru", 32
    config.train.updates = 500
    config.train.target = 0.99
    return config
