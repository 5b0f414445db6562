"""One contract for every row of TASKS that draws its sequences; oracles in plain Python stand below and in
tests/r3nn/tasks, as the tests of finite data do."""

import dataclasses
import functools
import hashlib
import itertools
import py_compile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn import losses, model
from r3nn._lookup import sha256
from r3nn.tasks import TASKS, Batch, CopyMemory, Parity, Task, WordProblem, get_task
from r3nn.tasks._word_problem import generating, multiplication_table
from tests.helpers import unless_slow

ACCEPTOR = str(Path(__file__).parent / "tasks" / "even_a.att")
VARIANTS = {
    "acceptor, any": get_task("automaton", file=ACCEPTOR),
    "acceptor, near": get_task("automaton", file=ACCEPTOR, negatives="near"),
    "dyck, deep": get_task("dyck", kinds=3, depth=5),
    "flip_flop, sparse": get_task("flip_flop", ignore=0.98),
    "listops, few": get_task("listops", arguments=3, depth=3),
    "mackey_glass, after": get_task("mackey_glass", after=5, washout=3, ahead=1),
    "majority, every": get_task("majority", labels="every"),
    "majority, three": get_task("majority", symbols=3),
    "majority, three, every": get_task("majority", symbols=3, labels="every"),
    "modular_arithmetic, every": get_task("modular_arithmetic", labels="every"),
    "parity, every": get_task("parity", labels="every"),
    "sounds, frames": get_task("sounds", frame=5, noise=0.1),
    "copy_memory, all": get_task("copy_memory", symbols=3, recall=2, loss_over="all"),
    "copy_memory, delimiters": get_task("copy_memory", symbols=3, recall=2, layout="delimiters"),
    "copy_memory, markers": get_task("copy_memory", symbols=3, recall=2, layout="markers"),
    "denoise, markers": get_task("denoise", symbols=3, recall=2, layout="markers", loss_over="all"),
    "mqar, random": get_task("mqar", pairs=2, symbols=32, filler="random"),
}
MACHINES = {name: task for name, task in TASKS.items() if task.block} | {
    "mixed": get_task("s3", words="mixed"),
    "parity, every": VARIANTS["parity, every"],
}
DRAWN = {name: task for name, task in TASKS.items() if not task.finite}
ALL = DRAWN | VARIANTS
#: one task of each family; the others with -m slow
AT_ONCE = (
    *("adding", "anbn", "flip_flop", "listops", "modular_arithmetic_brackets", "parity"),
    *("parity, every", "reverse_string", "s3", "acceptor, near", "copy_memory, delimiters"),
    *("denoise, markers", "mqar, random", "mackey_glass, after"),
)
every_task = pytest.mark.parametrize("task", unless_slow(ALL, AT_ONCE), indirect=True)
#: whose baseline is of one guess for all steps, as it is not told where a sequence ends
POOLED = ("listops",)

# The helpers below are cached and the shapes are few: nearly all the time here goes to compiling.
B, MANY = 42, 20_000


@pytest.fixture
def task(request):
    return ALL[request.param]


def steps(task: Task) -> int:
    """An even number of steps, more than any length that `draw` gives."""
    return (task.min_length + 16) // 2 * 2


@functools.cache
def sampler(task: Task):
    """A jitted sample(key, lengths [MANY]) and the list of its traces."""
    traces = []

    def sample(key, lengths):
        traces.append(lengths)
        return task.sample(key, MANY, lengths, steps(task))

    return jax.jit(sample), traces


@functools.cache
def draw(task: Task) -> tuple[Batch, np.ndarray]:
    """B sequences of the 14 shortest lengths, in numpy."""
    lengths = task.min_length + np.arange(MANY, dtype=np.int32) % 14
    batch = sampler(task)[0](jax.random.key(0), lengths)
    return jax.tree.map(lambda x: np.asarray(x)[:B], batch), lengths[:B]


