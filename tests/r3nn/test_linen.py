"""The Linen modules against Flax's own, and against the functions and the NNX modules of the same params."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import errors, nnx
from flax import linen as nn

import r3nn.linen
import r3nn.nnx
from r3nn import Noise, chain, convert, deep, norm, unroll, variational_dropout, zoneout
from r3nn.cells import CELLS, GatedParams, gru, ugrnn
from r3nn.model import build
from tests.helpers import assert_close

B, T, D, H, O = 3, 7, 2, 5, 4
LENGTHS = np.array([7, 1, 4])
XS = np.random.default_rng(0).normal(size=(B, T, D)).astype(np.float32)
KEY = jax.eval_shape(lambda: jax.random.key(0))


def fill(tree, seed=0):
    """Random numbers in the shapes of a tree: no bias is 0, and nothing compiles."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape), leaf.dtype), tree)


def filled(module, *arguments, seed=0, **options):
    """Variables of a module, of random numbers."""
    return fill(jax.eval_shape(partial(module.init, **options), KEY, *arguments), seed)


# Flax's own cells.

FLAX = {
    "GRUCell": nn.GRUCell(H),
    "SimpleCell": nn.SimpleCell(H),
    "LSTMCell": nn.LSTMCell(H),
    "OptimizedLSTMCell": nn.OptimizedLSTMCell(H),
    "MGUCell": nn.MGUCell(H),
    "MGUCell, no reset": nn.MGUCell(H, reset_gate=False),
    "SimpleCell, relu": nn.SimpleCell(H, activation_fn=nn.relu),
    "LSTM, silu": nn.OptimizedLSTMCell(H, activation_fn=nn.silu),
    "bare": nn.SimpleCell(H, residual=True),
}


def valid(outputs):
    """The outputs [B, T, H] with those in the padding, where Flax computes on, put to 0."""
    return jnp.where((jnp.arange(T) < LENGTHS[:, None])[..., None], outputs, 0)


@pytest.mark.parametrize("name", ["SimpleCell", "LSTMCell", "MGUCell", "bare"])
def test_equals_flax(name):
    """Outputs, carries, and the gradients of weights, inputs and initial carry, in one program each."""
    options = dict(reverse=True, return_carry=True)
    variables = filled(nn.RNN(FLAX[name], **options), XS)
    carry = fill(jax.eval_shape(lambda key: FLAX[name].initialize_carry(key, (B, D)), KEY))
    weigh = fill(jnp.zeros((B, T, H)), 2)

    @partial(jax.jit, static_argnums=0)
    @partial(jax.grad, argnums=(1, 2, 3), has_aux=True)
    def everything(kind, variables, xs, carry):
        rnn = kind(FLAX[name], **options)
        apply = lambda **how: rnn.apply(variables, xs, seq_lengths=LENGTHS, **how)
        last, ys = apply(initial_carry=carry, keep_order=True)
        total = jnp.sum(weigh * valid(ys)) + sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(last))
        flipped = valid(apply(return_carry=False)) if name == "SimpleCell" else 0
        return total, (last, valid(ys), flipped)

    ours, flaxs = (everything(kind, variables, XS, carry) for kind in (r3nn.linen.RNN, nn.RNN))
    assert_close(ours, flaxs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in FLAX if name != "bare"])
def test_params_to_and_from_flax(name):
    flax = FLAX[name]
    carry = fill(jax.eval_shape(lambda key: flax.initialize_carry(key, (B, D)), KEY))
    variables = filled(flax, carry, XS[:, 0])
    cell, params = r3nn.linen.from_flax(flax, variables)
    back, again = r3nn.linen.to_flax(cell, params)
    assert_close(again, variables, 0, 0)
    if name != "LSTMCell":
        assert back == flax
    state, ours = cell(params, convert.state_from_flax(cell, carry), XS[:, 0])
    theirs = flax.apply(variables, carry, XS[:, 0])
    assert_close((convert.carry_to_flax(cell, state), ours), theirs, 1e-6, 1e-6)


