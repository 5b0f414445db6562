"""Times the matmul floor: the matrix products of a gated layer's forward and backward pass alone.

Those inside the loop run in a `lax.scan`, a small product at a time, each waiting for the one before. The
others are tried in two ways, at once over all T·B rows and in blocks of them, and the faster one counts:
blocks write no [T·B, G·H] array to fresh memory. What a cell recomputes is not counted: a perfect program
would not. Where the batch is split over devices, all of them work at once, each on its share.
"""

import timeit
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

ROWS = 512  # of a block, at most


def floor(gates: int, batch: int, *sizes: int, dtype=jnp.float32, devices: int = 1, back: bool = True):
    """Lists (1, the faster of its ways) for each product of one layer of a cell with so many gates.

    sizes: T, D, H. dtype: of the factors; sums are float32. devices: over which the batch is split. back:
    with the gradient of the inputs, which a layer that reads data does not need.
    """
    programs = ways(gates, batch // devices, *sizes, dtype=dtype)
    if not back:
        del programs["gradient of the inputs"]
    tried = [[_ready(way, arguments, devices) for way in each] for each, arguments in programs.values()]
    return [(1, min(each, key=lambda timed: timed[0])[1]) for each in tried]


def ways(gates: int, batch: int, length: int, in_size: int, hidden: int, dtype=jnp.float32) -> dict:
    """Maps each product of one layer to the ways to compute it, and their arguments."""
    rows, rng = length * batch, np.random.default_rng(2)
    few = rng.random(2**20, np.float32) - 0.5  # repeated: which numbers they are does not matter
    draw = lambda *shape: np.resize(few.astype(dtype), shape)
    xs, hs = draw(rows, in_size), draw(rows, hidden)
    ds, w = draw(rows, gates * hidden), draw(in_size, gates * hidden)
    orthogonal = np.linalg.qr(rng.normal(size=(hidden, hidden)))[0]
    weights = np.concatenate([orthogonal / gates] * gates, axis=-1)  # the sum over gates keeps all norms
    loop = np.ones((batch, hidden), np.float32), weights.astype(dtype)
    over_rows = lambda left, right: product(left.T, right)
    return {
        "forward loop": ((partial(forward_loop, length, gates),), loop),
        "backward loop": ((partial(backward_loop, length, gates),), loop),
        "inputs into every gate": ((product, map_blocks), (xs, w)),
        "gradient of the inputs": ((product, map_blocks), (ds, w.T)),
        "gradient of the input weights": ((over_rows, sum_blocks), (xs, ds)),
        "gradient of the recurrent weights": ((over_rows, sum_blocks), (hs, ds)),
    }


def _ready(program, arguments, devices) -> tuple[float, Callable]:
    """Compiles a program for each device at once, and returns (seconds of its second call, the call).

    Raises: AssertionError for numbers that are not finite, which may take longer.
    """
    mesh = jax.make_mesh((devices,), ("batch",), axis_types=(AxisType.Auto,))
    whole, split = PartitionSpec(), PartitionSpec("batch")
    each = jax.shard_map(program, mesh=mesh, in_specs=whole, out_specs=split, check_vma=False)
    arguments = jax.device_put(arguments, NamedSharding(mesh, whole))
    compiled = jax.jit(each).lower(*arguments).compile()
    call = lambda: jax.block_until_ready(compiled(*arguments))
    if not np.isfinite(call()).all():
        raise AssertionError("a product of the matmul floor is not finite.")
    return timeit.timeit(call, number=1), call


def product(left, right):
    """Computes left @ right in float32, of factors in the dtype of `right`."""
    return jnp.matmul(left.astype(right.dtype), right, preferred_element_type=jnp.float32)


def forward_loop(length, gates, state, weights):
    """Computes h @ U for all gates, [B, H] -> [B, G·H], T times."""
    step = lambda h, _: (sum(jnp.split(product(h, weights), gates, axis=-1)), None)
    return lax.scan(step, state, length=length)[0]


def backward_loop(length, gates, state, weights):
    """Computes δ @ Uᵀ, [B, G·H] -> [B, H], T times."""
    step = lambda λ, _: (product(jnp.concatenate([λ] * gates, axis=-1), weights.T), None)
    return lax.scan(step, state, length=length)[0]


def map_blocks(rows, w):
    """Computes rows @ w, block by block, each over the one before, and returns the last block [.., N]."""
    blocks = _blocks(rows)
    last = jnp.zeros((blocks.shape[1], w.shape[1]))
    return lax.scan(lambda _, block: (product(block, w), None), last, blocks)[0]


def sum_blocks(left, right):
    """Computes left.T @ right, summed up block by block."""
    total = jnp.zeros((left.shape[1], right.shape[1]))
    step = lambda total, pair: (total + product(pair[0].T, pair[1]), None)
    return lax.scan(step, total, (_blocks(left), _blocks(right)))[0]


def _blocks(rows):
    """Splits rows [R, N] -> [blocks, at most ROWS, N]."""
    count = next(n for n in range(-(-len(rows) // ROWS), len(rows) + 1) if len(rows) % n == 0)
    return rows.reshape(count, -1, rows.shape[-1])
