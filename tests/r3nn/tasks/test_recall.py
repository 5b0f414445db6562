"""Tasks of storing and recalling, each against its rule in plain Python."""

import jax
import pytest

from r3nn.tasks import TASKS, get_task
from tests.helpers import unless_slow
from tests.r3nn.tasks.drawn import asked, rows

LAYOUTS = ("delimiter", "delimiters", "markers")
COPIES = {f"{name}, {layout}": (name, layout) for name in ("copy_memory", "denoise") for layout in LAYOUTS}


@pytest.mark.parametrize("case", unless_slow(COPIES, ("copy_memory, delimiters", "denoise, markers")))
def test_copy(case):
    """The symbols come first, or anywhere before the delimiters, of which there are 1, K + 1 or K."""
    name, layout = COPIES[case]
    task, K, gaps = get_task(name, layout=layout, symbols=5, recall=3), 3, set()
    for length, x, y, mask in rows(task):
        x = [row[0] for row in x] if layout == "delimiters" else x
        before = length - K - (layout != "markers")
        said = [token for token in x[:before] if token]
        tail = {"delimiter": [6] + [0] * K, "delimiters": [6] * (K + 1), "markers": [6] * K}[layout]
        assert x[before:] == tail and len(said) == K and all(1 <= token <= 5 for token in said)
        assert y == [0] * (length - K) + said and mask == [False] * (length - K) + [True] * K
        assert name == "denoise" or x[:K] == said
        gaps.add(tuple(t for t, token in enumerate(x[:before]) if token))
    assert len(gaps) > 20 or name == "copy_memory"
    assert task.steps(4) == 10 and task.min_length == task.steps(1)


@pytest.mark.parametrize("name", ["copy_memory", pytest.param("denoise", marks=pytest.mark.slow)])
def test_loss_over_all(name):
    task = get_task(name, symbols=5, recall=3, loss_over="all")
    assert all(all(mask) for _, _, _, mask in rows(task))


def test_places_of_noise_are_uniform():
    """Of 4 steps before the delimiter, any 3."""
    task, places = get_task("denoise", symbols=5, recall=3), []
    for _, x, _, _ in rows(task, 8, 8, 800):
        places.append(x[:4].index(0))
    assert all(150 < places.count(place) < 250 for place in range(4))


def test_selective_copying():
    assert TASKS["selective_copying"].vocab == 16
    for length, x, y, mask in rows(TASKS["selective_copying"], 36, 50):
        said = [token for token in x[:-16] if token]
        assert len(x) == length and x[-16:] == [15] * 16 and len(said) == 16 and max(said) < 15
        assert asked(y, mask) == said and mask == [False] * (length - 16) + [True] * 16


@pytest.mark.parametrize("delay", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_repeat_previous(delay):
    task = get_task("repeat_previous", delay=delay)
    for length, x, y, mask in rows(task):
        assert asked(y, mask) == x[:-delay] and mask == [t >= delay for t in range(length)]
        assert set(x) <= {0, 1, 2, 3}


def test_repeat_first():
    for length, x, y, mask in rows(TASKS["repeat_first"]):
        assert y == [x[0]] * length and all(mask)
    last = rows(get_task("repeat_first", labels="last", symbols=3))
    assert all(asked(y, mask) == x[:1] and mask[-1] for _, x, y, mask in last)


def test_induction_heads():
    task, places = get_task("induction_heads", symbols=5), {9: set(), 22: set()}
    for length, x, y, mask in rows(task, count=300):
        first = x.index(5)
        assert x.count(5) == 2 and x[-1] == 5 and len(x) == length
        assert asked(y, mask) == [x[first + 1]] and mask[-1]
        places[length].add(first)
    assert places == {9: {*range(7)}, 22: {*range(20)}}


def test_what_induction_heads_have_to_remember():
    task = get_task("induction_heads", symbols=5)
    batch = task.sample(jax.random.key(0), 20, 9, 9)
    for x, held in zip(batch.inputs.tolist(), task.latent(batch).tolist(), strict=True):
        first = x.index(5)
        assert held == [5] * (first + 1) + [x[first + 1]] * (8 - first)


@pytest.mark.parametrize("filler", ["blank", pytest.param("random", marks=pytest.mark.slow)])
def test_mqar(filler):
    N, soon, late = 3, 0, 0
    task = get_task("mqar", pairs=N, symbols=20, filler=filler)
    for length, x, y, mask in rows(task, 14, 41, 300):
        memory = dict(zip(x[: 2 * N : 2], x[1 : 2 * N : 2], strict=True))
        assert len(memory) == len({*memory.values()}) == N
        assert all(1 <= k < 10 <= v < 20 for k, v in memory.items())
        queries = [t for t, counts in enumerate(mask) if counts]
        assert sorted(x[t] for t in queries) == sorted(memory) and len(x) == length
        assert all(t % 2 == 0 and 2 * N <= t < length and y[t] == memory[x[t]] for t in queries)
        others = [token for t, token in enumerate(x) if t >= 2 * N and t not in queries]
        assert filler == "random" or not any(others)
        if length == 41:
            soon, late = soon + (queries[0] == 2 * N), late + (queries[-1] >= 30)
    assert soon > 0.6 * 150 and late > 10


def test_the_gaps_of_mqar_have_the_published_law():
    """The first key is drawn first: with one pair it comes again 2 g later at a rate of (g + 1)^-.99."""
    task, found = get_task("mqar", pairs=1, symbols=8), [0] * 5
    for _, _, _, mask in rows(task, 12, 12, 3000):
        found[(mask.index(True) - 2) // 2] += 1
    weights = [(g + 1) ** -0.99 for g in range(5)]
    for count, weight in zip(found, weights, strict=True):
        assert abs(count / 3000 - weight / sum(weights)) < 0.03


@pytest.mark.parametrize(
    "name, options, message",
    [
        (
            "copy_memory",
            {"layout": "none"},
            "layout must be one of delimiter, delimiters, markers, got 'none'",
        ),
        ("repeat_previous", {"delay": 0}, "delay must be an integer at least 1, got 0"),
        ("repeat_first", {"symbols": 1}, "symbols must be an integer at least 2, got 1"),
        ("induction_heads", {"symbols": 1}, "symbols must be an integer at least 2, got 1"),
        ("mqar", {"pairs": 8, "symbols": 16}, r"symbols must be even and at least .* 18, got 16"),
        ("mqar", {"filler": "none"}, "filler must be one of blank, random, got 'none'"),
    ],
)
def test_wrong_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        get_task(name, **options)
