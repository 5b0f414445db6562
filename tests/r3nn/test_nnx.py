"""The NNX modules against Flax's own, and against the functions that they hold."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import Mesh, PartitionSpec

import r3nn.linen
import r3nn.nnx
from r3nn import Noise, chain, convert, deep, norm, unroll, variational_dropout, zoneout
from r3nn.cells import CELLS, gru, lstm, ugrnn
from r3nn.model import Model, build
from tests.helpers import assert_close

B, T, D, H, O = 3, 7, 2, 5, 4
LENGTHS = np.array([7, 1, 4])
XS = np.random.default_rng(0).normal(size=(B, T, D)).astype(np.float32)
SPEC = dict(in_size=D, out_size=O, hidden_size=H, cell="gru", depth_cell="ugrnn", depth=2, feedback="values")


def fill(tree, seed=0):
    """Random numbers in the shapes of a tree: no bias is 0, and nothing compiles."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape), leaf.dtype), tree)


def filled(make, seed=0):
    """make(), a module, with random numbers for params."""
    module = nnx.eval_shape(make)
    nnx.update(module, fill(nnx.state(module), seed))
    return module


# Flax's own cells.

FLAX = {
    "GRUCell": nnx.GRUCell,
    "SimpleCell": nnx.SimpleCell,
    "LSTMCell": nnx.LSTMCell,
    "OptimizedLSTMCell": nnx.OptimizedLSTMCell,
    "GRUCell, relu": partial(nnx.GRUCell, activation_fn=nnx.relu),
    "LSTM, silu": partial(nnx.OptimizedLSTMCell, activation_fn=nnx.silu),
    "bare": partial(nnx.GRUCell, activation_fn=jnp.sin),
}


def flax_cell(name):
    return filled(lambda: FLAX[name](D, H, rngs=nnx.Rngs(0)))


def valid(outputs):
    """The outputs [B, T, H] with those in the padding, where Flax computes on, put to 0."""
    return jnp.where((jnp.arange(T) < LENGTHS[:, None])[..., None], outputs, 0)


@pytest.mark.parametrize("name", ["GRUCell", "OptimizedLSTMCell", "bare"])
def test_equals_flax(name):
    """Outputs, carries, and the gradients of weights, inputs and initial carry, in one program each."""
    graphdef, state = nnx.split(flax_cell(name))
    carry = fill(nnx.merge(graphdef, state).initialize_carry((B, D), nnx.Rngs(0)))
    weigh = fill(jnp.zeros((B, T, H)), 2)

    @partial(jax.jit, static_argnums=0)
    @partial(jax.grad, argnums=(1, 2, 3), has_aux=True)
    def everything(kind, state, xs, carry):
        rnn = kind(nnx.merge(graphdef, state), keep_order=True)
        last, ys = rnn(xs, initial_carry=carry, seq_lengths=LENGTHS, reverse=True, return_carry=True)
        total = jnp.sum(weigh * valid(ys)) + sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(last))
        return total, (last, valid(ys))

    ours, flaxs = (everything(kind, state, XS, carry) for kind in (r3nn.nnx.RNN, nnx.RNN))
    assert_close(ours, flaxs, rtol=1e-4, atol=1e-5)


def test_orders_and_lengths_equal_flax():
    swap = lambda xs: jnp.swapaxes(xs, 0, 1)
    timely = dict(time_major=True, seq_lengths=LENGTHS, reverse=True)
    graphdef, state = nnx.split(flax_cell("GRUCell"))

    @partial(jax.jit, static_argnums=0)
    def orders(kind, state):
        rnn = kind(nnx.merge(graphdef, state))  # Flax's own is no closure of jax.jit
        return {
            "forward": valid(rnn(XS, seq_lengths=LENGTHS)),
            "flipped": valid(rnn(XS, seq_lengths=LENGTHS, reverse=True)),
            "reversed": rnn(XS, reverse=True),
            "time-major": valid(swap(rnn(swap(XS), **timely))),
        }

    assert_close(orders(r3nn.nnx.RNN, state), orders(nnx.RNN, state))


