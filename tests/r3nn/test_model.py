"""Whole models: encoders under a mask, pieces against the whole, the mean, forcing, generation, dtypes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import r3nn.linen
import r3nn.nnx
from r3nn import feedback, initializers
from r3nn.cells import CELLS
from r3nn.encoders import Embedding, Linear, OneHot, Readout
from r3nn.model import build, count_params, fit_hidden_size
from tests import oracles
from tests.helpers import TanhReadout, assert_close, compiled, drawn, number

T, B, D, O = 7, 3, 4, 2


def sequences(vocab=None):
    """xs, targets [T, B, ...] and a mask with a hole, a short row and an empty one."""
    keys = jax.random.split(jax.random.key(0), 2)
    targets = jax.random.normal(keys[1], (T, B, O))
    mask = np.ones((T, B), bool)
    mask[3, 0], mask[4:, 1], mask[:, 2] = False, False, False
    if vocab:
        return jax.random.randint(keys[0], (T, B), 0, vocab), targets, mask
    return jax.random.normal(keys[0], (T, B, D)), targets, mask


@pytest.mark.parametrize("encoder", ["none", "linear"])
def test_nan_in_the_padding_reaches_nothing(encoder):
    model = build(in_size=D, out_size=O, hidden_size=5, cell="gru", encoder=encoder)
    params = model.init(jax.random.key(1))
    xs, _, mask = sequences()

    def outcome(params, xs):
        _, ys = model.chunk(params, model.start(params, (B,)), xs, mask)
        return jnp.sum(jnp.where(mask[..., None], jnp.sin(ys), 0)), ys

    run = compiled(jax.value_and_grad(outcome, has_aux=True))
    clean, dirty = (run(params, jnp.where(mask[..., None], xs, filler)) for filler in (0.0, jnp.nan))
    assert_close(dirty, clean, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("teacher", [False, True])
def test_pieces_give_the_numbers_of_the_whole(teacher):
    """With feedback, a mask and resets; the padding's targets are NaN."""
    model = build(in_size=D, out_size=O, hidden_size=5, depth_cell="gru", depth=2, feedback="values")
    params = model.init(jax.random.key(1))
    xs, targets, mask = sequences()
    targets = jnp.where(mask[..., None], targets, jnp.nan) if teacher else None
    reset = np.zeros((T, B), bool)
    reset[5, 0] = True

    def run(cuts):
        carry, pieces = model.start(params, (B,)), []
        for a, b in zip(cuts, cuts[1:], strict=False):
            part = lambda leaf, a=a, b=b: None if leaf is None else leaf[a:b]
            carry, ys = model.chunk_depths(params, carry, *map(part, (xs, mask, reset, targets)))
            pieces.append(ys)
        return carry.cell, carry.fed, jnp.where(mask[:, None, :, None], jnp.concatenate(pieces), 0)

    whole, pieces = compiled(lambda: (run([0, T]), run([0, 0, 2, 5, T])))()
    assert_close(pieces, whole, rtol=1e-5, atol=1e-6)
    if teacher:
        assert_close(whole[1], jnp.stack([targets[6, 0], targets[3, 1], jnp.zeros(O)]), rtol=1e-6, atol=0)


def test_teacher_forcing_on_its_own_predictions_is_free_running():
    model = build(in_size=D, out_size=O, hidden_size=5, cell="lstm", feedback="values")
    params = model.init(jax.random.key(1))
    xs, _, _ = sequences()
    start = model.start(params, (B,))
    free = compiled(model.chunk_depths)(params, start, xs)
    taught = compiled(model.chunk_depths)(params, start, xs, None, None, free[1][:, -1])
    assert_close(taught, free, rtol=1e-5, atol=1e-6)


def test_generation_is_a_loop_over_chunk():
    """Each prediction is the next input; a sample is one of the ids."""
    model = build(vocab=5, out_size=5, hidden_size=6, cell="gru", feedback="probabilities")
    params = model.init(jax.random.key(1))
    xs, _, _ = sequences(vocab=5)
    carry, x, expected = model.start(params, (B,)), xs[0], []
    chunk = compiled(model.chunk)
    for _ in range(4):
        carry, ys = chunk(params, carry, x[None])
        x = jnp.argmax(ys[0], -1).astype(x.dtype)
        carry = carry._replace(fed=jax.nn.one_hot(x, 5))
        expected.append(x)
    last, generated = model.generate(params, model.start(params, (B,)), xs[0], 4)
    np.testing.assert_array_equal(generated, expected)
    assert_close(last, carry, rtol=1e-5, atol=1e-6)
    _, sampled = model.generate(params, model.start(params, (B,)), xs[0], 4, jax.random.key(2))
    assert sampled.shape == (4, B) and ((sampled >= 0) & (sampled < 5)).all()


