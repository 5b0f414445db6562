"""Tasks that read a word and write an answer: cases worked by hand, and a rule in plain Python."""

import math

import pytest

from r3nn.tasks import TASKS, get_task
from tests.helpers import unless_slow
from tests.r3nn.tasks.drawn import answers, asked, rows

#: worked on paper from the published definitions; in a stack's word P, p, q are POP, PUSH 0, PUSH 1
BY_HAND = {
    "reverse_string": {"0": "0", "011": "110", "100101": "101001"},
    "odds_first": {"1": "1", "01": "01", "000100": "000010", "01101": "01110"},
    "duplicate": {"1": "11", "011": "011011"},
    "missing_duplicate": {"?1": "1", "01?1": "0", "0110?1": "1", "?10010": "0"},
    "bucket_sort": {"3": "3", "40201": "00124", "4321": "1234"},
    "stack_manipulation": {"0": "0$", "01Pqq": "110$", "0PP": "$", "1PPp": "0$", "011": "110$", "1Pq": "1$"},
    "binary_addition": {"01+110": "101$", "0+0": "0$", "11+1": "001$", "000+00": "0$", "111+111": "0111$"},
    "binary_multiplication": {
        "01*110": "011$",
        "0*1": "0$",
        "11*11": "1001$",
        "100*1": "1$",
        "111*111": "100011$",
    },
    "square_root": {
        "100010": "101$",
        "0": "0$",
        "1": "1$",
        "0011": "1$",
        "1111": "11$",
        "10000": "100$",
        "11001": "101$",
    },
}
IDS = {"?": 2, "P": 2, "p": 3, "q": 4, "+": 2, "*": 2}


def big_endian(text):
    return int("".join(map(str, text)), 2)


def little(number):
    return [*map(int, reversed(f"{number:b}")), 2]


def stack(word):
    held = []
    for symbol in word:
        if symbol == 2:
            held = held[:-1]
        else:
            held = held + [symbol - 3 if symbol > 2 else symbol]
    return [*held[::-1], 2]


def numbers(word):
    sign = word.index(2)
    return big_endian(word[:sign][::-1]), big_endian(word[sign + 1 :][::-1])


def missing(word):
    half, at = len(word) // 2, word.index(2)
    return [word[at - half] if at >= half else word[at + half]]


RULES = {
    "reverse_string": lambda word: word[::-1],
    "odds_first": lambda word: word[::2] + word[1::2],
    "duplicate": lambda word: word + word,
    "missing_duplicate": missing,
    "bucket_sort": sorted,
    "stack_manipulation": stack,
    "binary_addition": lambda word: little(sum(numbers(word))),
    "binary_multiplication": lambda word: little(math.prod(numbers(word))),
    "square_root": lambda word: [*map(int, f"{math.isqrt(big_endian(word)):b}"), 2],
}


@pytest.mark.parametrize("name", RULES)
def test_by_hand(name):
    ids = lambda text: [IDS[c] if c in IDS else int(c) for c in text.replace("$", "2")]
    words, wanted = map(ids, BY_HAND[name]), [ids(answer) for answer in BY_HAND[name].values()]
    assert list(answers(TASKS[name], list(words))) == wanted
    assert [RULES[name](ids(word)) for word in BY_HAND[name]] == wanted


@pytest.mark.parametrize("name", unless_slow(RULES, ("stack_manipulation", "square_root", "odds_first")))
def test_rule(name):
    task = TASKS[name]
    more = 2 if name == "missing_duplicate" else 1  # which has words of even lengths alone
    for length, x, y, mask in rows(task):
        n = x.index(task.vocab - 1)
        assert x[n:] == [task.vocab - 1] * (len(x) - n)
        assert len(x) == task.steps(n) <= length and task.steps(n + more) > length
        answer = RULES[name](x[:n])
        assert asked(y, mask) == answer and mask.index(True) == n
        assert mask[n : n + len(answer)] == [True] * len(answer)


def test_words_of_two_numbers_have_one_sign():
    places = {x.index(2) for _, x, _, _ in rows(TASKS["binary_addition"], 12, 13, 80)}
    assert places == {1, 2, 3, 4}
    assert all(x.count(2) == 1 for _, x, _, _ in rows(TASKS["binary_addition"], 12, 13, 80))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reverse_string", "bucket_sort"])
def test_more_kinds(name):
    task = get_task(name, kinds=7)
    for _, x, y, mask in rows(task):
        assert asked(y, mask) == RULES[name](x[: len(x) // 2])
    assert {y for _, _, ys, mask in rows(task) for y in asked(ys, mask)} == set(range(7))