def test_no_ranks_or_dtypes_are_promoted():
    rnn, how = r3nn.nnx.RNN(flax_cell("bare")), dict(seq_lengths=LENGTHS, reverse=True)
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        jax.eval_shape(lambda xs: rnn(xs, **how), XS)


def test_length_zero_and_padding():
    rnn = r3nn.nnx.RNN(flax_cell("GRUCell"), return_carry=True)
    # Two batch axes, which Flax's return_carry does not take together with seq_lengths.
    carry, ys = rnn(XS[None], seq_lengths=jnp.array([[0, 2, T]]))
    assert_close((carry[0, 0], ys[0, 0]), (jnp.zeros(H), jnp.zeros((T, H))))  # nothing happens
    assert_close((carry[0, 1], ys[0, 1, -1]), (ys[0, 1, 1], ys[0, 1, 1]))  # the last output is repeated
    assert_close(carry[0, 2], ys[0, 2, -1])


@pytest.mark.parametrize("name", [name for name in FLAX if name != "bare"])
def test_params_to_and_from_flax(name):
    flax = flax_cell(name)
    cell, params = r3nn.nnx.from_flax(flax)
    back = r3nn.nnx.to_flax(cell, params)
    assert cell.activation is flax.activation_fn is back.activation_fn
    assert_close(r3nn.nnx.from_flax(back)[1], params, 0, 0)
    if type(back) is type(flax):
        assert_close(nnx.to_pure_dict(nnx.state(back)), nnx.to_pure_dict(nnx.state(flax)), 0, 0)
    carry = fill(flax.initialize_carry((B, D), nnx.Rngs(0)))
    new, y = flax(carry, XS[:, 0])
    state, ours = cell(params, convert.state_from_flax(cell, carry), XS[:, 0])
    assert_close((convert.carry_to_flax(cell, state), ours), (new, y), 1e-6, 1e-6)


# Our cell as one of Flax's.


def our_cell(cell, seed=0, **options):
    return filled(lambda: r3nn.nnx.Cell(cell, D, H, rngs=nnx.Rngs(0), **options), seed)


@pytest.mark.parametrize(
    "cell, options",
    [
        ("lstm", {"learn_initial": True}),
        (chain(gru, deep(norm(ugrnn), 3, tie="all")), {}),
    ],
    ids=["lstm", "composed"],
)
def test_cell_in_flax_and_here(cell, options):
    """Flax's RNN and ours with our Cell, and Flax's Bidirectional of each, are `unroll`."""
    forward, backward = our_cell(cell, 1, **options), our_cell(cell, 2, **options)
    xs = jnp.moveaxis(XS, 1, 0)

    @jax.jit
    def reference():
        runs = [
            unroll(c.value, c.params, None, xs, reverse=i, mode="plain")
            for i, c in enumerate((forward, backward))
        ]
        ys = jnp.concatenate([ys for _, ys in runs], -1)
        return tuple(state for state, _ in runs), jnp.moveaxis(ys, 0, 1)

    desired = reference()
    for kind in (nnx.RNN, r3nn.nnx.RNN):
        both = nnx.Bidirectional(kind(forward), kind(backward), return_carry=True)
        assert_close(nnx.jit(lambda both: both(XS))(both), desired)


def test_mask_and_reset_are_those_of_unroll():
    cell = our_cell(gru)
    mask, reset = np.random.default_rng(0).random((2, B, T)) < 0.6

    @jax.jit
    def both():
        rnn = r3nn.nnx.RNN(cell, mode="plain", return_carry=True)
        carry, ys = rnn(XS, mask=mask, reset=reset, seq_lengths=LENGTHS)
        flags = dict(mask=(mask & (np.arange(T) < LENGTHS[:, None])).T, reset=reset.T)
        state, desired = unroll(gru, cell.params, None, XS.swapaxes(0, 1), **flags)
        return (carry, ys), (state, desired.swapaxes(0, 1))

    assert_close(*both())