# One prediction, of the mean over the steps.

MEANS = {
    "deep": {"cell": "gru", "depth": 2, "predict_depths": True},
    "fed": {"cell": "elman", "feedback": "values"},
}


def mean_case(name, dtype):
    """A model, its params, xs [T, B, D] with NaN where there is no step, and flags."""
    model = build(in_size=D, out_size=O, hidden_size=5, predict="mean", **MEANS[name], init={"dtype": dtype})
    xs, _, mask = sequences()
    reset = np.zeros((T, B), bool)
    reset[[2, 5], 0] = reset[6, 1] = reset[3, 2] = True
    return model, drawn(model.init), np.where(mask[..., None], xs, np.nan).astype(dtype), mask, reset


def mean_by_hand(model, params, xs, mask, reset):
    """[L, B, O] by NumPy: the body's outputs one by one, averaged from the last reset on, then read out."""
    found = []
    for b in range(B):
        if model.looped:
            ys = fed_by_hand(params, xs[:, b], mask[:, b], reset[:, b])
        else:
            flags = {"mask": mask[:, b], "reset": reset[:, b]}
            _, ys = oracles.unroll(model.cell, params.body, None, xs[:, b], **flags)
        ys = ys.reshape(len(ys), -1, ys.shape[-1])
        begin = max(np.flatnonzero(reset[:, b]), default=0)
        rows = [y for t, y in enumerate(ys) if t >= begin and mask[t, b]]
        mean = sum(rows) / len(rows) if rows else np.zeros_like(ys[0])
        found.append(mean @ params.readout.kernel + params.readout.bias)
    return np.stack(found, axis=1)


def fed_by_hand(params, xs, mask, reset):
    """h, y -> tanh(W [x, y] + U h + b), h @ K + k, from zeros; a step that is masked repeats the output."""
    p, readout = params.body, params.readout
    h, y, outputs = np.zeros(5), np.zeros(O), []
    for x, valid, fresh in zip(xs, mask, reset, strict=True):
        h, y = (np.zeros(5), np.zeros(O)) if fresh else (h, y)
        if valid:
            sums = np.concatenate([x, y]) @ p.input.candidate + p.bias.candidate
            h = np.tanh(sums + h @ p.recurrent.candidate)
            y = h @ readout.kernel + readout.bias
        outputs.append(h)
    return np.array(outputs)


@pytest.mark.parametrize("name", MEANS)
def test_the_mean_against_numpy(name, x64):
    """Values at each of several cuts, and the gradient in random directions; float64."""
    model, params, xs, mask, reset = mean_case(name, np.float64)

    def run(params, cuts=(0, 0, 2, 5, T)):
        carry, found = model.start(params, (B,)), []
        for a, b in zip(cuts, cuts[1:], strict=False):
            carry, ys = model.chunk_depths(params, carry, xs[a:b], mask[a:b], reset[a:b])
            found.append(ys)
        return jnp.concatenate(found)

    ys, whole, gradient = compiled(
        lambda p: (run(p), run(p, (0, T)), jax.grad(lambda p: number(run(p)[-1]))(p))
    )(params)
    by_hand = lambda p, t=T: mean_by_hand(model, p, xs[:t], mask[:t], reset[:t])
    assert ys.shape == (4, MEANS[name].get("depth", 1), B, O)
    assert_close(ys[1:], np.stack([by_hand(params, t) for t in (2, 5, T)]), 1e-10, 1e-12)
    assert_close(ys[0], np.broadcast_to(params.readout.bias, ys[0].shape), 1e-10, 1e-12)
    assert_close(whole[0], ys[-1], 1e-10, 1e-12)
    draw, total = np.random.default_rng(3), lambda p: float(number(jnp.asarray(by_hand(p))))
    for _ in range(4):
        way = jax.tree.map(lambda leaf: draw.normal(size=leaf.shape), params)
        moved = [jax.tree.map(lambda p, d, e=e: p + e * d, params, way) for e in (-1e-6, 1e-6)]
        slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: np.sum(g * d), gradient, way)))
        np.testing.assert_allclose(slope, (total(moved[1]) - total(moved[0])) / 2e-6, rtol=1e-6)


@pytest.mark.parametrize("cell, modes", [("gru", ("chunked", "newton")), ("mingru", ("scan", "linear"))])
def test_the_mean_in_every_mode(cell, modes):
    xs, _, mask = sequences()
    make = lambda mode: build(in_size=D, out_size=O, hidden_size=5, cell=cell, predict="mean", mode=mode)
    params = drawn(make("plain").init)

    @compiled
    def run(params):
        loss = lambda p, model: number(model.chunk(p, model.start(p, (B,)), xs, mask)[1])
        return [jax.value_and_grad(loss)(params, make(mode)) for mode in ("plain", *modes)]

    plain, *others = run(params)
    for found in others:
        assert_close(found, plain, 1e-4, 1e-5)


