"""Measures the whole training step, on all cores, against a flax module with optax."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from r3nn import CELLS, convert, training
from r3nn import model as models
from r3nn import nnx as r3nn_nnx
from r3nn.encoders import Affine
from r3nn.tasks import Regression
from scripts.bench.contest import Built, Contender, compile_program, race
from scripts.bench.floor import floor
from scripts.bench.problems import SHAPES, WIDE, devices_for
from scripts.bench.registry import Bar, case


@dataclasses.dataclass(frozen=True)
class Numbers(Regression):
    """Makes inputs and targets of any width: data cost next to nothing, for both sides alike."""

    width: int = 1
    out_size = 1

    @property
    def in_size(self):
        """Returns D, the width."""
        return self.width

    def example(self, key, length, max_length):
        """Returns inputs [T, D], a wave over time times one over D, and the first feature as target [T,
        1]."""
        start = 100 * jax.random.uniform(key)
        wave = lambda size: jnp.sin(start + jnp.arange(size, dtype=jnp.float32))
        xs = 2 * wave(max_length)[:, None] * wave(self.width)
        return xs, xs[:, :1], jnp.ones(max_length, bool)


@case(place="cores", bars={"flax": Bar(2.0)})
def step(setup):
    """One update of experiments/train.py (data, GRU, readout, loss, gradient, adam) split over a device per
    core, against a flax nnx module and optax on the first of them: the update that they make must agree."""
    for shape in dict.fromkeys(setup.cut(*shape) for shape in SHAPES):
        batch, length, in_size, hidden = shape
        model = models.build(in_size=in_size, out_size=1, hidden_size=hidden, cell="gru")
        params = model.init(jax.random.key(0))
        params = params._replace(body=params.body._replace(recurrent_bias=None))  # as flax.nnx.GRUCell
        devices = devices_for(batch)
        learner = training.Supervised(model, Numbers(in_size), length)
        spec = training.Spec(learner, batch, updates=1000, devices=devices)
        builders = {"r3nn": functools.partial(build_ours, spec, params)}
        if "flax" in setup.peers:
            builders["flax nnx"] = functools.partial(build_flax, spec, params)
        contenders = [Contender(name, name.split()[0], build) for name, build in builders.items()]
        products = floor(3, *shape, devices=devices, back=False) if hidden >= WIDE else ()
        row = race(str(shape), contenders, [build() for build in builders.values()], setup, products)
        yield row._replace(figures=row.figures | {"devices": devices})


def build_ours(spec, params) -> Built:
    """Compiles `training.updates` of one update."""
    hparams = spec.hparams()
    start = training.start(spec, hparams, params)
    start = jax.device_put(start, jax.tree.map(lambda leaf: leaf.sharding, training.placed(spec, start)))
    program = jax.jit(training.updates, static_argnums=(0, 3))
    compiled, *sizes = compile_program(program, spec, hparams, start, 1)

    call = lambda: jax.block_until_ready(compiled(hparams, start))

    def view(result):
        state, metrics = result
        params = moments(state.opt_state)
        return metrics["loss"][0], params.body, params.readout

    return Built(call, view, *sizes, "float32")


class Network(nnx.Module):
    """Runs nnx.RNN(GRUCell) under a Linear."""

    def __init__(self, params):
        self.rnn = nnx.RNN(r3nn_nnx.to_flax(CELLS["gru"], params.body))
        self.head = nnx.Linear(*params.readout.kernel.shape, rngs=nnx.Rngs(0))
        self.head.kernel[...], self.head.bias[...] = params.readout

    def __call__(self, xs):
        """Maps inputs [B, T, D] -> predictions [B, T, 1]."""
        zeros = jnp.zeros((len(xs), self.rnn.cell.hidden_features))
        return self.head(self.rnn(xs, initial_carry=zeros))


def build_flax(spec, params) -> Built:
    """Compiles the same data, loss and optimizer around the flax module, as a whole."""
    graphdef, state, rest = nnx.split(Network(params), nnx.Param, ...)
    hparams = spec.hparams()
    optimizer = training.optimizer(spec, hparams)
    learner = spec.learner

    def update(state, opt_state, number):
        batch = learner.batch_at(hparams.seed, number, jnp.arange(spec.batch, dtype=jnp.int32))
        loss = lambda state: learner.task.loss(nnx.merge(graphdef, state, rest)(batch.inputs), batch)
        value, grads = jax.value_and_grad(loss)(state)
        changes, opt_state = optimizer.update(grads, opt_state, state)
        return optax.apply_updates(state, changes), opt_state, value

    arguments = (state, optimizer.init(state), jnp.int32(0))
    compiled, *sizes = compile_program(jax.jit(update), *arguments)

    call = lambda: jax.block_until_ready(compiled(*arguments))

    def view(result):
        _, opt_state, value = result
        arrays = nnx.to_pure_dict(moments(opt_state))
        body = convert.from_flax(arrays["rnn"]["cell"])[1]
        return value, body, Affine(arrays["head"]["kernel"], arrays["head"]["bias"])

    return Built(call, view, *sizes, "float32")


def moments(opt_state):
    """Returns Adam's first moments after one update: a tenth of the gradients."""
    return optax.tree.get(opt_state, "mu")