def test_gates_in_columns_and_biases_on_both_sides():
    """The form of most nnx cells, also were Flax to give its GRU there the bias that it has in Linen."""
    params = fill(jax.eval_shape(partial(gru.init, in_size=D, hidden_size=H), KEY))
    tree = convert.columns(convert.to_flax(gru, params), "gru")
    assert jax.tree.map(jnp.shape, tree["dense_i"]) == {"kernel": (D, 3 * H), "bias": (3 * H,)}
    assert_close(convert.from_flax(tree)[1], params, 0, 0)
    tree["dense_h"]["bias"] = tree["dense_h"]["bias"].at[: 2 * H].set(1.0)
    moved = convert.from_flax(tree)[1].bias
    assert_close(moved.update, params.bias.update + 1)
    assert_close(moved.candidate, params.bias.candidate)


def test_a_module_makes_its_cell_anywhere():
    """Variables are Flax's own, wherever it puts them; a program is traced once."""

    class Outside(nn.Module):
        kind: type

        @nn.compact
        def __call__(self, xs):
            return self.kind(nn.GRUCell(H))(xs)

    shapes = lambda module: jax.tree.map(jnp.shape, jax.eval_shape(module.init, KEY, XS))
    assert shapes(Outside(r3nn.linen.RNN)) == shapes(Outside(nn.RNN))
    assert shapes(r3nn.linen.RNN(FLAX["GRUCell"])) == shapes(nn.RNN(FLAX["GRUCell"]))
    module, traces = Outside(r3nn.linen.RNN), []
    apply = jax.jit(lambda variables, xs: (traces.append(0), module.apply(variables, xs))[1])
    results = [apply(filled(module, XS, seed=seed), XS) for seed in range(2)]
    assert len(traces) == 1 and np.all(results[0] != results[1])


# Our cell as one of Flax's.


@pytest.mark.parametrize(
    "cell, options",
    [("lstm", {"learn_initial": True}), (chain(gru, deep(norm(ugrnn), 3, tie="all")), {})],
    ids=["lstm", "composed"],
)
def test_cell_in_flax_and_here(cell, options):
    """Flax's RNN and ours with our Cell, and Flax's Bidirectional of each, are `unroll`."""
    cell = r3nn.linen.Cell(cell, H, options)
    like = jax.eval_shape(partial(cell.cell.init, in_size=D, hidden_size=H, **options), KEY)
    params = [fill(like, seed) for seed in range(2)]
    variables = {
        "params": {
            name: {"cell": convert.to_dict(p)}
            for name, p in zip(("forward_rnn", "backward_rnn"), params, strict=True)
        }
    }
    xs = XS.swapaxes(0, 1)

    @jax.jit
    def reference():
        runs = [unroll(cell.cell, p, None, xs, reverse=i, mode="plain") for i, p in enumerate(params)]
        ys = jnp.concatenate([ys for _, ys in runs], -1)
        return tuple(state for state, _ in runs), jnp.moveaxis(ys, 0, 1)

    desired = reference()
    for kind in (nn.RNN, r3nn.linen.RNN):
        both = nn.Bidirectional(kind(cell.clone()), kind(cell.clone()), return_carry=True)
        assert_close(jax.jit(both.apply)(variables, XS), desired)
        shapes = jax.eval_shape(both.init, KEY, XS)
        assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, variables)


def test_cell_obeys_the_protocol():
    cell = r3nn.linen.Cell("gru", H, {"learn_initial": True})
    assert isinstance(cell, nn.RNNCellBase) and cell.num_feature_axes == 1
    carry = cell.initialize_carry(jax.random.key(0), (B, D))
    assert_close(carry, jnp.zeros((B, H)))
    variables = cell.init(jax.random.key(0), carry, XS[:, 0])
    fresh = gru.init(jax.random.key(0), D, H, learn_initial=True)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, r3nn.linen.variables(fresh))
    assert set(variables["params"]["input"]) == {"reset", "update", "candidate"}
    params = cell.bind(variables).params(D)
    assert isinstance(params, GatedParams) and np.ptp(params.input.update) > 0
    variables = r3nn.linen.variables(params._replace(initial=jnp.arange(float(H))))
    assert_close(cell.bind(variables).initialize_carry(None, (B, D))[1], jnp.arange(float(H)))


def test_mask_and_reset_are_those_of_unroll():
    rnn = r3nn.linen.RNN(r3nn.linen.Cell(gru, H), time_major=True, return_carry=True, mode="plain")
    xs, (mask, reset) = XS.swapaxes(0, 1), np.random.default_rng(0).random((2, T, B)) < 0.6
    variables = filled(rnn, xs)

    @jax.jit
    def both():
        params = convert.from_dict(
            jax.eval_shape(lambda k: gru.init(k, D, H), KEY), variables["params"]["cell"]
        )
        flags = dict(mask=mask, reset=reset)
        return rnn.apply(variables, xs, **flags), unroll(gru, params, None, xs, **flags)

    assert_close(*both())


