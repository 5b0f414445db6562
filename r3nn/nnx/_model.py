"""Wraps whole models, as modules and without their arrays."""

import dataclasses
import functools
import inspect
from typing import Any, Unpack

import jax
from flax import nnx

from r3nn._batch_major import Bound, as_model
from r3nn._value import Value
from r3nn.model import Model, ModelParams, SizedOptions
from r3nn.nnx._noise import Noisy
from r3nn.nnx._params import draw_key


class R3NN(Bound, Noisy):
    """Wraps a whole model, encode -> recurrent body -> readout, around an `r3nn.model.Model` (`self.model`).

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
        **options: Unpack[SizedOptions],
    ):
        """Makes the module of a model. rngs: its "params" stream draws fresh params; "dropout", forked, noise
        of the cells. model: or else `options` for `r3nn.model.build`, but for its `params`, a number. params:
        the arrays. deterministic: if True, as after eval(), noise is its expectation.

        Raises: ValueError, TypeError, in one sentence, for what `build` refuses.
        """
        self.model = as_model(model, options)
        # Jitted: one program to compile rather than one for each small operation.
        params = jax.jit(self.model.init)(draw_key(rngs)) if params is None else params
        self._listen(rngs, deterministic)
        self._hold(params)

    @classmethod
    def from_params(cls, model: Model, params: ModelParams, **options: Any) -> "R3NN":
        """Makes the module of a model and its params; undoes `.model` and `.params`. options: `rngs` for
        noise, `deterministic`."""
        return cls(model=model, params=params, **options)

    @property
    def noisy(self) -> bool:
        """Says whether the model's cells draw noise."""
        return self.model.noisy

    def _bound(self, key=None, deterministic=None):
        """Gives (params, key of this call's noise or None)."""
        return self.params, self.noise_key(key, deterministic)


def _of_state(method):
    """Makes a method of `Functional` from one of `Model`: it takes an nnx state in the place of params."""

    @functools.wraps(method)
    def call(self, params, *given, **options):
        module = nnx.merge(self.graphdef, params)
        return method(module.model, module.params, *given, **options)

    signature = inspect.signature(method)
    untyped = {"params": signature.parameters["params"].replace(annotation=inspect.Parameter.empty)}
    call.__signature__ = signature.replace(parameters=list((dict(signature.parameters) | untyped).values()))
    call.__qualname__ = f"Functional.{method.__name__}"
    return call


@dataclasses.dataclass(frozen=True)
class Functional(Value):
    """Stands for an `R3NN` without its arrays: it has the methods of its `Model`, whose `params` are here its
    nnx state (no RNG's). It is a static argument of `jax.jit`, compared and hashed by value. The module is
    merged while tracing, so a compiled step does not pay for it. Noise goes by `key` alone, as in `unroll`:
    None is its expectation."""

    graphdef: nnx.GraphDef
    noisy: bool = False  # whether the model's cells draw noise, given a key

    @functools.cached_property
    def _hash(self) -> int:
        return hash(self.graphdef)

    def __hash__(self):
        return self._hash  # jit asks at each call, and Flax walks the whole graph each time

    @classmethod
    def split(cls, module: R3NN) -> tuple["Functional", nnx.State]:
        """Returns (this, params) of a module; `nnx.merge(this.graphdef, params)` is the way back, to one that
        is in evaluation (`eval()`) and has no stream of noise."""
        module = nnx.clone(module)
        module.rngs = nnx.data(None)
        module.eval()
        graphdef, params = nnx.split(module)
        return cls(graphdef, module.model.noisy), params

    start = _of_state(Model.start)
    chunk = _of_state(Model.chunk)
    chunk_depths = _of_state(Model.chunk_depths)
    generate = _of_state(Model.generate)
