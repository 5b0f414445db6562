"""Whole models as modules."""

import dataclasses

from flax import linen as nn

from r3nn._batch_major import Bound, as_model
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

    def _bound(self, key=None, deterministic=None):
        """The params, which `init` draws first, and the key of this call's noise."""
        return self.params(), noise_key(self, self.model.noisy, key, deterministic)

    # Not inherited: Flax wraps the methods of a class's own body alone, for interceptors and the like.
    __call__, start = Bound.__call__, Bound.start
    chunk, chunk_depths, generate = Bound.chunk, Bound.chunk_depths, Bound.generate


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
