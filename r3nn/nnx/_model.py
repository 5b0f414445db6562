"""Whole models, as modules and without their arrays."""

import dataclasses
import functools

import jax
from flax import nnx

from r3nn._batch_major import as_model, predict
from r3nn.model import Model, ModelParams
from r3nn.nnx._cell import Params, draw_key


class R3NN(Params):
    """A whole model, encode -> recurrent body -> readout, around an `r3nn.model.Model` (`self.model`).

    One `nnx.Param` per array, named as in the NamedTuples of its params: `encoder`, `body`, `readout`.
    `nnx.split(module)` gives a hashable graphdef and a state of these arrays alone.
    Calls are batch-major; `start`, `chunk`, `chunk_depths` and `generate` are the Model's own: time-major.
    """

    def __init__(
        self,
        *,
        rngs: nnx.Rngs | None = None,
        model: Model | None = None,
        params: ModelParams | None = None,
        **options,
    ):
        """rngs: its "params" stream draws fresh params. model: or else `options` for `r3nn.model.build`.

        Raises: ValueError, TypeError, in one sentence, for what `build` refuses.
        """
        self.model = as_model(model, options)
        # Jitted: one program to compile rather than one for each small operation.
        self._hold(jax.jit(self.model.init)(draw_key(rngs)) if params is None else params)

    @classmethod
    def from_params(cls, model: Model, params: ModelParams) -> "R3NN":
        """The module of a model and its params; the inverse of `.model` and `.params`."""
        return cls(model=model, params=params)

    def __call__(self, xs, *, mask=None, reset=None, targets=None):
        """Predictions [*batch, T, O] from the initial state; T is 1 where a model predicts at the last step.

        xs [*batch, T, D] floats or [*batch, T] ids; mask, reset bool [*batch, T] as in `unroll`; targets
        [*batch, T, ...]: teacher forcing of the feedback.
        """
        return predict(self.model, self.params, xs, mask, reset, targets)

    def start(self, batch_shape: tuple[int, ...] = ()):
        """`Model.start`: the carry before the first step."""
        return self.model.start(self.params, batch_shape)

    def chunk(self, carry, xs, mask=None, reset=None, key=None):
        """`Model.chunk`: any number of further steps, time-major -> (carry, predictions [T, *batch, O])."""
        return self.model.chunk(self.params, carry, xs, mask, reset, key)

    def chunk_depths(self, carry, xs, mask=None, reset=None, targets=None, key=None):
        """`Model.chunk_depths`: the same with predictions of every depth, [T, L, *batch, O]."""
        return self.model.chunk_depths(self.params, carry, xs, mask, reset, targets, key)

    def generate(self, carry, first, length: int, key=None):
        """`Model.generate`: each prediction is the next input -> (carry, [length, *batch, ...])."""
        return self.model.generate(self.params, carry, first, length, key)


@dataclasses.dataclass(frozen=True)
class Functional:
    """An `R3NN` without its arrays: pure methods of `params`, its nnx state. A static argument of `jax.jit`,
    compared and hashed by value. The module is merged while tracing, so a compiled step does not pay for it.
    """

    graphdef: nnx.GraphDef
    noisy: bool = False  # whether the model's cells draw noise, given a key

    @functools.cached_property
    def _hash(self) -> int:
        return hash(self.graphdef)

    def __hash__(self):
        return self._hash  # jit asks at each call, and Flax walks the whole graph each time

    @classmethod
    def split(cls, module: R3NN) -> tuple["Functional", nnx.State]:
        """(this, params) of a module; `nnx.merge(this.graphdef, params)` is the way back."""
        graphdef, params = nnx.split(module)
        return cls(graphdef, module.model.noisy), params

    def start(self, params, batch_shape: tuple[int, ...] = ()):
        """`R3NN.start`."""
        return nnx.merge(self.graphdef, params).start(batch_shape)

    def chunk(self, params, carry, xs, mask=None, reset=None, key=None):
        """`R3NN.chunk`."""
        return nnx.merge(self.graphdef, params).chunk(carry, xs, mask, reset, key)

    def chunk_depths(self, params, carry, xs, mask=None, reset=None, targets=None, key=None):
        """`R3NN.chunk_depths`."""
        return nnx.merge(self.graphdef, params).chunk_depths(carry, xs, mask, reset, targets, key)

    def generate(self, params, carry, first, length: int, key=None):
        """`R3NN.generate`."""
        return nnx.merge(self.graphdef, params).generate(carry, first, length, key)
