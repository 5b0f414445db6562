"""Builds the same layers in other libraries, on the same weights: stacks of GRU or LSTM layers, time-major.

Each function takes the name of our cell, the params of each layer of its own, and `order`: which of them runs
at each depth (tied layers come up more than once). Gradients come back in our params, one for each of `each`.
"""

import functools
import importlib.util
import os

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

from r3nn import CELLS, convert
from r3nn import nnx as r3nn_nnx
from scripts.bench.contest import Built, Contender, gradient
from scripts.bench.report import cores

LIBRARIES = ("flax", "equinox", "keras", "torch")
LINEN = {"gru": linen.GRUCell, "lstm": linen.OptimizedLSTMCell}


def installed(names) -> tuple[str, ...]:
    """Keeps those of the libraries that can be imported."""
    return tuple(name for name in names if importlib.util.find_spec(name))


def rivals(peers, name, each, order=None) -> list[Contender]:
    """Makes the contenders of all libraries in `peers` that have such a stack."""
    order = list(range(len(each))) if order is None else order
    makers = [("flax", flax_nnx), ("flax", flax_linen), ("torch", torch)]
    if len(order) == 1:
        makers += [("equinox", equinox), ("keras", keras)]
    on_cpu = jax.default_backend() == "cpu"  # torch's wheel may have no other device than the CPU
    return [
        make(name, each, order)
        for peer, make in makers
        if peer in peers and importlib.util.find_spec(peer) and (on_cpu or peer != "torch")
    ]


def flax_nnx(name, each, order) -> Contender:
    """Makes a stack of flax.nnx.RNN of GRUCell or OptimizedLSTMCell."""
    layers = nnx.List([nnx.RNN(r3nn_nnx.to_flax(CELLS[name], p), time_major=True) for p in each])
    graphdef, state, rest = nnx.split(layers, nnx.Param, ...)

    def run(state, xs):
        layers = nnx.merge(graphdef, state, rest)
        for i in order:
            carry = layers[i].cell.initialize_carry(xs.shape[1:], nnx.Rngs(0))
            carry, xs = layers[i](xs, initial_carry=carry, return_carry=True)
        return carry, xs

    def back(grads):
        return [r3nn_nnx.from_flax(layer.cell)[1] for layer in nnx.merge(graphdef, grads, rest)]

    return gradient("flax nnx", run, state, "flax", back=back)


def flax_linen(name, each, order) -> Contender:
    """Makes a stack of flax.linen.RNN of GRUCell or OptimizedLSTMCell."""
    cell = CELLS[name]
    layer = linen.RNN(LINEN[name](each[0].recurrent[0].shape[0]), time_major=True)
    variables = [{"params": {"cell": convert.to_flax(cell, p)}} for p in each]

    def run(variables, xs):
        for i in order:
            carry, xs = layer.apply(variables[i], xs, return_carry=True)
        return carry, xs

    def back(grads):
        trees = [convert.from_flax(g["params"]["cell"])[1] for g in grads]
        return [tree._replace(recurrent_bias=None) for tree in trees]  # one that nnx's GRUCell lacks

    return gradient("flax linen", run, variables, "flax", back=back)


def equinox(name, each, order) -> Contender:
    """Makes equinox.nn.GRUCell or LSTMCell, mapped over the batch under jax.lax.scan, as documented."""
    import equinox as eqx

    (params,) = each
    size, hidden = params.input[0].shape
    arrays = convert.to_torch(CELLS[name], params)
    module = {"gru": eqx.nn.GRUCell, "lstm": eqx.nn.LSTMCell}[name](size, hidden, key=jax.random.key(0))
    where = lambda m: (m.weight_ih, m.weight_hh, m.bias)
    bias = arrays["bias_ih_l0"].copy()
    module = eqx.tree_at(
        where, module, (*map(jnp.asarray, (arrays["weight_ih_l0"], arrays["weight_hh_l0"], bias)),)
    )
    if name == "gru":
        module = eqx.tree_at(lambda m: m.bias_n, module, jnp.asarray(arrays["bias_hh_l0"][2 * hidden :]))
    arrays, static = eqx.partition(module, eqx.is_array)

    def run(arrays, xs):
        cell = jax.vmap(eqx.combine(arrays, static))
        zeros = jnp.zeros((xs.shape[1], hidden))

        def step(state, x):
            state = cell(x, state)
            return state, state if name == "gru" else state[0]

        return jax.lax.scan(step, zeros if name == "gru" else (zeros, zeros), xs)

    back = lambda grads: [from_rows(*map(np.asarray, where(grads)))]
    return gradient("equinox", run, arrays, back=back)