@functools.cache
def draw_many(task: Task) -> Batch:
    """MANY sequences of one length, cut to that length."""
    n = task.min_length + 3
    batch = sampler(task)[0](jax.random.key(1), np.full(MANY, n, np.int32))
    return jax.tree.map(lambda x: np.asarray(x)[:, :n], batch)


@functools.cache
def scorer(task: Task):
    def score(predictions, batch):
        tally = task.tally(predictions, batch)
        return task.loss(predictions, batch), (tally, task.metrics(tally))

    return jax.jit(jax.value_and_grad(score, has_aux=True))


def score(task: Task, predictions, batch: Batch):
    """(loss, tally, metrics, the gradient of the loss)."""
    (loss, (tally, metrics)), grad = scorer(task)(predictions, batch)
    return jax.tree.map(np.asarray, (loss, tally, metrics, grad))


def perfect(task: Task, targets: np.ndarray) -> np.ndarray:
    if task.kind == "regression":
        return targets
    return 50 * np.eye(task.out_size, dtype=np.float32)[targets]


def noise(task: Task, batch: Batch) -> np.ndarray:
    shape = batch.mask.shape + (task.out_size,)
    return np.random.default_rng(9).normal(size=shape).astype(np.float32)


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


# --- the contract


@every_task
def test_facts(task):
    assert hash(task) == hash(dataclasses.replace(task)) and task == dataclasses.replace(task)
    assert task.kind in ("regression", "classification")
    names = task.baseline(task.min_length + 3)
    assert task.metric in names
    assert task.tie_breaker in (None, *names) and task.tie_breaker != task.metric
    assert {*task.fractions} == {name for name in names if "accuracy" in name or "within" in name}
    assert task.in_size >= 1 and task.out_size >= 1 and task.min_length >= 1
    assert task.vocab is None or task.in_size == task.vocab
    assert "Example" in type(task).__doc__ and "Baseline" in type(task).__doc__


@every_task
@pytest.mark.parametrize("batch, extra", [(1, 0), (5, 7)])
def test_shapes_and_dtypes(task, batch, extra):
    length = task.min_length + extra
    sample = functools.partial(task.sample, batch=batch, max_length=length)
    out = jax.eval_shape(sample, jax.random.key(0), length=task.min_length)
    assert out == jax.eval_shape(sample, jax.random.PRNGKey(0), length=task.min_length)
    floats, ids = jnp.float32, jnp.int32
    wide = (batch, length)
    inputs = (wide + (task.in_size,), floats) if task.vocab is None else (wide, ids)
    regression = task.kind == "regression"
    targets = (wide + (task.out_size,), floats) if regression else (wide, ids)
    wanted = Batch(inputs, targets, (wide, jnp.bool), (wide, jnp.bool))
    assert [(x.shape, x.dtype) for x in out] == list(wanted)
    predictions = jax.ShapeDtypeStruct(wide + (task.out_size,), jnp.bfloat16)
    loss, tally = jax.eval_shape(lambda p, b: (task.loss(p, b), task.tally(p, b)), predictions, out)
    assert loss.shape == () and loss.dtype == floats and not loss.weak_type
    assert all(leaf.shape == (batch,) for leaf in jax.tree.leaves(tally))
    assert (tally.loss.dtype, tally.correct.dtype, tally.count.dtype) == (floats, ids, ids)


@every_task
def test_lengths_are_traced_once(task):
    few, many = draw(task)[0], draw_many(task)
    n = many.valid.shape[1]
    assert (few.inputs[:, :n] != many.inputs[:B]).any(), "another key, other inputs"
    assert len({row.tobytes() for row in many.inputs[:100]}) > 1
    assert len(sampler(task)[1]) == 1