def test_cell_obeys_the_protocol():
    cell = our_cell("lstm")
    assert isinstance(cell, nnx.RNNCellBase) and cell.num_feature_axes == 1
    carry = cell.initialize_carry((B, D))
    assert_close(carry, lstm.initial_state(cell.params, (B,)))
    drawn = cell.initialize_carry((B, D), nnx.Rngs(0), carry_init=nnx.initializers.normal())
    assert drawn.h.shape == (B, H) and np.all(drawn.h != drawn.c)
    assert_close(cell(drawn, XS[:, 0]), lstm(cell.params, drawn, XS[:, 0]))
    same = r3nn.nnx.Cell("lstm", D, H, params=cell.params)
    assert_close(same.params, cell.params, 0, 0)


def test_params_are_named_as_in_the_named_tuples():
    paths = lambda module: {".".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.state(module))}
    gates = lambda where: {f"{where}.{gate}" for gate in ("update", "candidate")}
    cell = our_cell("ugrnn")
    assert paths(cell) == gates("input") | gates("recurrent") | gates("bias")
    assert cell.input.update.shape == (D, H) and isinstance(cell.input.update, nnx.Param)
    assert cell.recurrent_bias is None and cell.initial is None
    cell = our_cell(chain(ugrnn, deep(ugrnn, 3)), bias=False)
    inside = lambda where: gates(f"{where}.input") | gates(f"{where}.recurrent")
    assert paths(cell) == inside("0") | inside("1.first") | inside("1.rest")
    assert cell[1].rest.input.update.shape == (2, H, H)


# Cells of which more is there than a step on params.


class Doubled(r3nn.nnx.Cell):
    """A call of its own."""

    def __call__(self, carry, x):
        carry, y = super().__call__(carry, x)
        return carry, 2 * y


class Counted(r3nn.nnx.Cell):
    """A carry of its own, of another shape."""

    def initialize_carry(self, input_shape, rngs=None, carry_init=None):
        state = super().initialize_carry(input_shape)
        return state + 0.5, state[..., :1]

    def __call__(self, carry, x):
        state, y = super().__call__(carry[0], x)
        return (state, carry[1] + 1), y * carry[1]


class Holding(nnx.GRUCell):
    """Holds streams, statistics, an array. change: of which its step changes one."""

    def __init__(self, change=None, wrap=lambda step: step, *, rngs):
        super().__init__(D, H, rngs=rngs)
        self.norm = nnx.BatchNorm(D, use_running_average=True, rngs=rngs)
        self.norm.mean[...] += 0.5
        self.dropout = nnx.Dropout(0.5, deterministic=change != "stream", rngs=rngs)
        self.streams, self.array = rngs, jnp.arange(1.0, 1 + D)
        self.change, self.wrap = change, wrap

    def __call__(self, carry, x):
        if self.change == "array":
            self.array = 2 * self.array
        if self.change == "statistics":
            self.norm.mean[...] += 1
        if self.change == "param":
            self.dense_i.bias[...] += 1
        step = lambda self, h, x: nnx.GRUCell.__call__(self, h, self.array * self.dropout(self.norm(x)))
        return self.wrap(step)(self, carry, x)


def test_cells_of_ones_own_run_as_in_flax():
    """Also through nnx.remat, behind which all that a cell holds is new, and nothing has changed."""
    subclasses = [kind("gru", D, H, rngs=nnx.Rngs(0)) for kind in (Doubled, Counted)]
    holding = [Holding(wrap=wrap, rngs=nnx.Rngs(0)) for wrap in (lambda step: step, nnx.remat)]
    options = dict(seq_lengths=LENGTHS, return_carry=True)

    @nnx.jit
    def both(cells):
        each = ([kind(cell)(XS, **options) for cell in cells] for kind in (r3nn.nnx.RNN, nnx.RNN))
        return [[(carry, valid(ys)) for carry, ys in runs] for runs in each]

    assert_close(*both(nnx.List([*subclasses, *holding])))


