"""What every row of CELLS and every composition can do under JAX's transformations.

A new row needs no new test. One program per row holds many checks: nearly all the time goes to compiling.
"""

import functools
import pickle

import jax
import jax.numpy as jnp
import pytest
from jax import export
from jax.sharding import PartitionSpec as P

from r3nn import CELLS, unroll
from r3nn.time.arrays.trees import batch_axes
from tests.helpers import (
    COMPOSITIONS,
    STRAIGHT_THROUGH,
    assert_close,
    compiled,
    in_blocks,
    in_size,
    open_sizes,
    pad,
    problem,
    unless_slow,
)

ROWS = CELLS | COMPOSITIONS
every_row = pytest.mark.parametrize("name", ROWS)
# Grad of grad compiles for long: a few stand for the others, unless asked for with -m slow.
slowly = unless_slow(ROWS, {"gru", "m2rnn", "R3NN"})

T, B, D, H = 6, 4, 2, 3

close = functools.partial(assert_close, rtol=1e-9, atol=1e-10)


def arguments(name, **options):
    """(params, state, xs with NaN in the padding, mask, reset)"""
    p = problem(ROWS[name], T, (B,), in_size(name, D, H), H, **options)
    return p._replace(xs=pad(p.xs, p.mask))


def loss(cell, params, state, xs, mask, reset, mode="scan"):
    """The same for every sequence of a batch, whatever its place."""
    values = unroll(cell, params, state, xs, mask=mask, reset=reset, mode=mode, **in_blocks(cell, mode, 3))
    return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(values))


def dot(a, b):
    return sum(jax.tree.leaves(jax.tree.map(jnp.vdot, a, b)))


def over_devices(run, cell, params):
    """run over two devices, each with half of the batch; values of both."""
    state = jax.tree.map(lambda axis: P(*[None] * axis, "batch"), batch_axes(cell, params))
    batch = P(None, "batch")
    return jax.shard_map(
        run,
        mesh=jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,)),
        in_specs=(P(), state, batch, batch, batch),
        out_specs=(P(), state, batch),
    )


@pytest.mark.parametrize("name", slowly)
def test_transformations(name, x64):
    """jit, vmap (params, batch), grad, grad of grad, jvp, checkpoint, shard_map, and no second trace."""
    p, other = arguments(name), arguments(name, seed=1)
    traces = []

    @functools.partial(compiled, static_argnums=0)
    def run(cell, params, state, xs, mask, reset, direction):
        traces.append(cell)

        def along(params):
            gradients = jax.grad(loss, argnums=(1, 2, 3))(cell, params, state, xs, mask, reset)
            return dot(gradients[0], direction), gradients

        grad_of_grad, gradients = jax.grad(along, has_aux=True)(params)

        # Three models, at params and a little to either side, each on every sequence as a batch of one.
        moved = lambda step: jax.tree.map(lambda leaf, d: leaf + step * d, params, direction)
        models = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(moved, (0.0, 1e-6, -1e-6)))
        axes = batch_axes(cell, params)
        one = jax.grad(jax.checkpoint(functools.partial(loss, cell)), argnums=(0, 1, 2))
        one = jax.vmap(one, in_axes=(None, axes, 1, 1, 1), out_axes=(0, axes, 1))
        of_models = jax.vmap(one, in_axes=(0, None, None, None, None))(models, state, xs, mask, reset)
        at_params, above, below = (jax.tree.map(lambda leaf, i=i: leaf[i], of_models) for i in range(3))
        summed = lambda d_params: jax.tree.map(lambda leaf: leaf.sum(0), d_params)

        in_plain = lambda params: loss(cell, params, state, xs, mask, reset, mode="plain")
        return {
            "grad": gradients,
            "grad of grad": grad_of_grad,
            "vmap of vmap of grad of checkpoint": (summed(at_params[0]), *at_params[1:]),
            "differences of grad": jax.tree.map(lambda a, b: (a - b).sum(0) / 2e-6, above[0], below[0]),
            "jvp": jax.jvp(in_plain, (params,), (direction,))[1],
        }

    cell = ROWS[name]
    results = run(cell, *p, other.params)
    gradients = results["grad"]
    close(results["vmap of vmap of grad of checkpoint"], gradients)
    close(results["jvp"], dot(gradients[0], other.params))
    if name not in STRAIGHT_THROUGH:
        assert_close(results["grad of grad"], results["differences of grad"], rtol=1e-6, atol=1e-6)
    assert all((leaf != 0).any() for leaf in jax.tree.leaves((gradients[0], results["grad of grad"])))

    gradient = jax.grad(functools.partial(loss, cell), argnums=(0, 1, 2))
    close(compiled(over_devices(gradient, cell, p.params))(*p), gradients)

    # Other numbers, and the cell as another process would have it: the program at hand.
    twin = pickle.loads(pickle.dumps(cell))
    assert twin == cell and hash(twin) == hash(cell)
    again = run(twin, *other, p.params)
    assert len(traces) == 1
    assert again["jvp"] != results["jvp"]


@pytest.mark.parametrize(
    "name", unless_slow(ROWS, {"gru", "slstm", "scornn", "lru", "m2rnn", "R3NN", "wavefront"})
)
def test_exports(name):
    """The gradient lowers for every platform, on whichever machine this is, for any batch and any number of
    blocks of steps."""
    p = open_sizes(ROWS[name], arguments(name), "3*n, b")
    gradient = jax.jit(jax.grad(functools.partial(loss, ROWS[name]), argnums=(0, 1, 2)))
    platforms = ("cpu", "cuda", "tpu")
    exported = export.export(gradient, platforms=platforms)(*p)
    assert exported.platforms == platforms
    assert exported.out_tree == jax.tree.structure(p[:3])
    assert [out.shape for out in exported.out_avals] == [leaf.shape for leaf in jax.tree.leaves(p[:3])]


@every_row
def test_params_and_states_can_be_serialized(name):
    """Every NamedTuple among them is registered: JAX refuses to do so again."""

    def check(tree):
        if isinstance(tree, tuple):
            if hasattr(tree, "_fields"):
                again = functools.partial(export.register_namedtuple_serialization, type(tree))
                with pytest.raises(ValueError, match="Duplicate serialization registration"):
                    again(serialized_name=f"again {type(tree)}")
            for leaf in tree:
                check(leaf)

    p = arguments(name)
    check((p.params, p.state))


def test_a_program_is_written_and_read():
    """Of any batch and length: the other process finds the params' and the states' classes by name."""
    pytest.importorskip("flatbuffers")
    name = "R3NN"
    p = arguments(name)
    run = compiled(lambda *p: loss(ROWS[name], *p, mode="plain"))
    exported = export.export(run)(*open_sizes(ROWS[name], p, "T, b"))
    read = export.deserialize(exported.serialize())
    assert (read.in_tree, read.out_tree) == (exported.in_tree, exported.out_tree)
    assert_close(read.call(*p), run(*p))