@every_task
def test_the_bound_on_counted_steps_is_tight(task):
    """It holds for every length drawn, and is reached where chance does not say how many steps count."""
    batch, lengths = draw(task)
    most, bound = batch.mask.sum(axis=1).max(), task.counted(int(lengths.max()))
    assert most <= bound <= lengths.max()
    by_chance = "anbn flip_flop binary_addition binary_multiplication square_root stack_manipulation".split()
    assert most == bound or type(task) in [type(TASKS[name]) for name in by_chance]


@every_task
def test_padding_lengths_and_masks(task):
    batch, lengths = draw(task)
    own = batch.valid.sum(axis=1)
    assert (own >= 1).all() and (own <= lengths if task.own_lengths else own == lengths).all()
    same(batch.valid, np.arange(steps(task)) < own[:, None])
    assert not batch.inputs[~batch.valid].any() and not batch.targets[~batch.valid].any()
    assert (batch.mask <= batch.valid).all() and batch.mask.any(axis=1).all()
    if task.vocab is not None:
        assert batch.inputs.min() >= 0 and batch.inputs.max() < task.vocab
    if task.kind == "classification":
        assert batch.targets.min() >= 0 and batch.targets.max() < task.out_size


@every_task
def test_a_row_is_its_key_index_and_length(task):
    """Other B, T and lengths around it, jit or none, a traced length or an int: the same row."""
    batch, lengths = draw(task)
    n = int(lengths[3])
    other = jax.tree.map(np.asarray, task.sample(jax.random.key(0), 20, n, n))
    for i in (3, 17):
        same(jax.tree.map(lambda x, i=i: x[i], other), jax.tree.map(lambda x, i=i: x[i, :n], batch))


@every_task
def test_perfect_predictions(task):
    batch, _ = draw(task)
    loss, _, metrics, _ = score(task, perfect(task, batch.targets), batch)
    best = {"accuracy": 1, "sequence_accuracy": 1, "within_tolerance": 1}
    for name, value in metrics.items():
        assert value.shape == () and value.dtype == np.float32
        np.testing.assert_allclose(value, best.get(name, 0), atol=1e-6, err_msg=name)
    np.testing.assert_allclose(loss, 0, atol=1e-6)
    worse = score(task, noise(task, batch), batch)[2]
    assert (worse[task.metric] < metrics[task.metric]) == task.higher_is_better


@every_task
def test_tallies_add_up_over_chunks(task):
    batch, _ = draw(task)
    predictions, half = noise(task, batch), steps(task) // 2
    first, second = (
        score(task, predictions[:, part], jax.tree.map(lambda x, part=part: x[:, part], batch))[1]
        for part in (slice(half), slice(half, None))
    )
    loss, whole, _, _ = score(task, predictions, batch)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5)
    jax.tree.map(close, jax.tree.map(np.add, first, second), whole)
    close(loss, whole.loss.sum() / whole.count.sum())


@every_task
def test_nothing_counts_where_the_mask_is_false(task):
    batch, _ = draw(task)
    clean = noise(task, batch)
    dirty = np.where(batch.mask[..., None], clean, np.float32(np.nan))
    same(score(task, dirty, batch), score(task, clean, batch))
    assert not score(task, dirty, batch)[3][~batch.mask].any()
    broken = score(task, np.full_like(clean, np.nan), batch)[0]
    assert np.isnan(broken), "a NaN that counts must be seen"


@every_task
def test_baseline_is_what_a_predictor_blind_to_the_inputs_scores(task):
    """Fits the best guess per time step on one half of a large draw, and scores it on the other."""
    fit, test = (jax.tree.map(lambda x, h=h: x[h::2], draw_many(task)) for h in (0, 1))
    if task.kind == "regression":
        guess = fit.targets.mean(axis=0)
    else:
        classes = np.eye(task.out_size, dtype=np.float32)[fit.targets]
        counts = (classes * fit.mask[..., None]).sum(axis=0)
        if any(task == ALL[name] for name in POOLED):
            counts = np.broadcast_to(counts.sum(axis=0), counts.shape)
        # Of classes that are as likely, as far as chance lets one see, the first is guessed all through.
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        first = (share > share.max(axis=1, keepdims=True) - 0.02).argmax(axis=1)[:, None]
        guess = np.log(counts + np.float32(1e-3))
        np.put_along_axis(guess, first, guess.max(axis=1, keepdims=True) + np.float32(1e-4), axis=1)
    predictions = np.broadcast_to(guess, test.mask.shape + (task.out_size,))
    scores, baseline = score(task, predictions, test)[2], task.baseline(test.mask.shape[1])
    assert scores.keys() == baseline.keys()
    for name, value in baseline.items():
        np.testing.assert_allclose(scores[name], value, rtol=0.02, atol=0.01, err_msg=name)