@pytest.mark.parametrize("kind", ["nnx", "linen"])
def test_modules_predict_of_the_mean(kind):
    model, params, xs, mask, reset = mean_case("deep", np.float32)
    xs, mask, reset = (np.swapaxes(array, 0, 1) for array in (xs, mask, reset))
    if kind == "nnx":
        ys = r3nn.nnx.R3NN.from_params(model, params)(xs, mask=mask, reset=reset)
    else:
        ys = r3nn.linen.R3NN(model).apply(r3nn.linen.variables(params), xs, mask=mask, reset=reset)
    wide = jax.tree.map(np.float64, params)
    wanted = mean_by_hand(model, wide, *(np.swapaxes(array, 0, 1) for array in (xs, mask, reset)))
    assert_close(ys, wanted[-1][:, None], 1e-4, 1e-5)


def test_what_is_carried():
    """The sum and its count under "mean" alone, in float32 at least; and no generation from it."""
    model, params, *_ = mean_case("fed", jnp.bfloat16)
    carry = jax.eval_shape(lambda: model.start(params, (B,)))
    assert (carry.total.shape, carry.total.dtype, carry.count.dtype) == ((B, 5), jnp.float32, jnp.int32)
    assert jax.eval_shape(lambda: model.chunk(params, model.start(params), jnp.ones((T, D)))[1]).shape == (
        1,
        O,
    )
    for predict in ("every", "last"):
        other = dataclasses.replace(model, predict=predict)
        assert jax.eval_shape(lambda model=other: model.start(params, (B,))) == carry.body
    with pytest.raises(ValueError, match="says one thing of a whole sequence"):
        model.generate(params, model.start(params), jnp.ones(D), 3)


def test_hidden_size_for_a_number_of_parameters():
    make = lambda hidden: build(in_size=D, out_size=O, hidden_size=hidden, cell="lstm", depth=2)
    hidden = fit_hidden_size(make, 5000)
    nearest = min(range(1, 60), key=lambda h: abs(count_params(make(h)) - 5000))
    assert hidden == nearest


# One dtype for all of a model.

MODELS = {
    "features": {"in_size": D, "layer_norm": True, "zoneout_h": 0.1, "state_noise": 0.1, "slow": 2},
    "linear, values": {"in_size": D, "encoder": "linear", "feedback": "values", "norm": "layer"},
    "one hot, probabilities": {"vocab": 5, "feedback": "probabilities", "delay": True},
    "embedding": {"vocab": 5, "encoder": "embedding", "predict_depths": True, "depth": 2, "refine": 2},
}


def everything(model, features):
    """Parameters, carry and predictions of a model, in shapes; float inputs of the dtype `features`."""
    ids = model.encoder.__class__.__name__ in ("OneHot", "Embedding")
    xs = jnp.zeros((T, B), jnp.int32) if ids else jnp.zeros((T, B, D), features)
    classes = model.readout.feeds == "probabilities"
    targets = jnp.zeros((T, B), jnp.int32) if classes else jnp.zeros((T, B, O), features)

    def run(key):
        params = model.init(key)
        start = model.start(params, (B,))
        taught = model.chunk_depths(params, start, xs, targets=targets) if model.looped else None
        return params, model.chunk(params, start, xs, key=key), taught

    return jax.eval_shape(run, jax.random.key(0))


def dtypes(tree):
    return {leaf.dtype.name for leaf in jax.tree.leaves(tree)}


@pytest.mark.parametrize("name", MODELS)
def test_one_dtype_for_all_of_a_model(name, x64):
    """float32, or the one that is given; whatever JAX's default is, and whatever the inputs are."""
    model = lambda **init: build(out_size=O, hidden_size=6, init=init, **MODELS[name])
    counts = {"float32"} if "slow" in MODELS[name] else set()  # the state of `slow` counts steps
    assert dtypes(everything(model(), "float32")) == {"float32"}
    assert dtypes(everything(model(), "float64")) == {"float32"}
    assert dtypes(everything(model(dtype="bfloat16"), "float32")) - counts == {"bfloat16"}
    assert dtypes(everything(model(dtype=jnp.float64), "float32")) - counts == {"float64"}
    assert model(dtype="bfloat16") == model(dtype=jnp.bfloat16)


