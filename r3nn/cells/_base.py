"""What a cell is: one step of a recurrence, as pure functions and a few facts."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from r3nn import initializers
from r3nn._names import check_int
from r3nn.cells._reads import Dense

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
    #: of an opaque cell, whether to run all steps of a block again at once is cheaper than to keep what a
    #: backward pass reads of them; not so for one product behind another, level after level
    rerun: ClassVar[bool] = True
    #: whether `project` and `output` draw noise: x is then a `Keyed` wherever `unroll` is given a key
    noisy: ClassVar[bool] = False
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

    def lower(self, params: Params, wrap) -> Params:
        """Prepared params with wrap(params) for each part's own: matrices in a lower precision."""
        return wrap(params)

    def project(self, params: Params, x: Array):
        """All of the step that depends on x [..., D] alone."""
        return x

    def recur(self, params: Params, state: State, u):
        """The recurrent products, one per gate."""
        raise NotImplementedError(f"{type(self).__name__}.recur")

    def weights(self, params: Params) -> Params:
        """The part of the params that has `recurrent` (and `multiplier`): what drivers pack."""
        return params

    def products(self, packed):
        """The packed products (`r3nn.time`), of hidden(state): a transform may put something before them."""
        return packed

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
        raise NotImplementedError(
            f"{type(self).__name__}.in_size: delay, feedback, slow, with_output and wavefront need it"
        )

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
    recurrent: Any  # one [H, H] per gate ([n, d, d] by heads, [H] diagonal), or None
    bias: Any  # one [H] per gate, or None
    recurrent_bias: Array | None  # [H], added to the candidate's recurrent product; most cells: None
    initial: State | None  # the learned state before the first step, or None for zeros