@every_task
def test_latent(task):
    batch, _ = draw(task)
    latent = task.latent(batch)
    if latent is not None:
        assert latent.shape[:2] == batch.valid.shape and latent.dtype in (jnp.int32, jnp.float32)


@every_task
def test_bad_arguments_are_one_sentence(task):
    key, low = jax.random.key(0), task.min_length
    for arguments, message in [
        ((3, low - 1, low + 5), f"length must be .* from {low} to {low + 5}, got {low - 1}"),
        ((3, low + 6, low + 5), f"length must be .*, got {low + 6}"),
        ((3, jnp.array([low, low, low + 6]), low + 5), f"length must be .*, got {low + 6}"),
        ((3, np.array([low, low]), low + 5), r"length must be .* array \[3\] .*got int64 \[2\]"),
        ((3, float(low), low + 5), r"length must be an integer.*float"),
        ((3, low, low - 1), f"max_length must be an integer at least {low}, got {low - 1}"),
        ((0, low, low), "batch must be an integer at least 1, got 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            task.sample(key, *arguments)


# --- each task against plain Python


def rows(task: Task):
    """(inputs, targets, mask) of each row up to its length, in numpy."""
    batch, lengths = draw(task)
    for i, n in enumerate(lengths):
        yield tuple(x[i, :n] for x in batch[:3])


def test_adding():
    for x, y, mask in rows(TASKS["adding"]):
        n = len(x)
        (i, j), ones = np.flatnonzero(x[:, 1]), x[:, 1].sum()
        assert ones == 2 and i < n // 2 <= j and (0 <= x[:, 0]).all() and (x[:, 0] < 1).all()
        assert mask.tolist() == [False] * (n - 1) + [True]
        assert y[-1] == x[i, 0] + x[j, 0]


def test_adding_markers_stand_anywhere_in_their_half():
    task = TASKS["adding"]
    shares = draw_many(task).inputs[..., 1].mean(axis=0)
    np.testing.assert_allclose(shares, [1 / 2] * 2 + [1 / 3] * 3, atol=0.015)


def test_adding_latent_ends_at_the_target():
    task = TASKS["adding"]
    batch, lengths = draw(task)
    last = task.latent(batch)[np.arange(B), lengths - 1]
    np.testing.assert_allclose(last, batch.targets[np.arange(B), lengths - 1, 0], rtol=1e-6)


@pytest.mark.parametrize("task", [TASKS["parity"], VARIANTS["parity, every"]], ids=str)
def test_parity(task):
    for x, y, mask in rows(task):
        assert y.tolist() == [sum(x[: t + 1].tolist()) % 2 for t in range(len(x))]
        assert mask.tolist() == [task.labels == "every"] * (len(x) - 1) + [True]


def test_word_problem_by_hand():
    """The example of the docstring, worked out there on paper."""
    machine, state, products = TASKS["s3"].automaton(), 0, []
    for element in [1, 2, 2, 3]:
        state = machine.next[state, element]
        products.append(state)
    assert products == [1, 4, 1, 5]


def test_word_problem_composes_permutations():
    elements = sorted(itertools.permutations(range(3)))
    for x, y, mask in rows(TASKS["s3"]):
        state = (0, 1, 2)
        for t, factor in enumerate(x):
            state = tuple(state[elements[factor][p]] for p in range(3))
            assert elements[y[t]] == state
        assert mask.all()


@pytest.mark.parametrize("group, order", [("S3", 6), ("A4", 12), ("A5", 60), ("S5", 120), ("S3xZ4", 24)])
def test_multiplication_tables_are_groups(group, order):
    table = multiplication_table(group)
    ids = np.arange(order)
    assert table.shape == (order, order) and table.dtype == np.int32
    same([table[0], table[:, 0]], [ids, ids])
    assert (np.sort(table, axis=0) == ids[:, None]).all() and (np.sort(table) == ids).all()
    assert (table[table[:, :, None], ids] == table[ids[:, None, None], table]).all()
    assert (table != table.T).any()


@pytest.mark.parametrize("group, count", [("A5", 2), ("S5", 4), ("Z6", 1)])
def test_generators_are_always_the_same_and_generate(group, count):
    """Every element is a product of them; with `generators` a word is made of these alone."""
    drawn, table = generating(group, count), multiplication_table(group)
    assert len({*drawn.tolist()}) == count and 0 not in drawn
    reached = {0}
    for _ in range(len(table)):
        reached |= {int(table[a, b]) for a in reached for b in drawn}
    assert len(reached) == len(table)
    task = WordProblem(group, generators=count, labels="last")
    assert (task.vocab, task.out_size) == (count, len(table))
    batch = task.sample(jax.random.key(0), 3, 11, 11)
    for x, y in zip(np.asarray(batch.inputs), np.asarray(batch.targets), strict=True):
        state = 0
        for token, product in zip(x, y, strict=True):
            state = table[state, drawn[token]]
            assert state == product


def test_generators_that_do_not_generate_are_refused():
    with pytest.raises(ValueError, match="generators=1"):
        WordProblem("S3", generators=1)


def test_cycle_navigation():
    for x, y, mask in rows(TASKS["cycle_navigation"]):
        place = 0
        for move, answer in zip(x, y, strict=True):
            place = (place + int(move) - 1) % 5
            assert place == answer
        assert mask.tolist() == [False] * (len(x) - 1) + [True]


def test_even_pairs():
    for x, y, _ in rows(TASKS["even_pairs"]):
        for t in range(len(x)):
            unlike = sum(a != b for a, b in itertools.pairwise(x[: t + 1].tolist()))
            assert y[t] == (unlike % 2 == 0)


@pytest.mark.parametrize("task", MACHINES.values(), ids=MACHINES)
def test_pieces_are_the_sequence_and_the_machine_says_the_targets(task):
    """Drawn in pieces of a block, the state carried: the bits of the whole draw."""
    machine, block, length = task.automaton(), task.block, 150
    key, state, found = jax.random.key(3), jnp.int32(machine.start), []
    whole = task.draw(key[None], length, 3 * block)
    whole, own = jax.tree.map(lambda leaf: np.asarray(leaf)[0], whole[:3]), int(whole.valid.sum())
    piece = jax.jit(task.piece, static_argnums=3)
    for k in range(3):
        state, drawn = piece(key, state, jnp.int32(k * block), block, jnp.int32(length))
        found.append(drawn)
    pieces = map(np.concatenate, zip(*found, strict=True))
    same([leaf[:own] for leaf in pieces], [leaf[:own] for leaf in whole])
    at = machine.start
    for token, target, counts in zip(*(leaf[:own] for leaf in whole), strict=True):
        at = machine.next[at, token]
        assert at >= 0 and (not counts or machine.output[at] == target)


def test_mixed_words_hold_each_kind():
    """Among many words there are periodic ones, single tokens, and random ones."""
    task = get_task("s3", words="mixed")
    words = np.asarray(task.sample(jax.random.key(0), 400, 60, 60).inputs)
    alone = (words[:, 3:] == words[:, 3:4]).all(1).mean()
    tail = words[:, 12:]
    periodic = np.array([any((row[p:] == row[:-p]).all() for p in range(1, 7)) for row in tail]).mean()
    assert 0.1 < alone < 0.35 and 0.3 < periodic < 0.65
    assert task.baseline(10) == {}


def test_cyclic_group_is_addition():
    ids = np.arange(60)
    same(multiplication_table("Z60"), (ids[:, None] + ids) % 60)


# --- losses and metrics by hand


squared_error, cross_entropy = jax.jit(losses.squared_error), jax.jit(losses.cross_entropy)


def test_losses_against_numpy():
    rng = np.random.default_rng(0)
    p, y = rng.normal(size=(2, 3, 5, 4)).astype(np.float32)
    ids, mask = rng.integers(0, 4, (3, 5)).astype(np.int32), rng.random((3, 5)) < 0.5
    wanted = (((p - y) ** 2).mean(-1) * mask).sum(-1)
    np.testing.assert_allclose(squared_error(p, y, mask), wanted, rtol=1e-5)
    chosen = np.take_along_axis(p, ids[..., None], -1)[..., 0]
    wanted = ((np.log(np.exp(p).sum(-1)) - chosen) * mask).sum(-1)
    np.testing.assert_allclose(cross_entropy(p, ids, mask), wanted, rtol=1e-5)
    ids[~mask], y[~mask], p[~mask] = -100, np.nan, np.inf
    np.testing.assert_allclose(cross_entropy(p, ids, mask), wanted, rtol=1e-5)
    assert np.isfinite(squared_error(p, y, mask)).all()


def test_losses_name_shapes_that_do_not_fit():
    p, mask = np.ones((2, 5, 3), np.float32), np.ones((2, 4), bool)
    with pytest.raises(AssertionError, match="shape"):
        losses.squared_error(p, p, mask)
    with pytest.raises(AssertionError, match="shape"):
        losses.cross_entropy(p, np.ones((2, 5), np.int32), mask)


def test_losses_sum_in_float32_at_least(x64):
    mask, ids = np.ones((1, 2), bool), np.ones((1, 2), np.int32)
    for given, dtype in [("bfloat16", "float32"), ("float32", "float32"), ("float64", "float64")]:
        p = jax.ShapeDtypeStruct((1, 2, 3), given)
        y = jax.ShapeDtypeStruct((1, 2, 3), "float32")
        assert jax.eval_shape(losses.squared_error, p, y, mask).dtype == dtype
        assert jax.eval_shape(losses.cross_entropy, p, ids, mask).dtype == dtype


@every_task
def test_tasks_leak_no_float64(task, x64):
    sample = functools.partial(task.sample, batch=2, max_length=task.min_length + 20)
    batch = jax.eval_shape(sample, jax.random.key(0), length=task.min_length + 15)
    assert all(x.dtype.itemsize <= 4 for x in batch)
    predictions = jax.ShapeDtypeStruct(batch.mask.shape + (task.out_size,), jnp.float32)
    leaves = jax.tree.leaves(jax.eval_shape(task.tally, predictions, batch))
    assert all(x.dtype.itemsize <= 4 for x in leaves)


def test_accuracies_by_hand():
    """Row 0 is right at both steps, row 1 at one of two, row 2 counts nowhere, row 3 is NaN."""
    logits = np.eye(2, dtype=np.float32)[[[0, 1], [1, 1], [0, 0], [0, 0]]]
    logits[3] = np.nan
    targets = np.array([[0, 1], [0, 1], [1, 1], [0, 0]], np.int32)
    mask = np.array([[True, True], [True, True], [False, False], [True, True]])
    metrics = score(Parity(), logits, Batch(targets, targets, mask, mask))[2]
    assert metrics["accuracy"] == pytest.approx(3 / 6)
    assert metrics["sequence_accuracy"] == pytest.approx(1 / 3)
    nothing = score(Parity(), logits, Batch(targets, targets, mask & False, mask))[2]
    assert not any(nothing.values())


# --- names and options


def test_get_task():
    assert get_task("adding") == TASKS["adding"]
    assert get_task("s3", group="S5") == WordProblem("S5")


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("addng", {}, r"task 'addng' is unknown: did you mean 'adding'\? It must be one of a5, add"),
        ("zzz", {}, "task 'zzz' is unknown: it must be one of a5, adding, anbn"),
        ("copy_memory", {"symbol": 3}, r"'copy_memory', 'symbol' is unknown: .* mean 'symbols'\?"),
        ("adding", {"length": 3}, "'adding' has no options, got 'length'"),
        ("copy_memory", {"recall": 0}, "recall must be an integer at least 1, got 0"),
        ("copy_memory", {"symbols": "8"}, "symbols must be an integer at least 1, got '8'"),
        ("copy_memory", {"loss_over": "some"}, "loss_over must be one of recall, all, got 'some'"),
        ("parity", {"labels": "first"}, "labels must be one of last, every, got 'first'"),
        ("s3", {"group": "M11"}, "group must be S, A or Z and a number, .* got 'M11'"),
        ("s3", {"group": "S9"}, "from 2 to 720 elements, got 'S9'"),
        ("nowhere.py:task", {}, "task 'nowhere.py:task' needs a file that does not exist: /.*"),
        ("nowhere.py", {}, "names a file but no value in it: write nowhere.py:NAME"),
        (3, {}, "task must be a name, got int"),
    ],
)
def test_wrong_names_and_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        get_task(name, **options)


