"""Machines that files hold: what they accept, how words are drawn, and which files are refused."""

import collections
import itertools
import json
import pickle
from pathlib import Path

import pytest

from r3nn.tasks import get_task
from tests.r3nn.tasks.drawn import rows

EVEN_A = str(Path(__file__).with_name("even_a.att"))


def accepted(word):
    """An even number of a, then perhaps a c and only b behind it."""
    before, c, behind = word.partition("c")
    return before.count("a") % 2 == 0 and set(behind) <= {"b"}


@pytest.mark.parametrize("negatives", ["any", pytest.param("near", marks=pytest.mark.slow)])
def test_acceptor(negatives):
    task = get_task("automaton", file=EVEN_A, negatives=negatives)
    labels, words = [], collections.Counter()
    for length, x, y, mask in rows(task, 4, 22, 800):
        word = task.decode(x).replace(" ", "")
        assert len(x) == length and mask == [False] * (length - 1) + [True] and y[-1] == accepted(word)
        labels.append(y[-1])
        if negatives == "near" and not y[-1]:
            swaps = (word[:i] + v + word[i + 1 :] for i, v in itertools.product(range(length), "abc"))
            assert any(map(accepted, swaps))
        if length == 4 and y[-1]:
            words[word] += 1
    assert 0.44 < sum(labels) / len(labels) < 0.56
    every = [w for w in map("".join, itertools.product("abc", repeat=4)) if accepted(w)]
    assert set(words) == set(every) and max(words.values()) < 3.5 * sum(words.values()) / len(every)


def test_machine_with_outputs():
    task = get_task("automaton", labels="every")
    for length, x, y, mask in rows(task):
        assert y == [sum(x[: t + 1]) % 3 for t in range(length)] and all(mask)


def test_the_content_is_part_of_the_value(tmp_path):
    file = tmp_path / "machine.json"
    file.write_text('{"next": [[0, 1], [1, 0]], "output": [0, 1]}')
    first = get_task("automaton", file=str(file))
    assert first == get_task("automaton", file=str(file)) == pickle.loads(pickle.dumps(first))
    file.write_text('{"next": [[0, 1], [1, 0]], "output": [1, 0]}')
    second = get_task("automaton", file=str(file))
    assert first != second and first.automaton().output.tolist() == [0, 1]


@pytest.mark.parametrize(
    "text, found", [("0\t0\ta\ta\n0\n", {1}), ("0\t0\ta\ta\n", {0})], ids=["all", "none"]
)
def test_a_machine_that_accepts_all_or_nothing(text, found, tmp_path):
    file = tmp_path / "machine.att"
    file.write_text(text)
    task = get_task("automaton", file=str(file), negatives="near")
    assert {y[-1] for _, _, y, _ in rows(task, 4, 5, 8)} == found
    assert task.baseline(5) == {"cross_entropy": 0, "accuracy": 1, "sequence_accuracy": 1}


GOOD = {"next": [[0, 1], [1, 0]], "output": [0, 1], "start": 0}
text = lambda other: json.dumps(GOOD | other)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("m.json", "{", "m.json' is no JSON"),
        (
            "m.json",
            text({"next": [[0, 1], [1, 2]]}),
            r"\[1\]\[1\] must be a state from 0 to 1, got 2",
        ),
        (
            "m.json",
            text({"next": [[0, 1], [1]]}),
            r"next\[1\] must be a list with a state for each",
        ),
        (
            "m.json",
            text({"output": [0]}),
            "output must be a list of 2 classes, one a state, got",
        ),
        (
            "m.json",
            text({"output": [0, -1]}),
            r"output\[1\] must be a class from 0 to 1000, got -1",
        ),
        ("m.json", text({"start": 2}), "start must be a state from 0 to 1, got 2"),
        ("m.json", text({"begin": 2}), "a field must be one of next, output, start, got begin"),
        ("m.json", "[]", "the whole must be an object with next, output and start"),
        ("m.att", "0\t1\ta\n", "line 1 must be .* got '0"),
        ("m.att", "0\t1\ta\ta\n0\t0\ta\ta\n", "line 2: state 0 has two ways on 'a'"),
        ("m.att", "0\n", "must have from 1 to 1499 states .* with a transition"),
    ],
)
def test_files_that_are_refused(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        get_task("automaton", file=str(tmp_path / name))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"file": "nowhere.json"}, "file 'nowhere.json' cannot be read: No such file"),
        ({"file": EVEN_A, "labels": "every"}, "labels must be last for an acceptor"),
        ({"file": EVEN_A, "words": "mixed"}, "words must be random for an acceptor"),
        ({"negatives": "near"}, "negatives=near: must be any"),
        ({"negatives": "far"}, "negatives must be one of any, near, got 'far'"),
    ],
)
def test_options_that_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        get_task("automaton", **options)
