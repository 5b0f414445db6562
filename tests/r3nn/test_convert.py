"""Weights from and to torch and Keras: against the equations, and against the libraries where installed."""

import dataclasses
import math
import re
import types
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from r3nn import convert, deep, unroll
from r3nn.cells import CELLS, GatedParams, elman, gru, gru_reset_before, lstm, mgu
from tests.helpers import assert_close, compiled
from tests.properties import few

B, T, D, H = 2, 6, 3, 4
XS = np.random.default_rng(0).normal(size=(T, B, D)).astype(np.float32)
GATES = {"elman": 1, "gru": 3, "lstm": 4}


def random(shape, seed=0):
    return (0.6 * np.random.default_rng([seed, *shape]).normal(size=shape)).astype(np.float32)


def torch_state(gates: int, depth: int = 1, bias: bool = True):
    """A state dict of torch's shapes, every number random."""
    state = {}
    for k in range(depth):
        state[f"weight_ih_l{k}"] = random((gates * H, H if k else D), 4 * k)
        state[f"weight_hh_l{k}"] = random((gates * H, H), 4 * k + 1)
        if bias:
            state |= {f"bias_{s}h_l{k}": random((gates * H,), 4 * k + i) for i, s in enumerate("ih", 2)}
    return state


def keras_weights(gates: int, bias: bool = True, reset_after: bool = True):
    """layer.get_weights() in Keras's shapes, every number random."""
    shape = (2, gates * H) if gates == 3 and reset_after else (gates * H,)
    return [random((D, gates * H)), random((H, gates * H)), *([random(shape)] if bias else [])]


# The equations of the libraries' own documentation, in float64, one sequence at a time.


def σ(a):
    return 1 / (1 + np.exp(-a))


def split(array, count):
    return np.split(np.asarray(array, np.float64), count, axis=-1)


def cell_step(kind, state, parts, φ=np.tanh):
    """One step of gates given as (from x, from h) pairs of pre-activations."""
    h, c = state
    if kind == "elman":
        return φ(sum(parts[0])), c
    if kind == "gru":  # r, z, n
        r, z = σ(sum(parts[0])), σ(sum(parts[1]))
        n = φ(parts[2][0] + r * parts[2][1])
        return (1 - z) * n + z * h, c
    i, f, g, o = σ(sum(parts[0])), σ(sum(parts[1])), φ(sum(parts[2])), σ(sum(parts[3]))
    c = f * c + i * g
    return o * φ(c), c


def torch_oracle(kind, state, xs, φ=np.tanh):
    """torch's documentation: weight_ih @ x + bias_ih and weight_hh @ h + bias_hh, layer by layer; of both
    directions side by side."""

    def run(end, xs):
        w, u = state[f"weight_ih{end}"], state[f"weight_hh{end}"]
        b, b_ = (state.get(f"bias_{s}h{end}", np.zeros(len(w))) for s in "ih")
        h, c, ys = np.zeros(H), np.zeros(H), []
        for x in xs:
            both = zip(split(w @ x + b, GATES[kind]), split(u @ h + b_, GATES[kind]), strict=True)
            h, c = cell_step(kind, (h, c), list(both), φ)
            ys.append(h)
        return np.array(ys)

    for k in range(sum(bool(re.fullmatch(r"weight_ih_l\d", name)) for name in state)):
        forward = run(f"_l{k}", xs)
        if f"weight_ih_l{k}_reverse" in state:
            xs = np.concatenate([forward, run(f"_l{k}_reverse", xs[::-1])[::-1]], axis=-1)
        else:
            xs = forward
    return xs