@pytest.mark.parametrize(
    "change, name",
    [
        ("array", "array"),
        ("statistics", "norm.mean"),
        ("param", "dense_i.bias"),
        ("stream", "dropout.rngs.count"),
    ],
)
def test_what_a_step_changes_is_refused_by_name(change, name):
    rnn = r3nn.nnx.RNN(Holding(change, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=f"a step of Holding changes {name}: r3nn.nnx.RNN cannot"):
        rnn(XS)


# Noise.

NOISY = variational_dropout(ugrnn, 0.0, 0.4)  # once a sequence


def stream_keys(number):
    """What a module made with nnx.Rngs(0, dropout=1) draws."""
    stream = nnx.Rngs(dropout=1).dropout.fork()
    return [stream() for _ in range(number)]


def noisy_cell(cell=NOISY):
    return r3nn.nnx.Cell(cell, D, H, rngs=nnx.Rngs(0, dropout=1))


def noisy_rnn():
    """Two of one cell and one stream, for both directions; with its function of a key."""
    cell, xs = zoneout(ugrnn, 0.5), jnp.swapaxes(XS, 0, 1)
    rnns = [r3nn.nnx.RNN(noisy_cell(cell), mode="plain") for _ in range(2)]
    run = partial(unroll, cell, rnns[0].cell.params, None, xs, mode="plain")
    return nnx.Bidirectional(*rnns), lambda key: jnp.concatenate(
        [run(key=key, reverse=i)[1] for i in (0, 1)], -1
    )


def noisy_model():
    """With its function of a key."""
    spec = dict(in_size=D, out_size=O, hidden_size=H, cell="ugrnn", dropout_h=0.4, mode="plain")
    module = r3nn.nnx.R3NN(**spec, rngs=nnx.Rngs(0, dropout=1))
    model, params, xs = module.model, module.params, jnp.swapaxes(XS, 0, 1)
    return module, lambda key: model.chunk(params, model.start(params, (B,)), xs, key=key)[1]


@pytest.mark.parametrize("make", [noisy_rnn, noisy_model])
def test_noise_follows_the_stream_train_and_eval(make):
    """Within nnx.jit; against the functions, with the keys that the stream gives."""
    module, run = make()
    call = nnx.jit(lambda module: module(XS))
    first, second = call(module), call(module)
    module.eval()
    quiet = call(module)
    module.train()
    third = call(module)
    keys = jnp.stack(stream_keys(3))
    expected = jax.jit(lambda: (*jax.vmap(run)(keys), run(None)))()
    assert_close((first, second, third, quiet), tuple(ys.swapaxes(0, 1) for ys in expected))
    assert not np.allclose(first, second) and not np.allclose(first, quiet)


def test_noise_of_one_call():
    """key= and deterministic=; where evaluation wins over key=, as in Flax's Dropout, also in a view."""
    key, cell, model = jax.random.key(5), noisy_cell(zoneout(ugrnn, 0.5)), noisy_model()[0]
    rnn, xs = r3nn.nnx.RNN(cell, mode="plain"), XS.swapaxes(0, 1)

    @jax.jit
    def all_calls():
        quiet = partial(nnx.view, deterministic=True)
        with_key = [rnn(XS, key=key), model(XS, key=key)]
        still = [quiet(rnn)(XS, key=key), quiet(model)(XS, key=key)]
        return with_key, still, [rnn(XS, deterministic=True), model(XS, deterministic=True)]

    @jax.jit
    def reference(key):
        ys = unroll(cell.value, cell.params, None, xs, key=key, mode="plain")[1]
        predictions = model.model.chunk(model.params, model.start((B,)), xs, key=key)[1]
        return [ys.swapaxes(0, 1), predictions.swapaxes(0, 1)]

    with_key, *silent = all_calls()
    assert_close(with_key, reference(key))
    assert_close(silent, [reference(None)] * 2)


def test_noise_step_by_step():
    """Flax's RNN draws each step anew; with key=Noise(key, t) a cell draws what `unroll` draws."""
    cell, whole, given, steps = noisy_cell(zoneout(ugrnn, 0.5)), noisy_cell(), jax.random.key(5), range(2)
    with pytest.raises(ValueError, match="noise that is drawn once a sequence .* key=Noise"):
        nnx.RNN(whole)(XS)

    @jax.jit
    def reference():
        state, outputs = cell.initialize_carry((B, D)), []
        for t, key in zip(steps, stream_keys(2), strict=True):
            state, y = cell(state, XS[:, t], key=key)
            outputs.append(y)
        xs = jnp.swapaxes(XS[:, :2], 0, 1)
        return outputs, list(unroll(NOISY, whole.params, None, xs, key=given, mode="plain")[1])

    @nnx.jit
    def one_by_one(cell, whole):
        state, outputs = whole.initialize_carry((B, D)), []
        for t in steps:
            state, y = whole(state, XS[:, t], key=Noise(given, t))
            outputs.append(y)
        return list(nnx.RNN(cell)(XS[:, :2]).swapaxes(0, 1)), outputs

    assert_close(one_by_one(cell, whole), reference())


def test_functional_holds_no_stream():
    """Whatever the module has: noise goes by key alone, and what is merged is in evaluation."""
    model = build(in_size=D, out_size=O, hidden_size=H, cell="ugrnn", zoneout_h=0.5)
    params = fill(jax.eval_shape(model.init, jax.random.key(0)))
    bare = r3nn.nnx.R3NN.from_params(model, params)
    module = r3nn.nnx.R3NN.from_params(model, params, rngs=nnx.Rngs(0, dropout=1))
    assert len(jax.tree.leaves(nnx.state(bare))) == len(jax.tree.leaves(params))
    assert len(jax.tree.leaves(nnx.state(module))) == len(jax.tree.leaves(params)) + 2
    (functional, state), (same, _) = map(r3nn.nnx.Functional.split, (module, bare))
    assert functional == same and functional.noisy
    assert_close(nnx.to_pure_dict(state), convert.to_dict(params), 0, 0)
    assert not module.deterministic and module.rngs is not None

    @jax.jit
    def both(state, params):
        xs, keys = jnp.swapaxes(XS, 0, 1), (jax.random.key(5), None)
        carry = model.start(params, (B,))
        ours = [functional.chunk(state, carry, xs, key=key)[1] for key in keys]
        ours.append(jnp.swapaxes(nnx.merge(functional.graphdef, state)(XS), 0, 1))
        return ours, [model.chunk(params, carry, xs, key=key)[1] for key in (*keys, None)]

    assert_close(*both(state, params))


# Transformations.


def test_closures_and_transforms():
    """Modules as closures of jax.jit, as arguments of nnx.jit, traced once each; nnx.grad is jax.grad."""
    traces = []
    bare, rnn = r3nn.nnx.RNN(flax_cell("bare")), r3nn.nnx.RNN(our_cell("ugrnn"))
    closure = jax.jit(lambda xs: (traces.append(0), bare(xs), rnn(xs))[1:])
    argument = nnx.jit(lambda bare, rnn, xs: (traces.append(0), bare(xs), rnn(xs))[1:])
    results = [run(XS + i) for i in range(2) for run in (closure, partial(argument, bare, rnn))]
    assert len(traces) == 2
    assert_close(results[::2], results[1::2])
    gradient = nnx.jit(nnx.grad(lambda rnn: jnp.sum(rnn(XS) ** 2)))(rnn)
    loss = lambda p: jnp.sum(unroll(ugrnn, p, None, XS.swapaxes(0, 1), mode="plain")[1] ** 2)
    desired = jax.jit(jax.grad(loss))(rnn.cell.params)
    assert_close(nnx.to_pure_dict(gradient)["cell"], convert.to_dict(desired), 1e-4, 1e-5)


# Whole models.


def test_model_holds_its_params_and_nothing_else():
    module = r3nn.nnx.R3NN(
        in_size=D, out_size=O, hidden_size=H, depth=2, init={"bias": False}, rngs=nnx.Rngs(0)
    )
    again = r3nn.nnx.R3NN.from_params(module.model, module.params)
    assert_close(again.params, module.params, 0, 0)
    graphdef, state = nnx.split(module)
    assert (hash(graphdef), graphdef) == (hash(nnx.graphdef(again)), nnx.graphdef(again))
    assert len(jax.tree.leaves(state)) == len(jax.tree.leaves(module.params))
    assert set(nnx.to_pure_dict(state)) == {"body", "readout"} and module.encoder is None
    assert module.body.rest.input.update.shape == (1, H, H)
    assert filled_model(vocab=6, out_size=6, encoder="embedding").encoder.shape == (6, 64)


def filled_model(**spec):
    model = build(**spec)
    return r3nn.nnx.R3NN.from_params(model, fill(jax.eval_shape(model.init, jax.random.key(0))))


def test_functional_is_static_and_merges_while_tracing():
    """In jit (one trace for two modules of one kind), scan, shard_map and grad, as a trainer does."""
    traces = []

    @partial(jax.jit, static_argnums=0)
    def update(model, params, xs, ys):
        traces.append(0)

        def loss(params, xs, ys):
            carry = model.start(params, (xs.shape[1],))
            _, predictions = model.chunk_depths(params, carry, xs, targets=ys)
            return jnp.mean((predictions[:, -1] - ys) ** 2)

        def sharded(params, xs, ys):
            loss_and_gradient = jax.value_and_grad(loss)(jax.lax.pcast(params, "x", to="varying"), xs, ys)
            return jax.lax.pmean(loss_and_gradient, "x")

        def step(params, _):
            loss, gradient = gradients(params, xs, ys)
            return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), loss

        whole, split = PartitionSpec(), PartitionSpec(None, "x")
        mesh = Mesh(np.array(jax.devices()[:2]), "x")
        gradients = jax.shard_map(sharded, mesh=mesh, in_specs=(whole, split, split), out_specs=whole)
        return jax.lax.scan(step, params, length=3)

    xs, ys = fill(jnp.zeros((T, 4, D))), fill(jnp.zeros((T, 4, O)), 1)
    model = build(**SPEC)
    for seed in range(2):
        arrays = fill(jax.eval_shape(model.init, jax.random.key(0)), seed)
        functional, params = r3nn.nnx.Functional.split(r3nn.nnx.R3NN.from_params(model, arrays))
        params, losses = update(functional, params, xs, ys)
        assert losses[0] > losses[1] > losses[2]
    assert len(traces) == 1
    assert isinstance(nnx.merge(functional.graphdef, params), r3nn.nnx.R3NN)


