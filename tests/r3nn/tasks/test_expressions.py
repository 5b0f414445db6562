"""Expressions modulo 5: a parser in plain Python says whether they are of the grammar, and their value."""

import collections

import pytest

from r3nn.tasks import TASKS, get_task
from tests.r3nn.tasks.drawn import asked, rows


def parse(text):
    """The value of an expression with brackets. Fails where it is not one of the grammar."""
    n = len(text)
    if n == 1:
        assert text in "01234"
        return int(text)
    if n == 2:
        assert text[0] == "-"
        return -parse(text[1])
    assert text[0] == "(" and text[-1] == ")"
    if n <= 4:
        return parse(text[1:-1])
    depth, inside, splits = 0, text[1:-1], []
    for i, c in enumerate(inside):
        depth += (c == "(") - (c == ")")
        if depth == 0 and c in "+-*" and i and inside[i - 1] not in "+-*":
            splits.append(i)
    (i,) = splits
    left, right = parse(inside[:i]), parse(inside[i + 1 :])
    return {"+": left + right, "-": left - right, "*": left * right}[inside[i]]


def test_brackets():
    task, seen = TASKS["modular_arithmetic_brackets"], set()
    for length, x, y, mask in rows(task):
        text = task.decode(x)
        assert len(x) == length and text[-1] == "=" and mask == [False] * (length - 1) + [True]
        assert y[-1] == parse(text[:-1]) % 5, text
        seen |= set(text)
    assert seen == set("01234+-()*=")


@pytest.mark.slow
@pytest.mark.parametrize("length", range(2, 8))
def test_short_brackets(length):
    task = TASKS["modular_arithmetic_brackets"]
    for _, x, y, _ in rows(task, length, length, 30):
        assert y[-1] == parse(task.decode(x)[:-1]) % 5


def test_the_left_part_is_of_any_length():
    """Of six symbols it has one or two, -d."""
    drawn = rows(TASKS["modular_arithmetic_brackets"], 7, 22, 800)
    long = [x[1] == 6 for length, x, _, _ in drawn if length == 7]
    assert 0.4 < sum(long) / len(long) < 0.6


def test_solve_equation():
    task, places = TASKS["solve_equation"], collections.Counter()
    for length, x, y, mask in rows(task):
        text = task.decode(x)
        assert len(x) == length and text[-1] == "_" and text[-3] == "=" and text.count("x") == 1
        assert mask == [False] * (length - 1) + [True] and "*" not in text
        fits = [d for d in range(5) if (parse(text[:-3].replace("x", str(d))) - int(text[-2])) % 5 == 0]
        assert fits == [y[-1]]
        places[text.index("x")] += 1
    assert len(places) > 5


@pytest.mark.parametrize("labels", ["last", pytest.param("every", marks=pytest.mark.slow)])
def test_without_brackets(labels):
    task = get_task("modular_arithmetic", labels=labels)
    for length, x, y, mask in rows(task):
        text = task.decode(x)
        assert len(x) == length // 2 * 2 and text[-1] == "=" and "=" not in text[:-1]
        wanted = [eval(text[: t + 1]) % 5 for t in range(0, len(x) - 1, 2)]  # noqa: S307
        wanted = [*wanted, wanted[-1]] if labels == "every" else wanted[-1:]
        assert asked(y, mask) == wanted
        assert set(text[:-1:2]) <= set("01234") and set(text[1:-1:2]) <= set("+-*")


def test_machine_by_hand():
    """2 + 3 * 4 - 1 = of the docstring."""
    machine = TASKS["modular_arithmetic"].automaton()
    state, outputs = machine.start, []
    for token in [2, 5, 3, 7, 4, 6, 1, 8]:
        state = machine.next[state, token]
        outputs.append(int(machine.output[state]))
    assert outputs == [2, -1, 0, -1, 4, -1, 3, 3]