def keras_oracle(name, weights, xs, φ=np.tanh):
    """Keras's source: columns z, r, h of the GRU and i, f, c, o of the LSTM."""
    kernel, recurrent, bias = [*weights, np.zeros(weights[0].shape[1])][:3]
    b, b_ = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    count = kernel.shape[1] // H
    h, c, ys = np.zeros(H), np.zeros(H), []
    for x in xs:
        u, r = split(x @ kernel + b, count), split(h @ recurrent + b_, count)
        if name == "gru_reset_before":
            gate = σ(u[1] + r[1])
            r[2], u[2] = np.zeros(H), u[2] + (gate * h) @ split(recurrent, 3)[2]
        order = (1, 0, 2) if count == 3 else range(count)
        kind = {1: "elman", 3: "gru", 4: "lstm"}[count]
        h, c = cell_step(kind, (h, c), [(u[i], r[i]) for i in order], φ)
        ys.append(h)
    return np.array(ys)


def outputs(cell, params, xs=XS):
    return compiled(partial(unroll, cell))(params, None, xs)[1]


@pytest.mark.parametrize("kind, depth, bias", [("elman", 1, False), ("gru", 3, True), ("lstm", 2, True)])
def test_torch_by_its_equations(kind, depth, bias):
    state = torch_state(GATES[kind], depth, bias)
    cell, params = convert.from_torch(state)
    assert cell == (deep(CELLS[kind], depth) if depth > 1 else CELLS[kind])
    desired = np.stack([torch_oracle(kind, state, XS[:, i].astype(np.float64)) for i in range(B)], axis=1)
    assert_close(outputs(cell, params), desired, 1e-6, 1e-6)


@pytest.mark.parametrize(
    "name, bias", [("elman", True), ("gru", True), ("gru_reset_before", True), ("lstm", True), ("gru", False)]
)
def test_keras_by_its_equations(name, bias):
    weights = keras_weights(GATES.get(name, 3), bias, reset_after=name == "gru")
    cell, params = convert.from_keras(weights)
    assert cell == CELLS[name]
    desired = np.stack([keras_oracle(name, weights, XS[:, i].astype(np.float64)) for i in range(B)], axis=1)
    assert_close(outputs(cell, params), desired, 1e-6, 1e-6)


# Modules and layers, known by their attributes alone.


class Tensor(NamedTuple):
    """What of torch's tensors is used."""

    array: np.ndarray

    def detach(self):
        return self

    def cpu(self):
        return self.array


class Module(types.SimpleNamespace):
    """What of torch's modules is used."""

    def state_dict(self):
        return {name: Tensor(array) for name, array in self.arrays.items()}


class Layer(types.SimpleNamespace):
    """What of Keras's layers is used."""

    def get_weights(self):
        return self.arrays


def relu(a):
    return np.maximum(a, 0)


def silu(a):
    return a * σ(np.maximum(a, -80))


def exact_gelu(a):
    return a * (1 + np.vectorize(math.erf)(np.asarray(a, np.float64) / 2**0.5)) / 2


def sigmoid(a):
    return σ(np.maximum(a, -80))


def hard_sigmoid(a):
    return np.clip(a / 6 + 0.5, 0, 1)


def relu6(a):
    return np.clip(a, 0, 6)


def by_sequence(oracle, *arguments):
    return np.stack(
        [oracle(*arguments[:2], XS[:, i].astype(np.float64), *arguments[2:]) for i in range(B)], 1
    )


def test_torch_with_relu():
    """A module says it; a state dict does not, and is told; none comes in as tanh, and back out, unsaid."""
    state, relu_ = torch_state(1, 2), jax.nn.relu
    cell, params = convert.from_torch(Module(arrays=state, nonlinearity="relu"))
    assert cell == deep(dataclasses.replace(elman, activation=relu_), 2)
    assert_close(outputs(cell, params), by_sequence(torch_oracle, "elman", state, relu), 1e-5, 1e-5)
    assert convert.from_torch(state, activation=relu_)[0] == cell
    assert convert.from_torch(state)[0] == deep(elman, 2)
    back = convert.to_torch(cell, params, activation=relu_)
    assert_close(convert.from_torch(back, activation=relu_)[1], params, 0, 0)


