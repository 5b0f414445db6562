"""Makes Linen variables of params, and a Flax RNN cell of any cell."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import FrozenDict

from r3nn import convert
from r3nn._batch_major import one_step
from r3nn._lookup import check_int
from r3nn.cells import Cell as CellValue
from r3nn.linen._noise import noise_key
from r3nn.model import as_cell


def variables(params) -> dict[str, Any]:
    """Returns the variables of `Cell` or `R3NN` for params: {"params": {"input": {"update": ...}}}, None left
    out."""
    return {"params": convert.to_dict(params)}


def hold(module: nn.Module, init):
    """Returns the params of a module within a compact method: init(key) once, then what the variables hold.

    One top-level param per field; what is nested in it keeps the names of the NamedTuples.
    """
    shapes = jax.eval_shape(init, jax.random.key(0))
    names = convert.to_dict(shapes)
    if module.is_initializing() and not all(module.has_variable("params", name) for name in names):
        values = convert.to_dict(init(module.make_rng("params")))
    else:  # Flax compares the shapes of what there is with these
        values = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), names)
    held = {name: module.param(name, lambda _, name=name: values[name]) for name in names}
    return convert.from_dict(shapes, held)


class Cell(nn.RNNCellBase):
    """Wraps a cell of r3nn as a Flax RNN cell: `nn.RNN` and `nn.Bidirectional` take it, and so does `RNN`
    here.

    Its carry is the cell's state. Params are named as in the NamedTuple of the cell's params:
    variables["params"]["input"]["update"] ... Noise: from `make_rng("dropout")`, as of `nn.Dropout`.

    cell: a name in `CELLS`, a call such as "heads(gru, 4)", or a cell. features: H.
    init_options: for the cell's `init`. deterministic: if True, the cell takes the expectation of its noise.
    Raises: ValueError, TypeError for an unknown cell or features below 1.
    """

    cell: str | CellValue
    features: int
    init_options: Mapping[str, Any] = FrozenDict()
    deterministic: bool = False

    def __post_init__(self):
        self.cell = as_cell(self.cell)
        check_int("features", self.features, 1)
        super().__post_init__()

    def _init(self, key, in_features):
        return self.cell.init(key, in_features, self.features, **self.init_options)

    @nn.compact
    def params(self, in_features: int):
        """Returns the NamedTuple of the cell's params, for inputs [..., in_features]."""
        return hold(self, lambda key: self._init(key, in_features))

    def __call__(self, carry, x, key=None, deterministic: bool | None = None):
        """Takes one step on x [..., D], floats or integers -> (carry, y [..., H]).

        key: of the noise, as in `unroll` for one step: `Noise(key, t)` at step t; None: the next of the
        stream. deterministic: None: as set. Raises: ValueError for noise of a whole sequence without key.
        """
        params, drawn = self.params(x.shape[-1]), noise_key(self, self.cell.noisy, key, deterministic)
        return one_step(self.cell, params, carry, x, drawn, alone=key is None)

    @nn.nowrap
    def initialize_carry(self, rng, input_shape: tuple[int, ...]):
        """Returns the cell's initial state for inputs of `input_shape`, [*batch, D].

        Outside of `init` and `apply` there are no params: a learned initial state is then that of fresh
        ones, drawn with rng.
        """
        size = input_shape[-1]
        params = self._init(rng, size) if self.scope is None else self.params(size)
        return self.cell.initial_state(params, tuple(input_shape[:-1]))

    @property
    def num_feature_axes(self) -> int:
        """Returns 1: inputs are [..., D]."""
        return 1
