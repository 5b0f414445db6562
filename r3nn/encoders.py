"""Defines what stands before and after the recurrent body: encoders of inputs, and the readout p of (3.2.3).

Parameters are drawn in float32 unless `init` is given another dtype, whatever JAX's default is.
"""

import dataclasses
from typing import NamedTuple, get_args

import jax
import jax.numpy as jnp

from r3nn import initializers
from r3nn._literals import Feeds
from r3nn._lookup import check_choice, check_int
from r3nn._serialize import serializable
from r3nn._value import Value
from r3nn.cells._base import plus

Array = jax.Array
FEEDS: tuple[Feeds, ...] = get_args(Feeds)


@serializable
class Affine(NamedTuple):
    """Holds kernel [in, out] and bias [out]."""

    kernel: Array
    bias: Array

    def __call__(self, x: Array) -> Array:
        """Computes x @ kernel + bias, [..., in] -> [..., out]."""
        return plus(x @ self.kernel, self.bias)


def _affine(key, in_size: int, out_size: int, dtype) -> Affine:
    return Affine(initializers.lecun_normal(key, (in_size, out_size), dtype), jnp.zeros(out_size, dtype))


@dataclasses.dataclass(frozen=True)
class Identity(Value):
    """Leaves features as they are, [..., width] floats."""

    width: int

    def init(self, key, dtype=jnp.float32):
        """Returns None: there are no parameters."""
        return None

    def __call__(self, params, x):
        """Returns x as it is."""
        return x


@dataclasses.dataclass(frozen=True)
class Linear(Value):
    """Maps features [..., in_size] -> [..., width]."""

    in_size: int
    width: int

    def init(self, key, dtype=jnp.float32) -> Affine:
        """Draws a LeCun-normal kernel; the bias is zero."""
        return _affine(key, self.in_size, self.width, dtype)

    def __call__(self, params: Affine, x):
        """Computes x @ kernel + bias, in the dtype of the kernel."""
        return params(x.astype(params.kernel.dtype))


@dataclasses.dataclass(frozen=True)
class OneHot(Value):
    """Maps ids [...] in [0, width) -> [..., width] floats, one of them 1."""

    width: int

    def init(self, key, dtype=jnp.float32):
        """Returns None: there are no parameters."""
        return None

    def __call__(self, params, x):
        """Returns the unit vector of each id, in float32."""
        return jax.nn.one_hot(x, self.width, dtype=jnp.float32)


@dataclasses.dataclass(frozen=True)
class Embedding(Value):
    """Maps ids [...] in [0, vocab) -> a learned vector each, [..., width]."""

    vocab: int
    width: int

    def init(self, key, dtype=jnp.float32) -> Array:
        """Draws rows of unit expected square norm, [vocab, width]."""
        return jax.random.normal(key, (self.vocab, self.width), dtype) / self.width**0.5

    def __call__(self, params: Array, x):
        """Returns the row of each id."""
        return params[x]


@dataclasses.dataclass(frozen=True)
class Readout(Value):
    """p: y_t = h_t @ kernel + bias, one for all steps and depths                       (3.2.3)

    size: O, the width of y. feeds: what returns to the input under feedback, the "values" y or the
    "probabilities" softmax(y). stacked: outputs come as [L, ..., H], of which the deepest feeds back.
    """

    size: int
    feeds: str = "values"
    stacked: bool = False

    def __post_init__(self):
        check_int("out_size", self.size, 1)
        check_choice("feedback", self.feeds, FEEDS)

    def init(self, key, in_size: int, dtype=jnp.float32) -> Affine:
        """Draws a LeCun-normal kernel; the bias is zero."""
        return _affine(key, in_size, self.size, dtype)

    def __call__(self, params: Affine, output: Array) -> Array:
        """Predicts from outputs [..., H]: [..., O]."""
        return params(output)

    def fed(self, params: Affine, output: Array) -> Array:
        """Returns what feeds back, [..., O]."""
        y = params(output[-1] if self.stacked else output)
        return jax.nn.softmax(y) if self.feeds == "probabilities" else y

    def encode(self, targets: Array) -> Array:
        """Writes targets in the form in which predictions feed back: one-hot classes (float32), or the
        values."""
        if self.feeds == "values":
            return targets
        return jax.nn.one_hot(targets, self.size, dtype=jnp.float32)