@dataclasses.dataclass(frozen=True)
class GatedCell(Cell):
    """A cell whose gates each see x @ input + bias and h @ recurrent.

    A subclass names its gates in a NamedTuple and writes `core` (or `step`). reads: what stands for
    h @ recurrent; `heads` and `multiplicative` change it.
    """

    reads: Dense = dataclasses.field(default=Dense(), kw_only=True)

    #: NamedTuple class with one field per gate
    gates: ClassVar[type]
    #: gates that keep the old state at 1, and gates that write the new one at 1 (for chrono)
    keeps: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]] = ()
    #: whether the candidate's recurrent product has a bias of its own
    biased_recurrence: ClassVar[bool] = False
    #: how weights and biases start, unless the caller says otherwise; recurrent None: as `reads` has it
    kernel_init = staticmethod(initializers.lecun_normal)
    recurrent_init = None
    bias_init = staticmethod(initializers.zeros)

    @property
    def recurrence(self) -> str:
        """How `recur` reads the state."""
        return self.reads.kind

    def init(
        self,
        key: Array,
        in_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        chrono: float | None = None,
        learn_initial: bool = False,
        kernel_init=None,
        recurrent_init=None,
        dtype=jnp.float32,
    ) -> GatedParams:
        """Fresh parameters; one independent draw per gate.

        chrono: longest time constant, in steps, of the keeping and writing gates' biases
        (Tallec & Ollivier 2018); None: the cell's own. learn_initial: make the first state a parameter.
        kernel_init, recurrent_init: of the weights; None: the cell's own.
        Raises: ValueError for sizes below 1, or chrono on a cell without gates or without biases.
        """
        check_int("in_size", in_size, 1)
        check_int("hidden_size", hidden_size, 1)
        if chrono is not None and not (bias and self.keeps + self.writes):
            raise ValueError(f"chrono={chrono}: {type(self).__name__} has no gate bias to set")
        kernel_init = kernel_init or self.kernel_init
        multiplier_init = recurrent_init or self.reads.default
        recurrent_init = recurrent_init or self.recurrent_init or self.reads.default
        widths = self._widths(hidden_size)
        *gate_keys, bias_key = jax.random.split(key, 2 * len(widths) + 1)
        kernels = zip(gate_keys, widths, strict=False)
        params = GatedParams(
            input=self.gates(*(kernel_init(k, (in_size, width), dtype) for k, width in kernels)),
            recurrent=self._init_recurrent(gate_keys[len(widths) :], hidden_size, recurrent_init, dtype),
            bias=self._init_bias(bias_key, widths, chrono, dtype) if bias else None,
            recurrent_bias=jnp.zeros(hidden_size, dtype) if self.biased_recurrence and bias else None,
            initial=self._zero_state((), hidden_size, dtype) if learn_initial else None,
        )
        return self.reads.extend(
            params,
            jax.random.fold_in(key, 1),
            lambda key: kernel_init(key, (in_size, hidden_size), dtype),
            lambda key: multiplier_init(key, (hidden_size, hidden_size), dtype),
        )

    def _widths(self, hidden_size):
        return self.gates(*(hidden_size for _ in self.gates._fields))

    def _init_recurrent(self, keys, hidden_size, draw, dtype):
        return self.gates(*(self.reads.draw(draw, key, hidden_size, dtype) for key in keys))

    def _init_bias(self, key, widths, chrono, dtype):
        keys = jax.random.split(key, len(widths))
        drawn = zip(self.gates._fields, keys, widths, strict=True)
        biases = {gate: self.bias_init(k, (width,), dtype) for gate, k, width in drawn}
        for sign, gates in ((1, self.keeps), (-1, self.writes)) if chrono is not None else ():
            shapes = {gate: (getattr(widths, gate),) for gate in gates}
            biases |= {gate: sign * initializers.chrono(chrono)(key, shapes[gate], dtype) for gate in gates}
        return self.gates(**biases)

    def _zero_state(self, batch_shape, hidden_size, dtype) -> State:
        return jnp.zeros((*batch_shape, hidden_size), dtype)

    def _hidden_size(self, params: GatedParams) -> int:
        return params.input[0].shape[-1]

    def initial_state(self, params: GatedParams, batch_shape: tuple[int, ...] = ()) -> State:
        """Zeros [*batch_shape, H], or the learned state broadcast to the batch."""
        zeros = self._zero_state(batch_shape, self._hidden_size(params), params.input[0].dtype)
        if params.initial is None:
            return zeros
        return jax.tree.map(lambda h, zero: jnp.broadcast_to(h, zero.shape), params.initial, zeros)

    def project(self, params: GatedParams, x: Array):
        """x @ W + b for every gate: [..., D] -> one [..., H] per gate."""
        gates = self.gates(*(self._of_input(params, gate, x) for gate in self.gates._fields))
        return self.reads.extend_inputs(params, x, gates)

    def _of_input(self, params, gate, x):
        product = x @ getattr(params.input, gate)
        return product if params.bias is None else product + getattr(params.bias, gate)

    def recur(self, params: GatedParams, state: State, u):
        """What every gate reads of h, h @ U where dense: one [..., H] per gate."""
        h = self.reads.source(params, self.hidden(state), u)
        return type(params.recurrent)(*(self.reads.product(h, w) for w in params.recurrent))

    def φ(self, a: Array) -> Array:
        """The candidate from the sum it is of: tanh. `recurrent_dropout` replaces it; None: there is none."""
        return jnp.tanh(a)

    def in_size(self, params: GatedParams) -> int:
        """D, the width of the inputs that these params take."""
        return params.input[0].shape[0]


def in_turn(when: Callable[[Cell], bool] = lambda cell: True):
    """Marks a `step` that is the steps of the cells among its cell's fields, in turn, in no loop or branch:
    the backward pass then takes each by its own structure. when: of which cells that is true.

    It is the mark of that one function: a subclass with another `step` has none.
    """

    def mark(step):
        step.in_turn = when
        return step

    return mark


def parts(cell: Cell) -> Iterator[Cell]:
    """The cells among a cell's fields."""
    for field in dataclasses.fields(cell):
        value = getattr(cell, field.name)
        for entry in value if isinstance(value, tuple) else (value,):
            if isinstance(entry, Cell):
                yield entry


def check_cell(cell) -> None:
    """Raises TypeError, in one sentence, unless it is a cell."""
    if not isinstance(cell, Cell):
        raise TypeError(f"{cell!r} is no Cell: take a value such as r3nn.CELLS['gru']")
