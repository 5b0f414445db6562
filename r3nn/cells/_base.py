"""What a cell is: one step of a recurrence, as pure functions and a few facts."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from r3nn import initializers
from r3nn._names import check_int

Params = Any  # a NamedTuple of arrays, one array per gate
State = Any  # an array [..., H] or a NamedTuple of such arrays
Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Cell:
    """One step of a recurrence. A frozen, hashable value: it can be a static argument of `jax.jit`.

    A subclass gives `init`, `initial_state`, and either `recur` and `core` (a *structured* cell, from
    which every mode derives its adjoint) or `step` whole (an *opaque* one). x is floating, [..., D];
    states are [..., H]; leading batch axes of any number broadcast through every method.

        u = project(params, x)              all that depends on x alone: hoisted out of the loop
        r = recur(params, state, u)         the only matrices inside the loop
        state = core(params, state, u, r)   elementwise over batch and units
        y = output(params, state, x)        outside the loop, many steps at once
    """

    #: how `recur` reads the state. "dense": one product hidden(state) @ w for each w of
    #: params.recurrent, which drivers pack into one wide product. "opaque": unknown.
    recurrence: ClassVar[str] = "opaque"
    #: whether `core` is affine in the state (its time axis can then be a prefix scan)
    affine: ClassVar[bool] = False
    #: (low, high) that every component of the state stays within once inside, or None
    bounds: ClassVar[tuple[float, float] | None] = None

    def init(self, key: Array, in_size: int, hidden_size: int, **options) -> Params:
        """Fresh parameters for inputs [..., in_size] and states [..., hidden_size]."""
        raise NotImplementedError(f"{type(self).__name__}.init")

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> State:
        """The state before the first step, for a batch of `batch_shape`: zeros unless learned."""
        raise NotImplementedError(f"{type(self).__name__}.initial_state")

    def prepare(self, params: Params) -> Params:
        """Done once per call, before the loop, differentiably (maps such as Cayley or exp)."""
        return params

    def project(self, params: Params, x: Array):
        """All of the step that depends on x [..., D] alone."""
        return x

    def recur(self, params: Params, state: State, u):
        """The recurrent products, one per gate."""
        raise NotImplementedError(f"{type(self).__name__}.recur")

    def core(self, params: Params, state: State, u, r) -> State:
        """The rest of the step, elementwise over batch and units; of the params only vectors."""
        raise NotImplementedError(f"{type(self).__name__}.core")

    def step(self, params: Params, state: State, u) -> State:
        """state_{t-1} -> state_t, given u = project(params, x_t)."""
        return self.core(params, state, u, self.recur(params, state, u))

    def hidden(self, state: State) -> Array:
        """The part of the state, [..., H], that is the output and that meets the recurrent weights."""
        return state

    def output(self, params: Params, state: State, x: Array) -> Array:
        """y_t from state_t (and x_t)."""
        return self.hidden(state)

    def in_size(self, params: Params) -> int:
        """D, the width of the inputs that these params take."""
        raise NotImplementedError(f"{type(self).__name__}.in_size: `delay` and `feedback` need it")

    def sweep(self, run, params: Params, state: State, xs: Array):
        """For composed cells: all time steps, part by part, as (final state, outputs [T, ...]).

        run(cell, params, state, xs) does so for a part. None: this cell takes its steps one by one.
        """
        return None

    def __call__(self, params: Params, state: State, x: Array) -> tuple[State, Array]:
        """One whole step, in the form that `jax.lax.scan` takes: (params, state, x) -> (state, y)."""
        params = self.prepare(params)
        state = self.step(params, state, self.project(params, x))
        return state, self.output(params, state, x)


class GatedParams(NamedTuple):
    """Parameters of a gated cell: `input.update` is W of the update gate, and so on."""

    input: Any  # one [D, H] per gate
    recurrent: Any  # one [H, H] per gate
    bias: Any  # one [H] per gate, or None
    recurrent_bias: Array | None  # [H], added to the candidate's recurrent product; most cells: None
    initial: State | None  # the learned state before the first step, or None for zeros


@dataclasses.dataclass(frozen=True)
class GatedCell(Cell):
    """A cell whose gates each see x @ input + bias and h @ recurrent.

    A subclass names its gates in a NamedTuple and writes `core` (or `step`).
    """

    recurrence = "dense"
    #: NamedTuple class with one field per gate
    gates: ClassVar[type]
    #: gates that keep the old state at 1, and gates that write the new one at 1 (for chrono)
    keeps: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]] = ()
    #: whether the candidate's recurrent product has a bias of its own
    biased_recurrence: ClassVar[bool] = False

    def init(
        self,
        key: Array,
        in_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        chrono: float | None = None,
        learn_initial: bool = False,
        kernel_init=initializers.lecun_normal,
        recurrent_init=initializers.orthogonal,
        dtype=jnp.float32,
    ) -> GatedParams:
        """Fresh parameters; one independent draw per gate.

        chrono: longest time constant, in steps, of the keeping and writing gates' biases
        (Tallec & Ollivier 2018); None: zeros. learn_initial: make the first state a parameter.
        Raises: ValueError for sizes below 1, or chrono on a cell without gates or without biases.
        """
        check_int("in_size", in_size, 1)
        check_int("hidden_size", hidden_size, 1)
        count = len(self.gates._fields)
        *gate_keys, bias_key = jax.random.split(key, 2 * count + 1)
        return GatedParams(
            input=self.gates(*(kernel_init(k, (in_size, hidden_size), dtype) for k in gate_keys[:count])),
            recurrent=self.gates(
                *(recurrent_init(k, (hidden_size, hidden_size), dtype) for k in gate_keys[count:])
            ),
            bias=self._init_bias(bias_key, hidden_size, bias, chrono, dtype),
            recurrent_bias=jnp.zeros(hidden_size, dtype) if self.biased_recurrence and bias else None,
            initial=self._zero_state((), hidden_size, dtype) if learn_initial else None,
        )

    def _init_bias(self, key, hidden_size, bias, chrono, dtype):
        if chrono is not None and not (bias and self.keeps + self.writes):
            raise ValueError(f"chrono={chrono}: {type(self).__name__} has no gate bias to set")
        if not bias:
            return None
        biases = {gate: jnp.zeros(hidden_size, dtype) for gate in self.gates._fields}
        if chrono is not None:
            keep = initializers.chrono(chrono)(key, (hidden_size,), dtype)
            biases |= {gate: keep for gate in self.keeps} | {gate: -keep for gate in self.writes}
        return self.gates(**biases)

    def _zero_state(self, batch_shape, hidden_size, dtype) -> State:
        return jnp.zeros((*batch_shape, hidden_size), dtype)

    def initial_state(self, params: GatedParams, batch_shape: tuple[int, ...] = ()) -> State:
        """Zeros [*batch_shape, H], or the learned state broadcast to the batch."""
        zeros = self._zero_state(batch_shape, params.recurrent[0].shape[0], params.recurrent[0].dtype)
        if params.initial is None:
            return zeros
        return jax.tree.map(lambda h, zero: jnp.broadcast_to(h, zero.shape), params.initial, zeros)

    def project(self, params: GatedParams, x: Array):
        """x @ W + b for every gate: [..., D] -> one [..., H] per gate."""
        if params.bias is None:
            return self.gates(*(x @ w for w in params.input))
        return self.gates(*(x @ w + b for w, b in zip(params.input, params.bias, strict=True)))

    def recur(self, params: GatedParams, state: State, u):
        """h @ U for every gate: one [..., H] per gate."""
        return self.gates(*(self.hidden(state) @ w for w in params.recurrent))

    def in_size(self, params: GatedParams) -> int:
        """D, the width of the inputs that these params take."""
        return params.input[0].shape[0]


def check_cell(cell) -> None:
    """Raises TypeError, in one sentence, unless it is a cell."""
    if not isinstance(cell, Cell):
        raise TypeError(f"{cell!r} is no Cell: take a value such as r3nn.CELLS['gru']")
