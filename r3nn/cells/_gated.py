"""Defines what the gated cells share: their parameters, and how each gate reads the input and the state."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from r3nn import initializers
from r3nn._lookup import FieldError, about
from r3nn._serialize import serializable
from r3nn._value import Value
from r3nn.cells._activations import ACTIVATIONS, activation_field, name_of, shown
from r3nn.cells._base import Array, Cell, State, along, check_sizes


@dataclasses.dataclass(frozen=True)
class Dense(Value):
    """Each gate reads h @ w, w [H, H]."""

    kind: ClassVar[str] = "dense"
    #: how a gate's weights start, unless the cell or the caller says otherwise
    default = staticmethod(initializers.orthogonal)

    def draw(self, init, key, size: int, dtype):
        """Draws one gate's weights, by an initializer of shape [H, H]."""
        return init(key, (size, size), dtype)

    def extend(self, params, key, draw_input, draw_recurrent):
        """Makes the params of the whole cell from those of its gates; `Multiplicative` adds its two
        factors."""
        return params

    def extend_inputs(self, params, x, u):
        """Makes the projected input of the whole cell from u, that of its gates; `Multiplicative` adds W_mx
        x."""
        return u

    def source(self, params, h, u):
        """Returns what the gates' products read in the place of h [..., H]."""
        return h

    def product(self, h, w):
        """Computes what one gate reads, [..., H]."""
        return h @ w


@dataclasses.dataclass(frozen=True)
class Diagonal(Dense):
    """Each gate reads w ⊙ h, w [H]: a unit sees itself alone."""

    kind = "diagonal"
    default = staticmethod(initializers.diagonal_normal)

    def draw(self, init, key, size, dtype):
        """Draws one gate's weights, by an initializer of shape [H]."""
        return init(key, (size,), dtype)

    def product(self, h, w):
        """Computes what one gate reads, w ⊙ h, [..., H]."""
        return along(w, h) * h


@dataclasses.dataclass(frozen=True)
class Unread(Dense):
    """No gate reads h: there are no recurrent weights."""

    kind = "none"


@serializable
class GatedParams(NamedTuple):
    """Holds the parameters of a gated cell: `input.update` is W of the update gate, and so on."""

    input: Any  # one [D, H] per gate
    recurrent: Any  # one [H, H] per gate ([n, d, d] by heads, [H] diagonal), or None
    bias: Any  # one [H] per gate, or None
    recurrent_bias: Array | None  # [H], added to the candidate's recurrent product; most cells: None
    initial: State | None  # the learned state before the first step, or None for zeros


def extended(name: str, module: str, doc: str, **fields: type) -> type:
    """Makes the NamedTuple class `name` of a module: `GatedParams` with further fields, {field: type}."""
    made = NamedTuple(name, [*GatedParams.__annotations__.items(), *fields.items()])
    made.__module__, made.__doc__ = module, doc
    return made


