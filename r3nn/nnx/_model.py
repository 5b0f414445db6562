"""Whole models, as modules and without their arrays."""

import dataclasses
import functools

import jax
from flax import nnx

from r3nn._batch_major import as_model, predict
from r3nn._value import Value
from r3nn.model import Model, ModelParams
from r3nn.nnx._noise import Noisy
from r3nn.nnx._params import draw_key


class R3NN(Noisy):
    """A whole model, encode -> recurrent body -> readout, around an `r3nn.model.Model` (`self.model`).

    One `nnx.Param` per array, named as in the NamedTuples of its params: `encoder`, `body`, `readout`.
    `nnx.split(module)` gives a hashable graphdef and a state of these arrays alone (and that of its stream,
    where it has noise and was made with rngs). Calls are batch-major; `start`, `chunk`, `chunk_depths` and
    `generate` are the Model's own: time-major.

    Noise, by Flax's conventions: a call takes its key from the stream unless it is given one, and draws none
    where `deterministic` is True, as after eval().
    """

    def __init__(
        self,
        *,
        rngs: nnx.Rngs | None = None,
        model: Model | None = None,
        params: ModelParams | None = None,
        deterministic: bool = False,
        **options,
    ):
        """rngs: its "params" stream draws fresh params; "dropout", forked, noise of the cells.
        model: or else `options` for `r3nn.model.build`, but for its `params`, a number. params: the arrays.
        deterministic: if True, as after eval(), noise is its expectation.

        Raises: ValueError, TypeError, in one sentence, for what `build` refuses.
        """
        self.model = as_model(model, options)
        # Jitted: one program to compile rather than one for each small operation.
        params = jax.jit(self.model.init)(draw_key(rngs)) if params is None else params
        self._listen(rngs, deterministic)
        self._hold(params)

    @classmethod
    def from_params(cls, model: Model, params: ModelParams, **options) -> "R3NN":
        """The module of a model and its params; the inverse of `.model` and `.params`. options: `rngs` for
        noise, `deterministic`.
        """
        return cls(model=model, params=params, **options)

    @property
    def noisy(self) -> bool:
        """Whether the model's cells draw noise."""
        return self.model.noisy

    def __call__(self, xs, *, mask=None, reset=None, targets=None, key=None, deterministic=None):
        """Predictions [*batch, T, O] from the initial state; T is 1 where a model predicts once.

        xs [*batch, T, D] floats or [*batch, T] ids; mask, reset bool [*batch, T] as in `unroll`; targets
        [*batch, T, ...]: teacher forcing of the feedback. key: of the noise, as in `unroll`; None: from the
        stream. deterministic: None: as set. Raises: ValueError where there is noise but no stream and no key.
        """
        key = self.noise_key(key, deterministic)
        return predict(self.model, self.params, xs, mask, reset, targets, key)

    def start(self, batch_shape: tuple[int, ...] = ()):
        """`Model.start`: the carry before the first step."""
        return self.model.start(self.params, batch_shape)

    def chunk(self, carry, xs, mask=None, reset=None, key=None, deterministic=None):
        """`Model.chunk`: any number of further steps, time-major -> (carry, predictions [T, *batch, O])."""
        key = self.noise_key(key, deterministic)
        return self.model.chunk(self.params, carry, xs, mask, reset, key)

    def chunk_depths(self, carry, xs, mask=None, reset=None, targets=None, key=None, deterministic=None):
        """`Model.chunk_depths`: the same with predictions of every depth, [T, L, *batch, O]."""
        key = self.noise_key(key, deterministic)
        return self.model.chunk_depths(self.params, carry, xs, mask, reset, targets, key)

    def generate(self, carry, first, length: int, key=None):
        """`Model.generate`: each prediction is the next input -> (carry, [length, *batch, ...])."""
        return self.model.generate(self.params, carry, first, length, key)


@dataclasses.dataclass(frozen=True)
class Functional(Value):
    """An `R3NN` without its arrays: pure methods of `params`, its nnx state (no RNG's). A static argument of
    `jax.jit`, compared and hashed by value. The module is merged while tracing, so a compiled step does not
    pay for it. Noise goes by `key` alone, as in `unroll`: None is its expectation.
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
        """(this, params) of a module; `nnx.merge(this.graphdef, params)` is the way back, to one that is in
        evaluation (`eval()`) and has no stream of noise.
        """
        module = nnx.clone(module)
        module.rngs = nnx.data(None)
        module.eval()
        graphdef, params = nnx.split(module)
        return cls(graphdef, module.model.noisy), params

    def start(self, params, batch_shape: tuple[int, ...] = ()):
        """Starts as `R3NN.start` does, with these params."""
        return nnx.merge(self.graphdef, params).start(batch_shape)

    def chunk(self, params, carry, xs, mask=None, reset=None, key=None):
        """Runs further steps as `R3NN.chunk` does, with these params."""
        return nnx.merge(self.graphdef, params).chunk(carry, xs, mask, reset, key, key is None)

    def chunk_depths(self, params, carry, xs, mask=None, reset=None, targets=None, key=None):
        """Runs further steps as `R3NN.chunk_depths` does, with these params."""
        return nnx.merge(self.graphdef, params).chunk_depths(
            carry, xs, mask, reset, targets, key, key is None
        )

    def generate(self, params, carry, first, length: int, key=None):
        """Runs free as `R3NN.generate` does, with these params."""
        return nnx.merge(self.graphdef, params).generate(carry, first, length, key)
