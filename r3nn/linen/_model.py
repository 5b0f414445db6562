"""Wraps whole models as modules."""

import dataclasses
from typing import TYPE_CHECKING, Any, Unpack

from flax import linen as nn

from r3nn._batch_major import Bound, as_model
from r3nn.linen._cell import hold
from r3nn.linen._noise import noise_key
from r3nn.model import BuildOptions, Model, ModelParams


def _from_options(fill):
    """Makes a constructor that takes options for `build` in the place of the model, and then calls `fill`,
    that of the fields."""

    def __init__(self, model: Model | None = None, **options):
        """Makes the module of a model, or else of `options` for `r3nn.model.build`. It also takes
        `deterministic`, what fields a subclass has, and Flax's `name`, `parent`.

        Raises: ValueError, TypeError, in one sentence, for what `build` refuses.
        """
        names = {field.name for field in dataclasses.fields(self)} & options.keys()
        fields = {name: options.pop(name) for name in names}
        fill(self, as_model(model, options), **fields)

    return __init__


class _R3NN(nn.Module):
    """Has the methods of `R3NN`, on the fields that `clone` needs."""

    model: Model
    deterministic: bool = False

    def __init_subclass__(cls, **options):
        """Puts a constructor that takes options before Flax's, unless the class has its own: Flax makes an
        __init__ of the fields for each class, that of nn.remat(R3NN) too."""
        given = "__init__" in vars(cls)
        super().__init_subclass__(**options)
        if not given:
            cls.__init__ = _from_options(cls.__init__)

    @nn.compact
    def params(self) -> ModelParams:
        """Returns the NamedTuple of the model's params."""
        return hold(self, self.model.init)

    def _bound(self, key=None, deterministic=None):
        """Returns the params, which `init` draws first, and the key of this call's noise."""
        return self.params(), noise_key(self, self.model.noisy, key, deterministic)

    # Not inherited: Flax wraps the methods of a class's own body alone, for interceptors and the like.
    __call__, start = Bound.__call__, Bound.start
    chunk, chunk_depths, generate = Bound.chunk, Bound.chunk_depths, Bound.generate


class R3NN(_R3NN):
    """Wraps a whole model, encode -> recurrent body -> readout, around an `r3nn.model.Model` (`self.model`).

    Params are named as in the NamedTuples: `encoder`, `body`, `readout`; `variables(params)` makes them of a
    Model's. Calls are batch-major; `start`, `chunk`, `chunk_depths` and `generate`, by
    `module.apply(variables, ..., method="chunk")`, are the Model's own: time-major.

    Noise, by Flax's conventions: a call takes its key from `make_rng("dropout")` unless it is given one, and
    draws none where `deterministic` is True.
    """

    if TYPE_CHECKING:  # what __init_subclass__ makes, as checkers and editors would not find out

        def __init__(
            self,
            model: Model | None = None,
            *,
            deterministic: bool = False,
            name: str | None = None,
            parent: Any = None,
            **options: Unpack[BuildOptions],
        ): ...