def test_torch_of_both_directions():
    """Two layers of an LSTM: the second one's input is both outputs of the first."""
    backward = {f"{name}_reverse": array[::-1] for name, array in torch_state(4, 2).items()}
    state = torch_state(4, 2) | backward
    for end in ("", "_reverse"):
        state[f"weight_ih_l1{end}"] = random((4 * H, 2 * H), len(end))
    cell, layers = convert.from_torch(Module(arrays=state))
    xs = XS
    for forward, backward in layers:
        ahead = outputs(cell, forward, xs)
        behind = compiled(partial(unroll, cell, reverse=True))(backward, None, xs)[1]
        xs = jnp.concatenate([ahead, behind], axis=-1)
    assert cell == lstm
    assert_close(xs, by_sequence(torch_oracle, "lstm", state), 1e-6, 1e-6)
    assert_close(convert.from_torch(convert.to_torch(cell, layers))[1], layers, 0, 0)


@pytest.mark.parametrize("kind", GATES)
def test_torch_cells(kind):
    """RNNCell, GRUCell and LSTMCell: a layer whose names have no number."""
    state = torch_state(GATES[kind])
    bare = {name.removesuffix("_l0"): array for name, array in state.items()}
    options = {"nonlinearity": "tanh"} if kind == "elman" else {}
    cell, params = convert.from_torch(Module(arrays=bare, **options))
    assert cell == CELLS[kind]
    assert_close(params, convert.from_torch(state)[1], 0, 0)


@pytest.mark.parametrize(
    "name, φ, ours",
    [
        ("elman", relu, jax.nn.relu),
        ("gru", silu, jax.nn.silu),
        ("gru_reset_before", lambda a: a, jax.nn.identity),
        ("lstm", sigmoid, jax.nn.sigmoid),
        ("lstm", exact_gelu, None),
    ],
)
def test_keras_layers_with_another_activation(name, φ, ours):
    """The LSTM has it twice; a GRU says where it resets."""
    weights = keras_weights(GATES.get(name, 3), bias=False)
    options = {} if name == "elman" else {"recurrent_activation": sigmoid}
    options |= {"reset_after": name == "gru"} if "gru" in name else {}
    cell, params = convert.from_keras(Layer(arrays=weights, activation=φ, **options))
    assert cell == dataclasses.replace(CELLS[name], activation=ours or cell.activation)
    assert_close(outputs(cell, params), by_sequence(keras_oracle, name, weights, φ), 1e-6, 1e-6)
    back = convert.to_keras(cell, params, activation=cell.activation)
    same, again = convert.from_keras(back, cell)
    assert same == cell
    assert_close(again, params, 0, 0)


def filled(cell, seed=0, D=D, H=H, **options):
    """Params of the cell, every number random."""
    shapes = jax.eval_shape(lambda: cell.init(jax.random.key(0), D, H, **options))
    leaves, structure = jax.tree.flatten(shapes)
    return structure.unflatten(random(leaf.shape, seed + i) for i, leaf in enumerate(leaves))


@pytest.mark.parametrize("bias", [True, False], ids=["biases", "no biases"])
def test_there_and_back_changes_nothing(bias):
    for cell in (elman, gru, lstm, deep(gru, 3)):
        params = filled(cell, bias=bias)
        assert_close(convert.from_torch(convert.to_torch(cell, params))[1], params, 0, 0)
    for cell in (elman, gru, gru_reset_before, lstm):
        params = filled(cell, bias=bias)
        back, same = convert.from_keras(convert.to_keras(cell, params), cell)
        assert back == cell
        assert_close(same, params, 0, 0)
    weights = keras_weights(4, bias)
    assert_close(convert.to_keras(*convert.from_keras(weights)), weights, 0, 0)


shapes = st.fixed_dictionaries({"D": st.integers(1, 4), "H": st.integers(1, 4), "bias": st.booleans()})


@few
@given(st.sampled_from([elman, gru, lstm]), shapes, st.integers(1, 3), st.integers(0, 99))
def test_torch_and_back_of_any_size(cell, sizes, depth, seed):
    """Params, every number random, come back as they were."""
    cell = deep(cell, depth) if depth > 1 else cell
    params = filled(cell, seed, **sizes)
    assert_close(convert.from_torch(convert.to_torch(cell, params))[1], params, 0, 0)


