"""Baselines that are computed or measured: right for every machine, and of one guesser."""

import json

import numpy as np
import pytest

from r3nn.tasks import get_task
from r3nn.tasks._simulated import guessed


def step_by_step(machine, length, last):
    """What guessing the likeliest class comes to, by hand; every token is as likely."""
    classes = np.eye(machine.output.max() + 1)[machine.output]
    move = np.eye(len(classes))[machine.next].mean(axis=1)
    states = right = np.eye(len(classes))[machine.start]
    found = []
    for t in range(length):
        states, right = states @ move, right @ move
        if t == length - 1 or not last:
            mass = states @ classes
            best = (mass > mass.max() * (1 - 1e-9)).argmax()
            right = right * classes[:, best]
            found.append((-(mass[mass > 0] * np.log(mass[mass > 0])).sum(), mass[best]))
    loss, hits = np.mean(found, axis=0)
    return {"cross_entropy": loss, "accuracy": hits, "sequence_accuracy": right.sum()}


#: seven states in a circle, of which symbol 1 skips one
SKIPPING = {
    "next": [[(s + 1) % 7, (s + 1 + (s == 3)) % 7] for s in range(7)],
    "output": [0, 1, 1, 0, 2, 0, 1],
}
#: period 7
SEVEN = {"next": [[(s + 1) % 7] * 2 for s in range(7)], "output": [0, 1, 1, 0, 2, 0, 1]}
#: period 7, twice: which of the two circles is drawn at every step, and they have other classes
DRAWN = {
    "next": [[(s + 1) % 7 + 7 * v for v in (0, 1)] for s in [*range(7), *range(7)]],
    "output": 7 * [0] + [0, 0, 1, 0, 2, 0, 0],
}
#: a state that is left once in a thousand steps, for good
SLOW = {"next": [[1] + 999 * [0], 1000 * [1]], "output": [0, 1]}
#: periods of 4 and 9, which the first symbol chooses
TWO = {
    "next": [[1, 5]] + [[1 + s % 4] * 2 for s in range(1, 5)] + [[5 + (s - 4) % 9] * 2 for s in range(5, 14)],
    "output": [0, 1, 0, 0, 0, 2, 0, 1, 0, 0, 2, 1, 0, 0],
}


@pytest.mark.parametrize("labels", ["last", "every"])
@pytest.mark.parametrize("content", [SKIPPING, SEVEN, DRAWN, SLOW, TWO], ids=lambda c: len(c["next"]))
def test_the_baseline_of_a_machine_is_right_at_any_length(content, labels, tmp_path):
    file = tmp_path / "machine.json"
    file.write_text(json.dumps(content))
    task = get_task("automaton", file=str(file), labels=labels)
    for length in (1, 2, 60, 5003, 5006):
        expected = step_by_step(task.automaton(), length, labels == "last")
        for name, value in task.baseline(length).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_one_guesser_has_both_accuracies():
    """Of two classes that are as frequent, as far as chance lets one see, the first is guessed for both."""
    targets = np.array(495 * [0] + 505 * [1])[:, None]
    found = guessed(targets, np.full(targets.shape, True), 2)
    assert found["accuracy"] == found["sequence_accuracy"] == 0.495