def test_vmap_of_modules():
    """`nnx.vmap` calls by position, which arguments by name alone would not allow."""
    cell = our_cell("ugrnn")
    rnn, model = r3nn.nnx.RNN(cell), filled_model(in_size=D, out_size=O, hidden_size=H, cell="ugrnn")
    xs, mask, carry = jnp.stack([XS, 2 * XS]), jnp.ones((2, B, T), bool).at[1, :, 3].set(False), jnp.ones(H)

    @jax.jit
    def both():
        mapped = nnx.vmap(rnn)(xs, mask=mask), nnx.vmap(model)(xs, mask=mask)
        alone = [[module(x, mask=m) for x, m in zip(xs, mask, strict=True)] for module in (rnn, model)]
        stepped, one = nnx.vmap(cell)(jnp.stack([carry] * 2), xs[:, 0, 0]), cell(carry, xs[1, 0, 0])
        return (*mapped, stepped[1][1]), (*map(jnp.stack, alone), one[1])

    assert_close(*both())


def test_integers_are_cast_as_flax_casts_them():
    ints, cell = np.arange(B * T * D).reshape(B, T, D) % 5, our_cell("ugrnn")
    calls = [cell, r3nn.nnx.RNN(cell), r3nn.nnx.RNN(flax_cell("GRUCell"))]

    @jax.jit
    def both():
        step, *rnns = calls
        run = lambda xs: [step(jnp.zeros((B, H)), xs[:, 0])[1], *(rnn(xs) for rnn in rnns)]
        return run(ints), run(jnp.asarray(ints, jnp.float32))

    with jax.numpy_dtype_promotion("strict"):
        assert_close(*both())


