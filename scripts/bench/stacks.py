"""Measures deep networks against stacks of the same layers in other libraries."""

import functools
from unittest import mock

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import r3nn
from r3nn import CELLS, convert
from r3nn import nnx as r3nn_nnx
from r3nn.compose import _deep
from r3nn.encoders import Affine, Readout
from scripts.bench import peers
from scripts.bench.contest import Contender, build_gradient, contest, gradient, same
from scripts.bench.floor import floor
from scripts.bench.modes import with_bytes
from scripts.bench.problems import devices_for, ours, problem
from scripts.bench.registry import Bar, case

SHAPE = (32, 512, 128, 128)  # B, T, D, H


@case("r3nn", bars={"flax": Bar(2.0), "torch": Bar(1.0)})
def one_device(setup):
    """Depth 4 untied and tied, depth 16, and depth 4 under output feedback, against stacks of flax's RNNs
    (under feedback: one flax RNN over a cell of 4 layers and a readout) and torch's num_layers."""
    yield from rows(setup, ours)


@case("r3nn-cores", place="cores", bars={"flax": Bar(2.0)})
def all_cores(setup):
    """The networks of `r3nn`, our batch split over a device per core, against flax on the first of them."""
    flax = tuple(peer for peer in setup.peers if peer == "flax")
    yield from rows(setup._replace(peers=flax), over_cores, devices_for(setup.cut(*SHAPE)[0]))


@case(place="cores", default=False)
def depth(setup):
    """Four levels, which are no loop over depth, against the same as a loop: on one device, and on all; over
    all time steps, and within each (under feedback, where "auto" runs a loop by "plain")."""
    shape = setup.cut(*SHAPE)
    levels = r3nn.deep(CELLS["gru"], 4)
    for words, body in (("", levels), (", feedback", r3nn.feedback(levels, Readout(8)))):
        cell, params, xs = problem(body, shape)
        for name, make in (("one device", ours), ("all devices", over_cores)):
            contender = make(cell, params)
            contenders = [contender, Contender("a loop", "a loop", as_loop(contender.build))]
            yield with_bytes(contest(name + words, contenders, xs, shape[-1], setup), "a loop")


def as_loop(build):
    """Makes the program of a deep cell as it would be if even few levels were a loop."""

    def built(*arguments):
        with mock.patch.object(_deep, "TOGETHER", 1):
            return build(*arguments)

    return built


def rows(setup, ours, devices: int = 1):
    """Yields a row for each network, by ours(cell, params, back=...), the contender on so many devices."""
    shape = setup.cut(*SHAPE)
    level = floor(3, *shape, devices=devices)  # any of them: D is H
    for depth, tie in ((4, "none"), (4, "all"), (16, "none")):
        cell, params, xs = problem(r3nn.deep(CELLS["gru"], depth, tie=tie), shape)
        params = without_recurrent_bias(params)
        each = convert.levels(cell, params)
        order = [0] + [1] * (depth - 1) if tie == "all" else None
        others = peers.rivals(setup.peers, "gru", each[:2] if order else each, order)
        contenders = [ours(cell, params, back=functools.partial(by_level, cell, order)), *others]
        products = [(depth, call) for _, call in level]
        title = f"depth {depth} {'tied' if order else 'untied'}"
        yield contest(title, contenders, xs, shape[-1], setup, products)
    yield from under_feedback(shape, setup, ours)


def over_cores(cell, params, back=same) -> Contender:
    """Makes `unroll` a contender with the batch split over as many devices as divide it."""

    def build(xs, weights, keep):
        devices = devices_for(xs.shape[1])
        mesh = jax.make_mesh((devices,), ("batch",), axis_types=(AxisType.Auto,))
        whole, split = PartitionSpec(), PartitionSpec(None, "batch")

        def local(params, xs):  # varying params: their gradients are summed once, behind all loops
            params = jax.tree.map(lambda p: jax.lax.pcast(p, "batch", to="varying"), params)
            return r3nn.unroll(cell, params, None, xs)[1]

        each = jax.shard_map(local, mesh=mesh, in_specs=(whole, split), out_specs=split)
        run = lambda params, xs: (ys := each(params, xs), ys)
        put = lambda tree, spec: jax.device_put(tree, NamedSharding(mesh, spec))
        return build_gradient(run, put(params, whole), False, back, put(xs, split), put(weights, split), keep)

    return Contender("r3nn", "r3nn", build)


def by_level(cell, order, grads):
    """Returns the gradient of each level's params, of those that are tied once."""
    return convert.levels(cell, grads)[: max(order) + 1 if order else None]


def without_recurrent_bias(params):
    """Removes the recurrent biases of a deep GRU, as flax.nnx.GRUCell has none."""
    part = lambda p: p._replace(recurrent_bias=None)
    return params._replace(first=part(params.first), rest=part(params.rest))


def under_feedback(shape, setup, ours):
    """Measures feedback(deep(gru, 4), readout)."""
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
    """Stacks GRUCells whose predictions return to the input, as a flax user writes it."""

    def __init__(self, levels, readout):
        self.cells = nnx.List([r3nn_nnx.to_flax(CELLS["gru"], p) for p in levels])
        self.readout = nnx.Linear(*readout.kernel.shape, rngs=nnx.Rngs(0))
        self.readout.kernel[...], self.readout.bias[...] = readout

    def params(self):
        """Returns the params as ours: those of each level, and the readout's."""
        levels = [r3nn_nnx.from_flax(cell)[1] for cell in self.cells]
        return levels, Affine(self.readout.kernel[...], self.readout.bias[...])

    def initialize_carry(self, input_shape, rngs=None):
        """Returns zeros: one state a level, and the last prediction."""
        batch = input_shape[:-1]
        zeros = [jnp.zeros((*batch, cell.hidden_features)) for cell in self.cells]
        return zeros, jnp.zeros((*batch, self.readout.out_features))

    def __call__(self, carry, x):
        """Takes one step: returns (carry, the deepest output)."""
        states, y = carry
        x, after = jnp.concatenate([x, y], axis=-1), []
        for cell, h in zip(self.cells, states, strict=True):
            h, x = cell(h, x)
            after.append(h)
        return (after, self.readout(x)), x

    @property
    def num_feature_axes(self):
        """Counts the axes of features, of which there is one."""
        return 1