@dataclasses.dataclass(frozen=True)
class GatedCell(Cell):
    """A gated cell's gates each see x @ input + bias and h @ recurrent.

    A subclass names its gates in a NamedTuple and writes `core` (or `step`). reads: what stands for
    h @ recurrent; `heads` and `multiplicative` change it. activation: of the candidate, an elementwise
    function such as jax.nn.relu, which stands where the docstring shows tanh; `bounds` hold with tanh alone,
    and are None with any other. A cell whose candidate has no activation says
    `activation: None = dataclasses.field(default=None, init=False)`.
    """

    reads: Dense = dataclasses.field(default=Dense(), kw_only=True)
    activation: Callable[[Array], Array] = activation_field(jnp.tanh)

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

    def __post_init__(self):
        if type(self).activation is not None and not callable(self.activation):
            given = f"{type(self).__name__}: activation={self.activation!r}"
            raise TypeError(f"{given} must be an elementwise function such as jax.nn.relu.")
        if self.activation not in (None, jnp.tanh):
            object.__setattr__(self, "bounds", None)

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if "__repr__" not in vars(cls):  # `dataclass` would write one, with functions by their addresses
            cls.__repr__ = GatedCell.__repr__

    def __repr__(self):
        text = lambda name: (shown if name == "activation" else repr)(getattr(self, name))
        fields = (f"{field.name}={text(field.name)}" for field in dataclasses.fields(self) if field.init)
        return f"{type(self).__name__}({', '.join(fields)})"

    def __getstate__(self):  # of pickle and copy: most functions of JAX do not pickle, but their names do
        name = name_of(self.activation)
        return vars(self) if name is None else vars(self) | {"activation": name}

    def __setstate__(self, state):
        function = ACTIVATIONS.get(state.get("activation"))
        vars(self).update(state if function is None else state | {"activation": function})

    @functools.cached_property
    def recurrence(self) -> str:
        """Says how `recur` reads the state, as `Cell.recurrence` lists the ways."""
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
        """Draws fresh parameters, independently for each gate.

        chrono: longest time constant, in steps, of the keeping and writing gates' biases
        (Tallec & Ollivier 2018); None: the cell's own. learn_initial: make the first state a parameter.
        kernel_init, recurrent_init: of the weights; None: the cell's own.
        Raises: ValueError for sizes below 1, or chrono on a cell without gates or without biases; TypeError
        for a class without `gates`.
        """
        if not hasattr(kind := getattr(self, "gates", None), "_fields"):
            must = "must be a NamedTuple class with a field for each gate."
            raise TypeError(f"{type(self).__name__}.gates is {kind!r}: {must}")
        check_sizes(key, in_size, hidden_size)
        if chrono is not None and not (bias and self.keeps + self.writes):
            what = "has no gate bias to set, which needs bias=True and gates named in `keeps` or `writes`."
            raise FieldError("chrono", f"chrono={chrono}: {type(self).__name__} {what}")
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
        if chrono is not None:
            with about("chrono"):
                start = initializers.chrono(chrono)
            for sign, gates in ((1, self.keeps), (-1, self.writes)):
                biases |= {gate: sign * start(key, (getattr(widths, gate),), dtype) for gate in gates}
        return self.gates(**biases)

    def _zero_state(self, batch_shape, hidden_size, dtype) -> State:
        return jnp.zeros((*batch_shape, hidden_size), dtype)

    def _hidden_size(self, params: GatedParams) -> int:
        return params.input[0].shape[-1]

    def initial_state(self, params: GatedParams, batch_shape: tuple[int, ...] = ()) -> State:
        """Returns zeros [*batch_shape, H], or the learned state broadcast to the batch."""
        zeros = self._zero_state(batch_shape, self._hidden_size(params), params.input[0].dtype)
        if params.initial is None:
            return zeros
        return jax.tree.map(lambda h, zero: jnp.broadcast_to(h, zero.shape), params.initial, zeros)

    def project(self, params: GatedParams, x: Array):
        """Computes x @ W + b for every gate: [..., D] -> one [..., H] per gate."""
        gates = self.gates(*(self._of_input(params, gate, x) for gate in self.gates._fields))
        return self.reads.extend_inputs(params, x, gates)

    def _of_input(self, params, gate, x):
        """Computes x @ W + b of one gate, [..., width]."""
        a = x @ getattr(params.input, gate)
        return a if params.bias is None else a + lax.broadcast_to_rank(getattr(params.bias, gate), a.ndim)

    def recur(self, params: GatedParams, state: State, u):
        """Computes what every gate reads of h, h @ U where dense: one [..., H] per gate."""
        h = self.reads.source(params, self.hidden(state), u)
        return type(params.recurrent)(*(self.reads.product(h, w) for w in params.recurrent))

    def squash(self, c: Array) -> Array:
        """Applies the activation to c [..., H], which a cell remembers. `recurrent_dropout` replaces the
        activation of the candidate, and leaves this one."""
        return self.activation(c)

    def in_size(self, params: GatedParams) -> int:
        """Returns D, the width of the inputs that these params take."""
        return params.input[0].shape[0]


def check_dense(name: str, cell):
    """Returns the cell, if its gates read a dense product of h. Raises: TypeError, ValueError otherwise."""
    if not hasattr(cell, "reads"):
        raise TypeError(f"{name}: {cell!r} is no GatedCell: take one such as r3nn.CELLS['gru'].")
    if cell.recurrence != "dense":
        raise ValueError(f"{name}: {cell!r} has recurrence {cell.recurrence!r}: must be 'dense'.")
    return cell