METHODS = ("start", "chunk", "chunk_depths", "generate")


def test_signatures_and_docstrings_are_those_of_the_model():
    """Of Functional with params, of the modules without, and with `deterministic` where noise is drawn."""
    names = lambda kind, method: list(inspect.signature(getattr(kind, method)).parameters)
    for method in METHODS:
        of_model = names(Model, method)
        assert names(r3nn.nnx.Functional, method) == of_model
        assert getattr(r3nn.nnx.Functional, method).__doc__ == getattr(Model, method).__doc__
        drawn = ["deterministic"] if method.startswith("chunk") else []
        expected = [name for name in of_model if name != "params"] + drawn
        for module in (r3nn.nnx.R3NN, r3nn.linen.R3NN):
            assert names(module, method) == expected
            assert f"`Model.{method}`" in getattr(module, method).__doc__


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: r3nn.nnx.Cell("gruu", D, H, rngs=nnx.Rngs(0)), "did you mean 'gru'"),
        (lambda: r3nn.nnx.Cell("gru", D, 0, rngs=nnx.Rngs(0)), "hidden_size must be"),
        (lambda: r3nn.nnx.Cell("gru", D, H), "rngs is None"),
        (lambda: r3nn.nnx.RNN("gru"), r"wrap it: r3nn.nnx.Cell\('gru', in_features, hidden_features, rngs"),
        (lambda: r3nn.nnx.RNN(gru), r"is no Flax cell: wrap it: r3nn.nnx.Cell\(cell, in_features, hidden_"),
        (
            lambda: with_raw(recurrent_bias=jnp.ones(H)),
            r"recurrent_bias holds no nnx.Param but ArrayImpl: ass",
        ),
        (lambda: with_raw(bias=our_cell("gru").params.bias), "bias holds no nnx.Param but GRUGates: assign"),
        (lambda: r3nn.nnx.R3NN(**SPEC, model=build(in_size=D, out_size=O), rngs=nnx.Rngs(0)), "not both"),
        (lambda: r3nn.nnx.R3NN(in_size=D, out_size=0, rngs=nnx.Rngs(0)), "out_size must be"),
        (lambda: r3nn.nnx.from_flax(flax_cell("bare")), "activation_fn"),
        (lambda: r3nn.nnx.from_flax(our_cell("gru")), "none of Flax's"),
        (lambda: r3nn.nnx.to_flax(CELLS["mgu"], None), "not among Flax's cells"),
        (lambda: r3nn.nnx.to_flax(gru, our_cell("gru").params), "recurrent_bias"),
        (lambda: r3nn.nnx.to_flax(lstm, our_cell("lstm", learn_initial=True).params), "initial"),
        (lambda: r3nn.nnx.RNN(flax_cell("GRUCell"))(XS, seq_lengths=jnp.array([1, 2])), "seq_lengths"),
        (lambda: r3nn.nnx.RNN(flax_cell("GRUCell"))(XS, mask=jnp.ones((T, B), bool)), r"must be bool\[3, 7"),
        (lambda: r3nn.nnx.RNN(flax_cell("GRUCell"))(XS, mode="fast"), "mode .* must be"),
        (lambda: r3nn.nnx.RNN(flax_cell("GRUCell"))(XS[0, 0]), "time axis"),
        (lambda: r3nn.nnx.RNN(flax_cell("bare"))(XS, reset=jnp.ones((B, T), bool)), "reset"),
        (lambda: r3nn.nnx.RNN(silent_cell())(XS), "no `rngs` argument was provided to Cell"),
        (lambda: silent_cell()(None, XS[:, 0]), "no `rngs` argument was provided to Cell"),
        (lambda: filled_model(**SPEC, zoneout_h=0.5)(XS), "no `rngs` argument was provided to R3NN"),
        (
            lambda: filled_model(**SPEC, zoneout_h=0.5).chunk(None, XS),
            "no `rngs` argument was provided to R3NN",
        ),
        (lambda: r3nn.nnx.RNN(flax_cell("bare"))(XS, key=jax.random.key(0)), "key: GRUCell runs as a bare"),
        (lambda: r3nn.nnx.RNN(flax_cell("bare"))(XS, deterministic=True), "deterministic: GRUCell runs as"),
        (lambda: filled_model(vocab=D, out_size=O)(XS), "integer ids"),
    ],
)
def test_errors_are_one_sentence(make, words):
    with pytest.raises((TypeError, ValueError), match=words) as error:
        make()
    assert "\n" not in str(error.value)


def silent_cell():
    """Noise, and no stream to draw it from."""
    return r3nn.nnx.Cell(NOISY, D, H, rngs=nnx.Rngs(params=0))


def with_raw(**values):
    """A step of a cell that has been given arrays in place of params."""
    cell = our_cell("gru")
    for name, value in values.items():
        setattr(cell, name, value)
    return cell(jnp.zeros((B, H)), XS[:, 0])