def test_parts_are_float32_unless_told_otherwise(x64):
    """Drawn by themselves."""
    parts = lambda key: (
        Linear(D, 5).init(key),
        Embedding(3, 5).init(key),
        Readout(O).init(key, 5),
        OneHot(3)(None, jnp.arange(3)),
        Readout(3, "probabilities").encode(jnp.arange(3)),
        feedback(CELLS["gru"], TanhReadout()).init(key, D, 5),  # whose readout draws in JAX's default
        [getattr(initializers, name)(key, (4, 4)) for name in ("lecun_normal", "glorot_uniform", "zeros")],
        [initializers.unit_uniform(key, (4, 4)), initializers.normal(0.5)(key, (4, 4))],
    )
    assert dtypes(jax.eval_shape(parts, jax.random.key(0))) == {"float32"}


@pytest.mark.parametrize("kind", ["nnx", "linen"])
def test_modules_keep_the_dtype(kind, x64):
    xs = np.ones((B, T, D), np.float32)
    make = lambda **init: {"in_size": D, "out_size": O, "hidden_size": 5, "init": init}
    for dtype in ("float32", "bfloat16"):
        init = {} if dtype == "float32" else {"dtype": jnp.bfloat16}
        if kind == "nnx":
            module = nnx.eval_shape(lambda init=init: r3nn.nnx.R3NN(**make(**init), rngs=nnx.Rngs(0)))
            held = nnx.state(module)
            ys = nnx.eval_shape(lambda module: module(xs), module)
        else:
            module = r3nn.linen.R3NN(**make(**init))
            ys, held = jax.eval_shape(lambda module=module: module.init_with_output(jax.random.key(0), xs))
        assert dtypes((held, ys)) == {dtype}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"feedback": "values", "order": "layerwise", "depth": 2}, "runs stepwise"),
        ({"feedback": "values", "order": "wavefront", "depth": 2}, "runs stepwise"),
        ({"zoneout_c": 0.1}, "zoneout c=0.1: UGRNN has no c"),
        ({"cell": "gru_reset_before", "dropout_h": 0.1}, "no recurrent product is known"),
        ({"state_noise": -0.1}, "state_noise sigma must be"),
        ({"dropout": 1.0}, "variational_dropout rate must be"),
        ({"slow": -1}, "slow k must be"),
        ({"refine": -1}, "refine n must be"),
        ({"params": -1}, "params must be"),
        ({"tie": "all"}, "tie='all': acts over several levels, and depth is 1; it must be 'none'"),
        ({"tie": "2"}, "tie='2': acts over several levels"),
        ({"order": "wavefront"}, "order='wavefront': acts over several levels, and depth is 1"),
        ({"order": "layerwise", "depth_cell": "gru"}, "order='layerwise': acts over several levels"),
        ({"depth": 3, "tie": "3"}, "tie='3': a cycle is at most as long .* 2 of depth 3"),
        ({"width": 5}, "width=5: acts with encoder=linear or embedding alone; it must be 0"),
        ({"mode": "plain", "chunk": 3}, "chunk=3: mode='plain' has no blocks of steps"),
        ({"mode": "linear", "cell": "mingru", "chunk": 3}, "chunk=3: mode='linear' has no blocks"),
        ({"mode": "newton", "cell": "indrnn", "chunk": 3}, "chunk=3: mode='newton' has no blocks"),
        ({"mode": "newton", "memory": 9}, "memory=9: mode='newton' takes none"),
        ({"init": {"chron": 3}}, "init option 'chron' is unknown: did you mean 'chrono'"),
        ({"init": {"chrono": 2}}, "chrono=2: the longest time constant must be above 2 steps"),
        ({"init": {"chrono": float("inf")}}, "chrono must be a finite number, got inf"),
        ({"init": {"chrono": True}}, "chrono must be a finite number, got True"),
        ({"init": {"chrono": 9}, "cell": "elman"}, "chrono=9: Elman has no gate bias"),
        ({"init": {"learn_initial": 1}}, "learn_initial must be true or false, got 1"),
        ({"init": {"kernel_init": "zeros"}}, "kernel_init must be a function .* or left out, got 'zeros'"),
        ({"init": {"forget_bias": 1.0}, "cell": "lstm", "depth_cell": "gru"}, "'forget_bias' is unknown"),
        ({"cell": "grru"}, "did you mean 'gru'"),
        ({"encoder": "embedding"}, "does not take float features"),
        ({"depth": 2, "tie": "full"}, "in_size=4 must equal hidden_size"),
        ({"vocab": 3}, "exactly one of the two"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"init": {"dtype": "int32"}}, "init dtype=int32: must be a floating dtype"),
        ({"cell": type(CELLS["gru"])}, r"did you mean GRU\(\)\?"),
    ],
)
def test_bad_models_are_refused(options, complaint):
    with pytest.raises((ValueError, TypeError), match=complaint):
        build(**{"in_size": D, "out_size": O, **options})
