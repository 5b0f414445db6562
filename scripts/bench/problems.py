"""Makes what is run: cells with random params and inputs."""

import jax

import r3nn
from experiments.run.device_count import divisor
from r3nn import CELLS
from scripts.bench.contest import Contender, gradient, same

SHAPES = [
    (32, 1000, 32, 128),
    (32, 512, 128, 256),
    (128, 400, 16, 64),
    (16, 1000, 8, 32),
    (1, 4000, 32, 128),
    (64, 500, 64, 512),
    (4, 4096, 128, 128),
    (64, 1024, 256, 256),
]  # B, T, D, H
WIDE = 128  # units from which on the matrix products are most of the work


def problem(cell, shape, **options):
    """Returns a cell by name or value, its params, and inputs [T, B, D]."""
    batch, length, in_size, hidden = shape
    cell = CELLS[cell] if isinstance(cell, str) else cell
    params_key, xs_key = jax.random.split(jax.random.key(0))
    params = jax.jit(lambda key: cell.init(key, in_size, hidden, **options))(params_key)
    return cell, params, jax.random.normal(xs_key, (length, batch, in_size))


def ours(cell, params, name: str = "r3nn", back=same, **how) -> Contender:
    """Makes `unroll` a contender; how: mode, chunk, memory, compute_dtype. back: see `gradient`."""
    run = lambda params, xs: r3nn.unroll(cell, params, None, xs, **how)
    return gradient(name, run, params, back=back)


def devices_for(batch: int) -> int:
    """Says over how many devices a batch is split: as many as divide it."""
    return divisor(batch, jax.local_device_count())