# Cells of which more is there than a step on params.


class Doubled(r3nn.linen.Cell):
    """A call of its own."""

    def __call__(self, carry, x):
        carry, y = super().__call__(carry, x)
        return carry, 2 * y


class Counted(r3nn.linen.Cell):
    """A carry of its own, of another shape."""

    @nn.nowrap
    def initialize_carry(self, rng, input_shape):
        state = super().initialize_carry(rng, input_shape)
        return state + 0.5, state[..., :1]

    def __call__(self, carry, x):
        state, y = super().__call__(carry[0], x)
        return (state, carry[1] + 1), y * carry[1]


class Holding(nn.GRUCell):
    """Holds statistics, in nn.remat, and a count. change: of which its step changes one, or draws noise."""

    change: str | None = None

    @nn.compact
    def __call__(self, carry, x):
        x = nn.remat(nn.BatchNorm)(use_running_average=self.change != "statistics")(x)
        count = self.variable("state", "count", lambda: jnp.full((), 3.0))
        if self.change == "count" and self.is_mutable_collection("state"):
            count.value += 1
        x = nn.Dropout(0.5, deterministic=self.change != "noise")(x * count.value)
        return super().__call__(carry, x)


@pytest.mark.parametrize(
    "cell",
    [Doubled("gru", H), Counted("gru", H), nn.remat(r3nn.linen.Cell)("gru", H), Holding(H)],
    ids=["call", "carry", "remat", "holding"],
)
def test_cells_of_ones_own_run_as_in_flax(cell):
    """Where all that they hold may be changed, and where nothing may."""
    options = dict(variable_broadcast=["params", "batch_stats", "state"], return_carry=True)
    ours, flaxs = r3nn.linen.RNN(cell, return_carry=True), nn.RNN(cell, **options)
    variables = filled(flaxs, XS)
    assert jax.tree.map(jnp.shape, jax.eval_shape(ours.init, KEY, XS)) == jax.tree.map(jnp.shape, variables)

    @jax.jit
    def both(variables):
        runs = [rnn.apply(variables, XS, seq_lengths=LENGTHS) for rnn in (ours, flaxs)]
        runs.append(ours.apply(variables, XS, seq_lengths=LENGTHS, mutable=["batch_stats", "state"])[0])
        return [(carry, valid(ys)) for carry, ys in runs]

    one, desired, other = both(variables)
    assert_close((one, other), (desired, desired))


# Noise.


KEYS = [jax.random.key(seed) for seed in range(2)]


class Asks(nn.Module):
    """Draws a key, as a module of its name and place does."""

    def __call__(self):
        return self.make_rng("dropout")


class Within(nn.Module):
    """The same in the place of an RNN's cell."""

    @nn.compact
    def __call__(self):
        return Asks(name="cell")()


def test_noise_follows_make_rng_and_deterministic():
    """Of RNN and Bidirectional, also in nn.remat; against `unroll` with the keys that Flax gives."""
    cell = zoneout(ugrnn, 0.5)
    make = lambda rnn, **how: rnn(r3nn.linen.Cell(cell, H, **how), mode="plain")
    rnn, quiet = make(r3nn.linen.RNN), make(r3nn.linen.RNN, deterministic=True)
    params = fill(jax.eval_shape(lambda key: cell.init(key, D, H), KEY))
    variables = {"params": {"cell": convert.to_dict(params)}}
    both = nn.Bidirectional(make(r3nn.linen.RNN), make(r3nn.linen.RNN))
    twice = {"params": dict.fromkeys(("forward_rnn", "backward_rnn"), variables["params"])}

    @jax.jit
    def calls(key):
        stream = {"rngs": {"dropout": key}}
        outputs = lambda key: unroll(cell, params, None, XS.swapaxes(0, 1), key=key, mode="plain")[1]
        run = lambda key: outputs(key).swapaxes(0, 1)
        noisy = [rnn.apply(variables, XS, **stream), run(Within().apply({}, **stream))]
        noisy.append(make(nn.remat(r3nn.linen.RNN)).apply(variables, XS, **stream))
        noisy += [rnn.apply(variables, XS, key=key), run(key)]
        still = [quiet.apply(variables, XS, key=key), rnn.apply(variables, XS, deterministic=True), run(None)]
        return noisy, still, both.apply(twice, XS, **stream)

    (noisy, still, sides), (others, _, _) = map(calls, KEYS)
    stream, expected, remat, given, with_key = noisy
    assert_close((stream, remat, given), (expected, expected, with_key))
    assert_close(still[:2], still[2:] * 2)
    assert not np.allclose(stream, others[0]) and not np.allclose(stream, still[0])
    ahead, back = sides[..., :H], sides[..., H:]
    assert not np.allclose(ahead, still[0]) and not np.allclose(back[:, -1], ahead[:, 0])


