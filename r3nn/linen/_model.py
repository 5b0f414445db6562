"""Whole models as modules."""

import dataclasses

from flax import linen as nn

from r3nn._batch_major import as_model, predict
from r3nn.linen._cell import hold
from r3nn.linen._noise import noise_key
from r3nn.model import Model, ModelParams


class _R3NN(nn.Module):
    """The methods of `R3NN`, on the fields that `clone` needs."""

    model: Model
    deterministic: bool = False

    @nn.compact
    def params(self) -> ModelParams:
        """The NamedTuple of the model's params."""
        return hold(self, self.model.init)

    def __call__(self, xs, *, mask=None, reset=None, targets=None, key=None, deterministic=None):
        """Predictions [*batch, T, O] from the initial state; T is 1 where a model predicts once.

        xs [*batch, T, D] floats or [*batch, T] ids; mask, reset bool [*batch, T] as in `unroll`; targets
        [*batch, T, ...]: teacher forcing of the feedback. key: of the noise, as in `unroll`; None: from the
        stream. deterministic: None: as set.
        """
        params, key = self._drawn(key, deterministic)
        return predict(self.model, params, xs, mask, reset, targets, key)

    def _drawn(self, key, deterministic):
        """The params, which `init` draws first, and the key of this call's noise."""
        return self.params(), noise_key(self, self.model.noisy, key, deterministic)

    def start(self, batch_shape: tuple[int, ...] = ()):
        """`Model.start`: the carry before the first step."""
        return self.model.start(self.params(), batch_shape)

    def chunk(self, carry, xs, mask=None, reset=None, key=None, deterministic=None):
        """`Model.chunk`: any number of further steps, time-major -> (carry, predictions [T, *batch, O])."""
        params, key = self._drawn(key, deterministic)
        return self.model.chunk(params, carry, xs, mask, reset, key)

    def chunk_depths(self, carry, xs, mask=None, reset=None, targets=None, key=None, deterministic=None):
        """`Model.chunk_depths`: the same with predictions of every depth, [T, L, *batch, O]."""
        params, key = self._drawn(key, deterministic)
        return self.model.chunk_depths(params, carry, xs, mask, reset, targets, key)

    def generate(self, carry, first, length: int, key=None):
        """`Model.generate`: each prediction is the next input -> (carry, [length, *batch, ...])."""
        return self.model.generate(self.params(), carry, first, length, key)


class R3NN(_R3NN):
    """A whole model, encode -> recurrent body -> readout, around an `r3nn.model.Model` (`self.model`).

    Params are named as in the NamedTuples: `encoder`, `body`, `readout`; `variables(params)` makes them of a
    Model's. Calls are batch-major; `start`, `chunk`, `chunk_depths` and `generate`, by
    `module.apply(variables, ..., method="chunk")`, are the Model's own: time-major.

    Noise, by Flax's conventions: a call takes its key from `make_rng("dropout")` unless it is given one, and
    draws none where `deterministic` is True.
    """

    def __init__(self, model: Model | None = None, **options):
        """model: or else `options` for `r3nn.model.build`. Also `deterministic`, and Flax's `name`, `parent`.

        Raises: ValueError, TypeError, in one sentence, for what `build` refuses.
        """
        flax = {name: options.pop(name) for name in ("deterministic", "name", "parent") if name in options}
        super().__init__(as_model(model, options), **flax)

    def __init_subclass__(cls, **options):
        """Flax makes an __init__ of the fields for each class: one without fields of its own, as that of
        nn.remat, keeps the one above.
        """
        given, fields = "__init__" in vars(cls), len(dataclasses.fields(R3NN))
        super().__init_subclass__(**options)
        if not given and len(dataclasses.fields(cls)) == fields:
            cls.__init__ = R3NN.__init__