def from_rows(weight_ih, weight_hh, bias):
    """Makes our gradient from torch's arrays; a second bias, which adds, has the first one's gradient."""
    arrays = (weight_ih, weight_hh, bias, np.zeros_like(bias))
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    return convert.from_torch(dict(zip(names, arrays, strict=True)))[1]._replace(recurrent_bias=None)


def keras(name, each, order) -> Contender:
    """Makes keras.layers.GRU or LSTM on the JAX backend, batch-major, as Keras is."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    (params,) = each
    size, hidden = params.input[0].shape
    layer = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[name](
        hidden, return_sequences=True, return_state=True
    )
    layer.build((None, None, size))
    layer.set_weights(convert.to_keras(CELLS[name], params))
    trained, fixed = (
        [v.value for v in vs] for vs in (layer.trainable_variables, layer.non_trainable_variables)
    )

    def run(trained, xs):
        (ys, *state), _ = layer.stateless_call(trained, fixed, xs)
        return state, ys

    def back(grads):
        kernel, recurrent, bias = grads
        bias = bias.at[1].set(0) if bias.ndim == 2 else bias  # a second bias has the first one's gradient
        _, tree = convert.from_keras([kernel, recurrent, bias], CELLS[name])
        return [tree._replace(recurrent_bias=None)]

    return gradient("keras", run, trained, batch_major=True, back=back)


def torch(name, each, order) -> Contender:
    """Makes torch.nn.GRU or LSTM of len(order) layers, which are never tied there, on a thread per core."""
    layers = [each[i] for i in order]
    state = {}
    for k, params in enumerate(layers):
        one = convert.to_torch(CELLS[name], params)
        state |= {key.replace("_l0", f"_l{k}"): array for key, array in one.items()}
    return Contender(
        f"torch ({cores()} threads)", "torch", functools.partial(build_torch, name, state, order)
    )


def build_torch(name, state, order, xs, weights, keep) -> Built:
    """Computes the gradient of a weighted sum of all outputs, in torch."""
    import torch

    torch.set_num_threads(cores())
    xs, weights = (torch.from_numpy(np.array(array)) for array in (xs, weights))
    hidden = weights.shape[-1]
    kind = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[name]
    module = kind(xs.shape[-1], hidden, num_layers=len(order))
    module.load_state_dict({key: torch.from_numpy(array) for key, array in state.items()})
    xs.requires_grad_()

    def call():
        ys, _ = module(xs)
        value = torch.vdot(weights.ravel(), ys.ravel())
        return torch.autograd.grad(value, [xs, *module.parameters()])

    def view(result):
        of_xs, *grads = (array.numpy() for array in result)
        arrays = dict(zip(dict(module.named_parameters()), grads, strict=True))
        rows = lambda k: from_rows(
            *(arrays[f"{part}_l{k}"] for part in ("weight_ih", "weight_hh", "bias_ih"))
        )
        each = [[rows(k) for k, i in enumerate(order) if i == layer] for layer in range(max(order) + 1)]
        with torch.no_grad():
            ys, _ = module(xs)
        return ys.numpy(), of_xs, [jax.tree.map(lambda *shares: sum(shares), *shares) for shares in each]

    with torch.no_grad():
        _, last = module(xs[:1])
    last = last[0] if name == "lstm" else last
    return Built(call, view, state=str(last.dtype).removeprefix("torch."))