def test_noise_of_models():
    """As of RNN; also in nn.remat, which makes a class."""
    spec = dict(in_size=D, out_size=O, hidden_size=H, cell="ugrnn", dropout_h=0.4, mode="plain")
    module, key = r3nn.linen.R3NN(**spec), KEYS[0]
    variables, model, xs = filled(module, XS), module.model, XS.swapaxes(0, 1)

    @jax.jit
    def calls(variables):
        params = convert.from_dict(jax.eval_shape(model.init, KEY), variables["params"])
        run = lambda key: model.chunk(params, model.start(params, (B,)), xs, key=key)[1].swapaxes(0, 1)
        stream = {"rngs": {"dropout": key}}
        noisy = [
            m(**spec).apply(variables, XS, **stream) for m in (r3nn.linen.R3NN, nn.remat(r3nn.linen.R3NN))
        ]
        quiet = r3nn.linen.R3NN(**spec, deterministic=True)
        still = [quiet.apply(variables, XS, key=key), module.apply(variables, XS, deterministic=True)]
        _, piece = module.apply(variables, model.start(params, (B,)), xs, method="chunk", **stream)
        return (*noisy, piece.swapaxes(0, 1), run(Asks().apply({}, **stream))), (*still, run(None))

    noisy, still = calls(variables)
    assert_close((noisy[:-1], still[:-1]), (noisy[-1:] * 3, still[-1:] * 2))
    assert not np.allclose(noisy[0], still[0])


def test_noise_step_by_step():
    """Flax's RNN draws each step anew where it splits the stream; Noise(key, t) draws what `unroll` draws."""
    cell = r3nn.linen.Cell(variational_dropout(ugrnn, 0.0, 0.4), H)
    params = fill(jax.eval_shape(lambda key: cell.cell.init(key, D, H), KEY))
    variables, key = r3nn.linen.variables(params), KEYS[0]

    @jax.jit
    def both():
        carry, outputs = cell.cell.initial_state(params, (B,)), []
        for t in range(2):
            carry, y = cell.apply(variables, carry, XS[:, t], key=Noise(key, t))
            outputs.append(y)
        xs = XS[:, :2].swapaxes(0, 1)
        return outputs, list(unroll(cell.cell, params, None, xs, key=key, mode="plain")[1])

    assert_close(*both())
    split = {"params": False, "dropout": True}
    flaxs = nn.RNN(r3nn.linen.Cell(zoneout(ugrnn, 0.5), H), split_rngs=split)
    inside = {"params": {"cell": variables["params"]}}
    apply = jax.jit(lambda key: flaxs.apply(inside, XS, rngs={"dropout": key}))
    one, other = map(apply, KEYS)
    assert not np.allclose(one, other)
    with pytest.raises(ValueError, match="noise that is drawn once a sequence .* key=Noise"):
        nn.RNN(cell, split_rngs=split).apply(inside, XS, rngs={"dropout": key})


@pytest.mark.parametrize("module", [r3nn.linen.RNN(r3nn.linen.Cell(zoneout(gru, 0.5), H)), None])
def test_no_stream_is_flax_error(module):
    module = module or r3nn.linen.R3NN(in_size=D, out_size=O, hidden_size=H, dropout=0.5)
    with pytest.raises(errors.InvalidRngError, match='needs PRNG for "dropout"'):
        module.apply(filled(module, XS), XS)


# Whole models.

SPEC = dict(in_size=D, out_size=O, hidden_size=H, cell="gru", depth_cell="ugrnn", depth=2, feedback="values")