@few
@given(st.sampled_from([elman, gru, gru_reset_before, lstm]), shapes, st.integers(0, 99))
def test_keras_and_back_of_any_size(cell, sizes, seed):
    params = filled(cell, seed, **sizes)
    back, same = convert.from_keras(convert.to_keras(cell, params), cell)
    assert back == cell
    assert_close(same, params, 0, 0)


@pytest.mark.parametrize("name", ["elman", "gru", "lstm"])
def test_traced_arrays_are_read_as_they_are(name):
    """Under jax.jit, as where a checkpoint of another library is read and run in one program."""
    params = filled(CELLS[name])
    torch, keras = convert.to_torch(CELLS[name], params), convert.to_keras(CELLS[name], params)
    read = jax.jit(lambda torch, keras: (convert.from_torch(torch)[1], convert.from_keras(keras)[1]))
    assert_close(read(torch, keras), (params, params), 0, 0)


def test_one_bias_of_two():
    """What comes back from torch's two biases is their sum in the first, but for the candidate's b_hn."""
    state = torch_state(3)
    back = convert.to_torch(*convert.from_torch(state))
    both = state["bias_ih_l0"] + state["bias_hh_l0"]
    assert_close(back["bias_ih_l0"], np.append(both[: 2 * H], state["bias_ih_l0"][2 * H :]))
    assert_close(back["bias_hh_l0"], np.append(np.zeros(2 * H), state["bias_hh_l0"][2 * H :]))
    assert all(isinstance(array, np.ndarray) and array.flags.writeable for array in back.values())


def test_biases_that_only_one_side_has():
    """A GRU without b_hn, and one with nothing but it."""
    params = filled(gru)
    for part in (params._replace(recurrent_bias=None), params._replace(bias=None)):
        zeros = jax.tree.map(jnp.zeros_like, params)
        whole = part._replace(
            bias=zeros.bias if part.bias is None else part.bias,
            recurrent_bias=zeros.recurrent_bias if part.recurrent_bias is None else part.recurrent_bias,
        )
        assert_close(convert.from_torch(convert.to_torch(gru, part))[1], whole, 0, 0)
        assert_close(convert.from_keras(convert.to_keras(gru, part))[1], whole, 0, 0)


@pytest.mark.parametrize("tie", ["all", 2, "none"])
def test_levels_and_stack(tie):
    """A tied cell as one untied: each level's params as often as they serve."""
    cell, tied = deep(elman, 4, tie=tie), filled(deep(elman, 4, tie=tie))
    each = convert.levels(cell, tied)
    row = {"all": [0, 0, 0], 2: [0, 1, 0], "none": [0, 1, 2]}[tie]
    desired = [tied.first, *(jax.tree.map(lambda leaf, i=i: leaf[i], tied.rest) for i in row)]
    assert_close(each, desired, 0, 0)
    untied = convert.stack(each)
    assert_close(untied, convert.from_torch(convert.to_torch(cell, tied))[1], 0, 0)
    assert_close(outputs(deep(elman, 4), untied), outputs(cell, tied), 1e-6, 1e-6)


