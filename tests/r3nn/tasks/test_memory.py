"""Flip-flops, stacks of brackets, and counters."""

import pytest

from r3nn.tasks import TASKS, get_task
from tests.r3nn.tasks.drawn import asked, rows


def test_flip_flop():
    task, ignored, all_of_them = TASKS["flip_flop"], 0, 0
    for length, x, y, mask in rows(task, count=400):
        text, memory, wanted = task.decode(x), None, []
        assert len(x) == length // 2 * 2 and text[0] == "w" and text[-2] == "r"
        for t in range(0, len(x), 2):
            instruction, bit = text[t : t + 2]
            assert instruction in "wri" and bit in "01"
            if instruction == "w":
                memory = bit
            if instruction == "r":
                assert bit == memory
                wanted.append(int(bit))
        assert asked(y, mask) == wanted and [text[t] for t, counts in enumerate(mask) if counts] == [
            "r"
        ] * len(wanted)
        ignored, all_of_them = ignored + text[2:-2].count("i"), all_of_them + len(text[2:-2]) // 2
    assert 0.77 < ignored / all_of_them < 0.83


@pytest.mark.parametrize("kinds, depth", [(2, 4), pytest.param(3, 2, marks=pytest.mark.slow)])
def test_dyck(kinds, depth):
    task, free, opened, deepest = get_task("dyck", kinds=kinds, depth=depth), 0, 0, 0
    for length, x, y, mask in rows(task, count=100):
        stack = []
        assert len(x) == length and all(mask)
        for token, target in zip(x, y, strict=True):
            if 0 < len(stack) < depth:
                free, opened = free + 1, opened + (token < kinds)
            if token < kinds:
                stack.append(token)
            else:
                assert stack.pop() == token - kinds
            assert target == (stack[-1] if stack else kinds)
            deepest = max(deepest, len(stack))
            assert len(stack) <= depth
    assert deepest == depth and 0.42 < opened / free < 0.58


@pytest.mark.parametrize("name", ["anbn", pytest.param("anbncn", marks=pytest.mark.slow)])
def test_counting(name):
    task, sizes = TASKS[name], set()
    for length, x, y, mask in rows(task, count=200):
        n = x.count(0)
        word = sorted(list(range(task.letters)) * n)
        assert x == word and len(x) <= length
        assert asked(y, mask) == [*word[n + 1 :], task.letters] and mask == [t >= n for t in range(len(x))]
        sizes.add((length, n))
    assert sizes == {(length, n) for length in (9, 22) for n in range(1, length // task.letters + 1)}


def test_the_greatest_word():
    task = get_task("anbn", sizes="greatest")
    assert all(x == [0] * (length // 2) + [1] * (length // 2) for length, x, _, _ in rows(task))
    assert task.baseline(40) == {"cross_entropy": 0, "accuracy": 1, "sequence_accuracy": 1}


@pytest.mark.parametrize("symbols", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_majority(symbols):
    task = get_task("majority", symbols=symbols, labels="every")
    for length, x, y, mask in rows(task):
        count = lambda t, v, x=x: x[: t + 1].count(v)
        wanted = [max(range(symbols), key=lambda v, t=t: (count(t, v), -v)) for t in range(length)]
        assert y == wanted and all(mask)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("flip_flop", {"ignore": 1.5}, "ignore must be a number from 0 to 1, got 1.5"),
        ("dyck", {"depth": 30}, "depth=30 of 2 kinds makes more than 1500 stacks"),
        ("anbn", {"letters": 4}, "letters must be an integer from 2 to 3, got 4"),
        ("listops", {"arguments": 1}, "arguments must be an integer at least 2, got 1"),
        ("reverse_string", {"kinds": 1}, "kinds must be an integer at least 2, got 1"),
    ],
)
def test_wrong_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        get_task(name, **options)
