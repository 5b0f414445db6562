"""Defines `feedback`, the third loop: predictions join the next input."""

import dataclasses
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from r3nn._lookup import FieldError, did_you_mean
from r3nn._serialize import serializable
from r3nn.cells import Cell
from r3nn.cells._base import Array, Params, State, check_key
from r3nn.cells._composition import all_parts, run_part
from r3nn.compose._shapes import dtype_of, output_shape
from r3nn.compose._wrapper import Wrapper
from r3nn.time._noise import bare, put


class Readout(Protocol):
    """This is what `feedback` needs to know of p in (3.2.3). A readout is a frozen, hashable value; its
    arrays are params."""

    size: int  # O, the width of what is fed back

    def init(self, key: Array, in_size: int) -> Params:
        """Draws fresh parameters for outputs [..., in_size]; they are cast to the cell's dtype."""

    def fed(self, params: Params, output: Array) -> Array:
        """Computes what returns to the input, [..., O], from the cell's output."""


@serializable
class FeedbackParams(NamedTuple):
    """Holds the inner cell's params, for inputs of width D + O, and the readout's."""

    cell: Params
    readout: Params


@serializable
class FeedbackState(NamedTuple):
    """Holds the inner state, the inner output, and y_t = p(output) [..., O], which joins the next input."""

    cell: State
    output: Array
    fed: Array


@dataclasses.dataclass(frozen=True)
class Feedback(Wrapper):
    """h_t = cell(h_{t-1}, [x_t, y_{t-1}]),  y_t = p(h_t),  y_0 = 0            (Jordan recurrence)

    The article's "input, hidden layer and output are connected in a loop". Runs stepwise by nature.
    Source: the article's 2.3; Jordan 1986, "Serial order: a parallel distributed processing approach".
    """

    own_params = True
    stepwise = True
    readout: Readout

    def __post_init__(self):
        super().__post_init__()
        if isinstance(self.readout, type):
            raise TypeError(f"readout={self.readout!r}: must be a value{did_you_mean(self.readout)}")
        for part in all_parts(self.cell):
            if (order := getattr(part, "order", "auto")) in ("layerwise", "wavefront"):
                raise FieldError(
                    "order", f"order={order!r}: a cell under feedback runs stepwise (or 'auto')."
                )

    def init(self, key, in_size, hidden_size, **options):
        """Draws the inner cell's params for inputs [..., in_size + O], and the readout's."""
        check_key(key)
        cell_key, readout_key = jax.random.split(key)
        cell = self.cell.init(cell_key, in_size + self.readout.size, hidden_size, **options)
        readout, dtype = self.readout.init(readout_key, hidden_size), dtype_of(self.cell, cell)
        return FeedbackParams(cell, jax.tree.map(lambda leaf: leaf.astype(dtype), readout))

    def initial_state(self, params, batch_shape=()):
        """Returns the inner initial state, with zeros for output and prediction."""
        cell = self.cell.initial_state(params.cell, batch_shape)
        output = output_shape(self.cell, params.cell, cell, batch_shape)
        fed = jnp.zeros((*batch_shape, self.readout.size), jax.tree.leaves(cell)[0].dtype)
        return FeedbackState(cell, jnp.zeros(output.shape, output.dtype), fed)

    def project(self, params, x):
        """Returns x itself: it is projected within the step, joined to what is fed back."""
        return x

    def step(self, params, state, u, call=run_part):
        """Takes the equations above; u is x_t."""
        x = put(u, jnp.concatenate([bare(u), state.fed], axis=-1))
        cell = call(self.cell, params.cell, state.cell, self.cell.project(params.cell, x))
        output = self.cell.output(params.cell, cell, x)
        return FeedbackState(cell, output, self.readout.fed(params.readout, output))

    def hidden(self, state):
        """Reads h of the inner cell's state."""
        return self.cell.hidden(state.cell)

    def output(self, params, state, x):
        """Returns the inner cell's output. p of it is `state.fed`, or the caller computes it, many steps at
        once."""
        return state.output

    def in_size(self, params):
        """Returns D, the width of the inputs without what is fed back."""
        return self.cell.in_size(params.cell) - self.readout.size


def feedback(cell: Cell, readout: Readout) -> Feedback:
    """Joins the cell's own predictions to its next input; an R3NN is feedback(chain(f, deep(g, L)), p).

    Raises: ValueError where a part of the cell insists on the layerwise or wavefront order, TypeError for
    what is no cell.
    """
    return Feedback(cell, readout)