RELU, RELU_GRU = (dataclasses.replace(cell, activation=jax.nn.relu) for cell in (elman, gru))
LEARNED = filled(gru)._replace(initial=np.zeros(H, np.float32))
STATE = torch_state(3)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: convert.from_torch({}), "lacks weight_ih_l0, weight_hh_l0"),
        (lambda: convert.from_torch(STATE | torch_state(3, 2) | {"weight_ih_l2": 0}), "lacks weight_hh_l2"),
        (
            lambda: convert.from_torch({k: v for k, v in STATE.items() if k != "bias_ih_l0"}),
            "lacks bias_ih_l0",
        ),
        (lambda: convert.from_torch(STATE | {"weight_ih_l0_reverse": 0}), "lacks weight_hh_l0_reverse"),
        (
            lambda: convert.from_torch(torch_state(1), activation=jax.nn.gelu),
            "activation=gelu: torch's RNN can have tanh or relu alone",
        ),
        (lambda: convert.from_torch(STATE, activation=jax.nn.relu), "relu: torch's GRU can have tanh alone"),
        (
            lambda: convert.from_torch(Module(arrays=STATE, nonlinearity="tanh"), activation=jax.nn.relu),
            "activation=relu: the Module has tanh",
        ),
        (lambda: convert.to_torch(RELU, filled(elman)), "elman: activation=tanh, but the cell's is relu"),
        (
            lambda: convert.to_torch(RELU_GRU, filled(gru), activation=jax.nn.relu),
            "torch's GRU can have tanh",
        ),
        (lambda: convert.to_keras(RELU, filled(elman)), "elman: activation=tanh, but the cell's is relu"),
        (lambda: convert.to_flax(RELU, filled(elman)), "elman: activation=tanh, but the cell's is relu"),
        (
            lambda: convert.from_keras(Layer(arrays=[], activation=relu6)),
            r"Layer\(activation=relu6\): must be one of tanh, relu",
        ),
        (
            lambda: convert.from_keras(
                Layer(arrays=[], activation=np.tanh, recurrent_activation=hard_sigmoid)
            ),
            r"Layer\(recurrent_activation=hard_sigmoid\): must be sigmoid",
        ),
        (lambda: convert.from_keras(Layer(arrays=[])), "Layer has no activation: must be SimpleRNN, GRU"),
        (
            lambda: convert.from_keras(Layer(arrays=keras_weights(1), activation=relu), elman),
            r"cell=Elman\(.*tanh\): the Layer is Elman\(.*relu\)",
        ),
        (lambda: convert.from_torch(STATE | {"weight_hr_l0": 0}), "no proj_size"),
        (lambda: convert.from_torch(STATE | {"decoder.weight": 0}), "decoder.weight cannot be converted"),
        (lambda: convert.from_torch(STATE | {"weight_hh_l0": np.zeros((8, 4))}), r"must be \[G·H, H\]"),
        (lambda: convert.from_torch(STATE | {"bias_ih_l0": np.zeros(3)}), r"bias_ih_l0 has shape \(3,\)"),
        (lambda: convert.to_torch(mgu, filled(mgu)), "torch's cells, which are our elman, gru, lstm"),
        (lambda: convert.to_torch(gru, LEARNED), "initial"),
        (lambda: convert.from_keras([]), "0 arrays"),
        (lambda: convert.from_keras([np.zeros((D, 8)), np.zeros((H, 8))]), "SimpleRNN, GRU or LSTM"),
        (lambda: convert.from_keras(keras_weights(3), lstm), "are those of gru, not of lstm"),
        (lambda: convert.from_keras(keras_weights(3), gru_reset_before), "those of gru, not of gru_reset"),
        (lambda: convert.to_keras(deep(gru, 2), None), "not among Keras's cells"),
        (lambda: convert.to_keras(gru, LEARNED), "initial"),
        (lambda: convert.stack([filled(gru), filled(gru), filled(elman)]), "must agree"),
        (lambda: convert.stack([]), "each is empty"),
        (lambda: convert.from_keras([0.0, 0.0]), r"shapes \[\(\), \(\)\] are not those"),
        (lambda: convert.from_torch(STATE | {"weight_ih_l0": 0.0}), r"shape \(\): must be \[G·H, D\]"),
        (lambda: convert.from_flax({"dense_i": {}, "dense_h": {}}), "'dense_i' must be a dict with a kernel"),
    ],
)
def test_errors_are_one_sentence(make, words):
    with pytest.raises(ValueError, match=words) as error:
        make()
    assert "\n" not in str(error.value)


# The libraries themselves, where they are installed (scripts/requirements-peers.txt).