def test_linen_nnx_and_functional_models_are_one():
    """The same params by the same names; the same predictions, carries and gradients, whole and in pieces."""
    model = build(**SPEC)
    params = fill(jax.eval_shape(model.init, KEY))
    linen, variables = r3nn.linen.R3NN(**SPEC), r3nn.linen.variables(params)
    functional, state = r3nn.nnx.Functional.split(r3nn.nnx.R3NN.from_params(model, params))
    assert linen.model == model and jax.tree.all(
        jax.tree.map(np.array_equal, nnx.to_pure_dict(state), variables["params"])
    )
    mask, reset = np.random.default_rng(1).random((2, B, T)) < 0.7
    xs, flags = XS.swapaxes(0, 1), (mask.T, reset.T)
    first, rest = slice(0, 3), slice(3, None)
    cut = lambda part: (xs[part], *(flag[part] for flag in flags))

    @jax.jit
    def all_ways(params, variables, state):
        def gradient(predict, params):
            def loss(params):
                predictions = predict(params)
                return jnp.sum(jnp.sin(predictions)), predictions

            return jax.grad(loss, has_aux=True)(params)

        def ours(params):
            return model.chunk(params, model.start(params, (B,)), xs, *flags)[1].swapaxes(0, 1)

        apply = partial(linen.apply, mask=mask, reset=reset)
        gradients, whole = gradient(ours, params)
        linens, predictions = gradient(lambda v: apply(v, XS), variables)
        carry, start = functional.chunk(state, functional.start(state, (B,)), *cut(first))
        _, end = linen.apply(variables, carry, *cut(rest), method="chunk")
        outputs = {
            "functional": whole,
            "linen": predictions,
            "nnx": nnx.merge(functional.graphdef, state)(XS, mask=mask, reset=reset),
            "pieces": jnp.concatenate([start, end]).swapaxes(0, 1),
        }
        return outputs, (convert.to_dict(gradients), linens["params"])

    outputs, (ours, linens) = all_ways(params, variables, state)
    for predictions in outputs.values():
        assert_close(predictions, outputs["functional"])
    assert_close(linens, ours, 1e-4, 1e-5)


def test_model_of_ids_generates():
    """Predictions at the last step, generation, and init in the names of the NamedTuples."""
    spec = dict(vocab=6, out_size=6, hidden_size=H, encoder="embedding", width=4, predict="last")
    module, ids = r3nn.linen.R3NN(**spec, name="model"), jnp.arange(B * T).reshape(B, T) % 6
    variables = jax.jit(module.init)(jax.random.key(0), ids)
    assert set(variables["params"]) == {"encoder", "body", "readout"}
    assert variables["params"]["encoder"].shape == (6, 4)
    assert module == module.clone() and hash(module) == hash(module.clone()) and module.name == "model"

    @jax.jit
    def run(variables):
        apply = partial(module.apply, variables)
        carry = apply((B,), method="start")
        carry, ys = apply(carry, ids.T, method="chunk")
        _, depths = apply(apply((B,), method="start"), ids.T, method="chunk_depths")
        return apply(ids), ys, depths, apply(carry, ids[:, 0], 8, method="generate")[1]

    ys, chunked, depths, generated = run(variables)
    assert ys.shape == (B, 1, 6) and generated.shape == (8, B)
    assert_close((chunked[0], depths[0, 0]), (ys[:, 0], ys[:, 0]))


def test_integers_are_cast_as_flax_casts_them():
    ints, cell = np.arange(B * T * D).reshape(B, T, D) % 5, r3nn.linen.Cell("ugrnn", H)
    rnns = [r3nn.linen.RNN(cell), r3nn.linen.RNN(FLAX["GRUCell"]), r3nn.linen.RNN(FLAX["bare"])]
    variables = [filled(rnn, ints) for rnn in rnns]

    @jax.jit
    def both():
        step = lambda xs: cell.apply({"params": variables[0]["params"]["cell"]}, jnp.zeros((B, H)), xs[:, 0])
        run = lambda xs: [step(xs), *(rnn.apply(v, xs) for rnn, v in zip(rnns, variables, strict=True))]
        return run(ints), run(jnp.asarray(ints, jnp.float32))

    assert_close(*both())


class Widened(r3nn.linen.R3NN):
    """A field of its own, beside the options for `build`."""

    factor: float = 1.0

    def __call__(self, xs):
        return self.factor * super().__call__(xs)


