"""Defines what a cell is: one step of a recurrence, as pure functions and a few facts."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from r3nn._lookup import check_int, did_you_mean
from r3nn._value import Value

Params = Any  # a NamedTuple of arrays, one array per gate
State = Any  # an array [..., H] or a NamedTuple of such arrays
Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Cell(Value):
    """A cell is one step of a recurrence, as a frozen, hashable value: it can be a static argument of
    `jax.jit`.

    A subclass is a frozen dataclass itself (or its first value is a TypeError). It gives `init`,
    `initial_state`, and either `recur` and `core` (a *structured* cell, from which every mode derives its
    adjoint) or `step` whole (an *opaque* one). x is floating, [..., D]; states are [..., H]; leading batch
    axes of any number broadcast through every method.

        u = project(params, x)              all that depends on x alone: hoisted out of the loop
        r = recur(params, state, u)         the only matrices inside the loop
        state = core(params, state, u, r)   elementwise over batch and units
        y = output(params, state, x)        outside the loop, many steps at once
    """

    #: how `recur` reads h = hidden(state), for each w of params.recurrent, so that drivers can pack them.
    #: "dense": h @ w, w [H, H]. "heads": block by block, w [n, d, d] with n*d = H. "multiplicative":
    #: (u.multiplier * (h @ params.multiplier)) @ w. "diagonal": w * h, w [H]. "none": not at all, recur
    #: returns (). "opaque": unknown, and `step` is given whole.
    recurrence: ClassVar[str] = "opaque"
    #: whether `core` is affine in the state, each unit in its own components alone (its time axis can then
    #: be a prefix scan)
    affine: ClassVar[bool] = False
    #: whether each step needs the whole of the step before, so that time cannot be split or solved at once
    stepwise: ClassVar[bool] = False
    #: whether `project` and `output` draw noise: x is then a `Keyed` wherever `unroll` is given a key
    noisy: ClassVar[bool] = False
    #: (low, high) that every component of the state stays within once inside, or None
    bounds: ClassVar[tuple[float, float] | None] = None

    def init(self, key: Array, in_size: int, hidden_size: int, **options) -> Params:
        """Draws fresh parameters for inputs [..., in_size] and states [..., hidden_size]."""
        raise NotImplementedError(f"{type(self).__name__}.init must be given.")

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> State:
        """Returns the state before the first step, for a batch of `batch_shape`: zeros unless learned."""
        raise NotImplementedError(f"{type(self).__name__}.initial_state must be given.")

    def prepare(self, params: Params) -> Params:
        """Transforms the params once per call, before the loop, differentiably (by maps such as Cayley or
        exp)."""
        return params

    def project(self, params: Params, x: Array):
        """Computes all of the step that depends on x [..., D] alone."""
        return x

    def recur(self, params: Params, state: State, u):
        """Computes the recurrent products, one [..., H] per gate."""
        raise NotImplementedError(f"{type(self).__name__}.recur must be given.")

    def core(self, params: Params, state: State, u, r) -> State:
        """Takes the rest of the step, elementwise over batch and units; it reads no matrix of the params."""
        raise NotImplementedError(f"{type(self).__name__}.core must be given.")

    def step(self, params: Params, state: State, u) -> State:
        """Takes the step from state_{t-1} to state_t, given u = project(params, x_t)."""
        return self.core(params, state, u, self.recur(params, state, u))

    def hidden(self, state: State) -> Array:
        """Returns the part of the state, [..., H], that is the output and that meets the recurrent
        weights."""
        return state

    def output(self, params: Params, state: State, x: Array) -> Array:
        """Computes y_t, [..., H], from state_t (and x_t)."""
        return self.hidden(state)

    def in_size(self, params: Params) -> int:
        """Returns D, the width of the inputs that these params take."""
        raise NotImplementedError(
            f"{type(self).__name__}.in_size: delay, feedback, slow, with_output and wavefront need it."
        )

    def __call__(self, params: Params, state: State, x: Array) -> tuple[State, Array]:
        """Takes one whole step, in the form that `jax.lax.scan` takes: (params, state, x) -> (state, y).

        A state without batch axes serves all of a batch of x. Raises: ValueError for batch axes of another
        size than those of x, 1 included; TypeError for a state of another kind than the cell's, such as a
        plain tuple in the place of a NamedTuple.
        """
        params = self.prepare(given := params)
        u = self.project(params, x)
        try:
            after = self.step(params, state, u)
        except (AttributeError, TypeError) as error:
            expected = jax.eval_shape(self.initial_state, given)
            if jax.tree.structure(state) == jax.tree.structure(expected):
                raise
            must = f"{type(self).__name__} takes one such as {_shapes(expected)}."
            raise TypeError(f"state has shapes {_shapes(state)}: {must}") from error
        both = zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=False)
        if any(jnp.ndim(old) == jnp.ndim(new) and jnp.shape(old) != jnp.shape(new) for old, new in both):
            must = f"a step with this x gives {_shapes(after)}."
            raise ValueError(f"state has shapes {_shapes(state)}: {must}")
        return after, self.output(params, after, x)


def _shapes(tree):
    return jax.tree.map(jnp.shape, tree)


def check_sizes(key: Array, in_size: int, hidden_size: int) -> None:
    """Raises, in one sentence, TypeError for no PRNG key, FieldError (a ValueError) for sizes below 1."""
    check_key(key)
    check_int("in_size", in_size, 1)
    check_int("hidden_size", hidden_size, 1)


def check_key(key) -> None:
    """Raises TypeError, in one sentence, unless it is a PRNG key: of `jax.random.key`, or an older one."""
    dtype = getattr(key, "dtype", None)
    if dtype is None or not (jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) or dtype == jnp.uint32):
        raise TypeError(f"key={key!r} is no PRNG key: must be jax.random.key(seed).")


def check_cell(cell) -> None:
    """Raises TypeError, in one sentence, unless it is a cell."""
    if not isinstance(cell, Cell):
        raise TypeError(f"{cell!r} is no Cell: take a value such as r3nn.CELLS['gru']{did_you_mean(cell)}")


# Vectors of parameters are brought to the rank of the arrays beside them, so that nothing depends on NumPy's
# promotion of ranks, which `jax_numpy_rank_promotion="raise"` forbids.


def along(vector: Array, a: Array) -> Array:
    """Gives a vector [H] the rank of a [..., H], by leading axes of size 1: [1, ..., 1, H]."""
    return lax.broadcast_to_rank(vector, max(vector.ndim, a.ndim))


def plus(a: Array, bias: Array | None) -> Array:
    """Adds a bias [H] to a [..., H]; returns a itself where there is no bias."""
    return a if bias is None else a + along(bias, a)