@pytest.mark.filterwarnings("ignore")  # theirs, on import
@pytest.mark.parametrize(
    "kind, depth, bias, options",
    [
        ("RNN", 1, True, {}),
        ("RNN", 2, True, {"nonlinearity": "relu"}),
        ("GRU", 2, True, {}),
        ("LSTM", 2, True, {}),
        ("GRU", 1, False, {}),
    ],
)
def test_equals_torch(kind, depth, bias, options):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, kind)(D, H, num_layers=depth, bias=bias, **options)
    cell, params = convert.from_torch(theirs)
    activation = getattr(cell, "cell", cell).activation
    assert_close(convert.from_torch(theirs.state_dict(), activation)[1], params, 0, 0)
    desired = theirs(torch.from_numpy(XS))[0].detach().numpy()
    assert_close(outputs(cell, params), desired, 1e-6, 1e-6)
    fresh = filled(cell, bias=bias)
    back = convert.to_torch(cell, fresh, activation)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in back.items()})
    assert_close(outputs(cell, fresh), theirs(torch.from_numpy(XS))[0].detach().numpy(), 1e-6, 1e-6)


@pytest.mark.filterwarnings("ignore")  # theirs, on import
def test_equals_torch_in_both_directions_and_step_by_step():
    torch = pytest.importorskip("torch")
    both = torch.nn.GRU(D, H, num_layers=2, bidirectional=True)
    cell, layers = convert.from_torch(both)
    xs = XS
    for forward, backward in layers:
        behind = unroll(cell, backward, None, xs, reverse=True)[1]
        xs = jnp.concatenate([outputs(cell, forward, xs), behind], axis=-1)
    assert_close(xs, both(torch.from_numpy(XS))[0].detach().numpy(), 1e-6, 1e-6)
    both.load_state_dict({k: torch.from_numpy(v) for k, v in convert.to_torch(cell, layers).items()})
    for kind, options in (("RNNCell", {"nonlinearity": "relu"}), ("GRUCell", {}), ("LSTMCell", {})):
        one = getattr(torch.nn, kind)(D, H, **options)
        y = one(torch.from_numpy(XS[0]))
        cell, params = convert.from_torch(one)
        desired = (y[0] if kind == "LSTMCell" else y).detach().numpy()
        assert_close(outputs(cell, params, XS[:1])[0], desired, 1e-6, 1e-6)
    with pytest.raises(ValueError, match="proj_size"):
        convert.from_torch(torch.nn.LSTM(D, H, proj_size=2))


@pytest.mark.filterwarnings("ignore")  # theirs, on import
@pytest.mark.parametrize(
    "kind, options, cell",
    [
        ("SimpleRNN", {}, elman),
        ("GRU", {}, gru),
        ("GRU", {"reset_after": False}, gru_reset_before),
        ("GRU", {"reset_after": False, "use_bias": False}, gru_reset_before),
        ("LSTM", {}, lstm),
        ("SimpleRNN", {"activation": "relu"}, RELU),
        ("GRU", {"activation": "relu", "reset_after": False}, None),
        ("GRU", {"activation": "linear"}, None),
        ("LSTM", {"activation": "gelu"}, None),
        ("LSTM", {"activation": "silu"}, None),
    ],
)
def test_equals_keras(kind, options, cell, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    theirs = getattr(keras.layers, kind)(H, return_sequences=True, **options)
    theirs.build((B, T, D))
    drawn = convert.from_keras(theirs)
    cell = drawn[0] if cell is None else cell
    assert_close(convert.from_keras(theirs.get_weights(), cell)[1], drawn[1], 0, 0)
    fresh = filled(cell, bias=options.get("use_bias", True))
    for params in (drawn[1], fresh):
        theirs.set_weights(convert.to_keras(cell, params, cell.activation))
        desired = np.swapaxes(theirs(XS.swapaxes(0, 1)), 0, 1)
        assert_close(outputs(cell, params), desired, 1e-6, 1e-6)
    assert drawn[0] == cell and isinstance(drawn[1], GatedParams)
