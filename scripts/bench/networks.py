"""GRU, LSTM and R3NN against the same networks in other libraries, on one device."""

import functools
import math

import jax
import jax.numpy as jnp
from flax import nnx

import r3nn
from r3nn import CELLS, convert
from r3nn import nnx as r3nn_nnx
from r3nn.encoders import Affine, Readout
from scripts.bench import peers
from scripts.bench.contest import contest, gradient
from scripts.bench.floor import floor
from scripts.bench.problems import SHAPES, ours, problem
from scripts.bench.registry import CASES, Bar, case

GATES = {"gru": 3, "lstm": 4}
DEEP = (32, 512, 128, 128)  # B, T, D, H
WIDE = 128  # units from which on the matrix products are most of the work
LARGE = 600e6  # B·T·(D + H)·H above which only the libraries with a bar are run


def layers(name, setup):
    """One layer at each shape."""
    for shape in dict.fromkeys(setup.cut(*shape) for shape in SHAPES):
        cell, params, xs = problem(name, shape)
        params = params._replace(recurrent_bias=None)  # flax.nnx.GRUCell has none
        batch, length, in_size, hidden = shape
        large = math.prod((batch, length, in_size + hidden, hidden)) > LARGE
        libraries = [peer for peer in setup.peers if not large or peer in CASES[name].bars]
        contenders = [ours(cell, params), *peers.rivals(libraries, name, [params])]
        products = floor(GATES[name], *shape) if shape[-1] >= WIDE else ()
        yield contest(str(shape), contenders, xs, shape[-1], setup, products)


@case(bars={"flax": Bar(1.4, 1.0), "torch": Bar(1.5, 1.0)})
def gru(setup):
    """GRU against flax's RNN(GRUCell) and torch's GRU; on the four smaller shapes also against equinox's cell
    under scan and Keras's GRU."""
    yield from layers("gru", setup)


@case(bars={"flax": Bar(1.4), "torch": Bar(0.8)})
def lstm(setup):
    """LSTM against flax's RNN(OptimizedLSTMCell) and torch's LSTM; on the four smaller shapes also against
    equinox's cell under scan and Keras's LSTM."""
    yield from layers("lstm", setup)


@case("r3nn", bars={"flax": Bar(2.0), "torch": Bar(1.0)})
def stacks(setup):
    """Depth 4 untied and tied, depth 16, and depth 4 under output feedback, against stacks of flax's RNNs
    (under feedback: one flax RNN over a cell of 4 layers and a readout) and torch's num_layers."""
    shape = setup.cut(*DEEP)
    for depth, tie in ((4, "none"), (4, "all"), (16, "none")):
        cell, params, xs = problem(r3nn.deep(CELLS["gru"], depth, tie=tie), shape)
        params = without_recurrent_bias(params)
        each = convert.levels(cell, params)
        order = [0] + [1] * (depth - 1) if tie == "all" else None
        others = peers.rivals(setup.peers, "gru", each[:2] if order else each, order)
        kind = "tied" if order else "untied"
        first, later = floor(3, *shape), floor(3, *shape[:2], shape[-1], shape[-1])
        products = [*first, *((depth - 1, calls) for _, calls in later)]
        contenders = [ours(cell, params, back=functools.partial(by_level, cell, order)), *others]
        yield contest(f"depth {depth} {kind}", contenders, xs, shape[-1], setup, products)
    yield from under_feedback(shape, setup)


def by_level(cell, order, grads):
    """The gradient of each level's params, of those that are tied once."""
    return convert.levels(cell, grads)[: max(order) + 1 if order else None]


def without_recurrent_bias(params):
    """Of a deep GRU: flax.nnx.GRUCell has none."""
    part = lambda p: p._replace(recurrent_bias=None)
    return params._replace(first=part(params.first), rest=part(params.rest))


def under_feedback(shape, setup):
    """feedback(deep(gru, 4), readout)."""
    inner, readout = r3nn.deep(CELLS["gru"], 4), Readout(8)
    cell, params, xs = problem(r3nn.feedback(inner, readout), shape)
    params = params._replace(cell=without_recurrent_bias(params.cell))
    others = []
    if "flax" in setup.peers:
        module = nnx.RNN(Looped(convert.levels(inner, params.cell), params.readout), time_major=True)
        graphdef, state, rest = nnx.split(module, nnx.Param, ...)
        carry = module.cell.initialize_carry(xs.shape[1:])
        options = {"initial_carry": carry, "return_carry": True}
        run = lambda state, xs: nnx.merge(graphdef, state, rest)(xs, **options)
        back = lambda grads: nnx.merge(graphdef, grads, rest).cell.params()
        others = [gradient("flax nnx", run, state, "flax", back=back)]
    back = lambda grads: (convert.levels(inner, grads.cell), grads.readout)
    yield contest("depth 4, feedback", [ours(cell, params, back=back), *others], xs, shape[-1], setup)


class Looped(nnx.RNNCellBase):
    """Stacked GRUCells whose predictions return to the input, as a flax user writes it."""

    def __init__(self, levels, readout):
        self.cells = nnx.List([r3nn_nnx.to_flax(CELLS["gru"], p) for p in levels])
        self.readout = nnx.Linear(*readout.kernel.shape, rngs=nnx.Rngs(0))
        self.readout.kernel[...], self.readout.bias[...] = readout

    def params(self):
        """As ours: those of each level, and the readout's."""
        levels = [r3nn_nnx.from_flax(cell)[1] for cell in self.cells]
        return levels, Affine(self.readout.kernel[...], self.readout.bias[...])

    def initialize_carry(self, input_shape, rngs=None):
        """Zeros: one state a level, and the last prediction."""
        batch = input_shape[:-1]
        zeros = [jnp.zeros((*batch, cell.hidden_features)) for cell in self.cells]
        return zeros, jnp.zeros((*batch, self.readout.out_features))

    def __call__(self, carry, x):
        """One step: (carry, the deepest output)."""
        states, y = carry
        x, after = jnp.concatenate([x, y], axis=-1), []
        for cell, h in zip(self.cells, states, strict=True):
            h, x = cell(h, x)
            after.append(h)
        return (after, self.readout(x)), x

    @property
    def num_feature_axes(self):
        """One."""
        return 1


@case()
def gpu(setup):
    """GRU against flax's RNN on a GPU; nothing where JAX sees none."""
    if jax.default_backend() != "gpu":
        return
    shape = setup.cut(16, 1024, 128, 128)
    cell, params, xs = problem("gru", shape)
    params = params._replace(recurrent_bias=None)
    contenders = [ours(cell, params), *peers.rivals(("flax",), "gru", [params])]
    yield contest(f"gru {shape}", contenders, xs, shape[-1], setup, tolerance=1e-2)
    shape = setup.cut(8, 8192, 256, 256)
    cell, params, xs = problem("diagonal_gru", shape)
    contenders = [ours(cell, params, mode="newton"), ours(cell, params, "lax.scan", mode="plain")]
    yield contest(f"diagonal_gru, newton {shape}", contenders, xs, shape[-1], setup, tolerance=1e-2)