def test_transforms_of_the_class_take_options():
    """Of each method; also one transform in another, and of a subclass with a field of its own."""
    spec = dict(in_size=D, out_size=O, hidden_size=H, cell="ugrnn", mode="plain")
    plain = r3nn.linen.R3NN(**spec)
    variables, xs, both = filled(plain, XS), XS.swapaxes(0, 1), dict(methods=["__call__", "chunk"])
    kinds = [nn.remat(r3nn.linen.R3NN, **both), nn.jit(r3nn.linen.R3NN, **both)]
    kinds.append(nn.remat(nn.jit(r3nn.linen.R3NN, **both), **both))
    stacked = dict(variable_axes={"params": 0}, split_rngs={"params": True})

    @jax.jit
    def calls(variables):
        carry = plain.apply(variables, (B,), method="start")
        run = lambda module: (module.apply(variables, XS), module.apply(variables, carry, xs, method="chunk"))
        more = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), variables)
        mapped = nn.vmap(r3nn.linen.R3NN, in_axes=None, **stacked)(**spec).apply(more, XS)
        alone = [plain.apply(v, XS) for v in (variables, jax.tree.map(lambda leaf: 2 * leaf, variables))]
        wide = [kind(factor=2.0, **spec).apply(variables, XS) for kind in (Widened, nn.remat(Widened))]
        return run(plain), [run(kind(**spec)) for kind in kinds], mapped, jnp.stack(alone), jnp.stack(wide)

    expected, transformed, mapped, alone, wide = calls(variables)
    assert_close(transformed, [expected] * 3)
    assert_close((mapped, wide), (alone, jnp.stack([2 * expected[0]] * 2)))


def test_interceptors_see_the_methods():
    """What `nn.tabulate` and its like rest on."""
    module, seen = r3nn.linen.R3NN(**SPEC), []
    variables = filled(module, XS)

    def note(call, args, kwargs, context):
        seen.append(context.method_name)
        return call(*args, **kwargs)

    with nn.intercept_methods(note):
        jax.eval_shape(module.apply, variables, XS)
        jax.eval_shape(lambda v: module.apply(v, (B,), method="start"), variables)
    assert {"__call__", "start"} <= set(seen)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: r3nn.linen.Cell("gruu", H), "did you mean 'gru'"),
        (lambda: r3nn.linen.Cell("gru", 0), "features must be"),
        (lambda: r3nn.linen.RNN("gru"), r"cell='gru' is no .*: wrap it: r3nn.linen.Cell\('gru', features\)"),
        (lambda: r3nn.linen.RNN(gru), r"wrap it: r3nn.linen.Cell\(cell, features\)"),
        (lambda: r3nn.linen.R3NN(build(in_size=D, out_size=O), depth=2), "not both"),
        (lambda: r3nn.linen.R3NN(in_size=D, out_size=0), "out_size must be"),
        (lambda: r3nn.linen.from_flax(FLAX["bare"], {"params": {}}), "residual=True"),
        (lambda: r3nn.linen.from_flax(FLAX["GRUCell"], {"params": {"ir": {}}}), "are not those of"),
        (lambda: r3nn.linen.from_flax(nn.ConvLSTMCell(H, (3,)), {}), "none of Flax's"),
        (lambda: r3nn.linen.to_flax(CELLS["mgu"], None), "not among Flax's cells"),
        (lambda: convert.from_dict(GatedParams(1, 2, 3, None, None), {"input": 1}), "lack recurrent, bias"),
        (lambda: filled(r3nn.linen.RNN(FLAX["GRUCell"]), XS, seq_lengths=jnp.ones(2, int)), "seq_lengths"),
        (lambda: filled(r3nn.linen.RNN(FLAX["GRUCell"], mode="fast"), XS), "mode must be"),
        (lambda: filled(r3nn.linen.RNN(Holding(H, change="count")), XS), "Holding changes state.count: r3nn"),
        (lambda: filled(r3nn.linen.RNN(Holding(H, change="noise")), XS), "a step of Holding draws noise"),
        (
            lambda: filled(r3nn.linen.RNN(Holding(H, change="statistics")), XS),
            "Holding changes batch_stats.*.mean, batch_stats.*.var: r3nn",
        ),
        (lambda: filled(r3nn.linen.RNN(FLAX["bare"]), XS, key=jax.random.key(0)), "key: SimpleCell runs as"),
        (lambda: filled(r3nn.linen.R3NN(vocab=D, out_size=O), XS), "integer ids"),
    ],
)
def test_errors_are_one_sentence(make, words):
    with pytest.raises((TypeError, ValueError), match=words) as error:
        make()
    assert "\n" not in str(error.value)