def test_task_from_a_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from r3nn.tasks import CopyMemory\nshort = CopyMemory(recall=2)\nother = 3\n")
    short = get_task(f"{file}:short", allow_code=True, symbols=5)
    assert short == CopyMemory(symbols=5, recall=2)
    with pytest.raises(ValueError, match=r"'shrt' is unknown: did you mean 'short'\?"):
        get_task(f"{file}:shrt", allow_code=True)
    with pytest.raises(ValueError, match="must be a Task value, got 3"):
        get_task(f"{file}:other", allow_code=True)
    with pytest.raises(ValueError, match="'zzz' is unknown: it must be one of short.$"):  # of tasks alone
        get_task(f"{file}:zzz", allow_code=True)
    with pytest.raises(ValueError, match=r"must be a Task value, .*: did you mean CopyMemory\(\)\?"):
        get_task(f"{file}:CopyMemory", allow_code=True)


@pytest.mark.parametrize(
    "read", [get_task, model.as_cell, lambda name: model.build(in_size=1, out_size=1, cell=name)]
)
def test_a_file_is_run_only_where_that_is_allowed(read, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nmine = 3\n")
    with pytest.raises(ValueError, match=f"'{file}:mine' would run the code of {file}: allow_code=True"):
        read(f"{file}:mine")
    assert list(tmp_path.iterdir()) == [file]


def test_the_file_itself_is_run(tmp_path):
    """And not a compiled one beside it, which may be of another content."""
    file = tmp_path / "mine.py"
    file.write_text("from r3nn.tasks import CopyMemory\nmine = CopyMemory(recall=3)\n")
    compiled = Path(py_compile.compile(file, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH))
    file.write_text(file.read_text().replace("recall=3", "recall=4"))
    assert get_task(f"{file}:mine", allow_code=True).recall == 4
    assert sha256(file) == hashlib.sha256(file.read_bytes()).hexdigest()
    assert list(compiled.parent.iterdir()) == [compiled]


def test_a_file_is_run_once(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from __future__ import annotations\n"
        "import dataclasses\n"
        "from r3nn.tasks import Parity\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Mine(Parity):\n"
        "    width: int = 3\n"
        "mine = Mine()\n"
    )
    first, second = (get_task(f"{file}:mine", allow_code=True, **width) for width in ({}, {"width": 3}))
    assert first == second
