"""Measures one layer, GRU or LSTM, against the same layer in other libraries, on one device."""

import math

import jax

from scripts.bench import peers
from scripts.bench.contest import contest
from scripts.bench.floor import floor
from scripts.bench.problems import SHAPES, WIDE, ours, problem
from scripts.bench.registry import CASES, Bar, case

GATES = {"gru": 3, "lstm": 4}
LARGE = 600e6  # B·T·(D + H)·H above which only the libraries with a bar are run


def layers(name, setup):
    """Yields a row of one layer for each shape."""
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
