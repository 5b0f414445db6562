"""Nested lists: a parser in plain Python, and the shares of what is drawn."""

import collections
import statistics

import jax
import numpy as np
import pytest

from r3nn.tasks import TASKS, get_task
from tests.r3nn.tasks.drawn import rows

OPERATORS = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda v: int(statistics.median(v)),
    "[SM": lambda v: sum(v) % 10,
}


def parse(words, most, depth):
    """The value of the expression that a list of words begins with; it is taken off the list."""
    word = words.pop(0)
    if word not in OPERATORS:
        return int(word)
    assert depth > 1
    values = []
    while words[0] != "]":
        values.append(parse(words, most, depth - 1))
    words.pop(0)
    assert 2 <= len(values) <= most
    return OPERATORS[word](values)


@pytest.mark.parametrize(
    "task",
    [TASKS["listops"], pytest.param(get_task("listops", arguments=3, depth=3), marks=pytest.mark.slow)],
    ids=["listops", "few"],
)
def test_listops(task):
    seen = collections.Counter()
    for length, x, y, mask in rows(task, long=30, count=200):
        words = task.decode(x).split()
        seen.update(words)
        assert words.pop() == "=" and len(x) <= length and mask == [False] * (len(x) - 1) + [True]
        assert words[0] in OPERATORS
        assert parse(words, task.arguments, task.depth) == y[-1] and not words
    roots = [seen[name] / sum(map(seen.get, OPERATORS)) for name in OPERATORS]
    assert len(seen) == 16 and 0.15 < min(roots) and max(roots) < 0.35


def test_no_expression_is_shorter_than_asked():
    task = get_task("listops", arguments=4, depth=4, shortest=15)
    assert task.min_length == 16
    own = np.asarray(task.sample(jax.random.key(0), 64, 40, 40).valid.sum(axis=1))
    assert own.min() >= 16 and own.max() <= 40 and len({*own.tolist()}) > 5
