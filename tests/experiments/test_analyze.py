"""What the program leaves that looks inside, and what it says where a question does not apply."""

import contextlib
import html.parser
import io
import json
import re

import numpy as np
import pytest

from configs import parity, quickstart
from experiments import analyze
from experiments.analyses import words
from tests.experiments.test_evaluate import untrained

QUESTIONS = [question.question for question in analyze.QUESTIONS] + [analyze.TRAINING]


class Tags(html.parser.HTMLParser):
    """Collects the tags of a page, with all that they refer to."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """(Lines that were printed, the folder) of an untrained network of parity, and of one of adding."""
    found = {}
    for name, config in (("parity", parity.get_config("smoke")), ("adding", quickstart.get_config())):
        config.train.length = 24
        if name == "adding":
            config.model.hidden_size, config.train.length, config.model.init.chrono = 4, 12, 4.0
            config.train.min_length = 2
        folder = tmp_path_factory.mktemp(name)
        untrained(folder, config)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            assert analyze.main(["analyze.py", f"--workdir={folder}"]) == 0
        found[name] = said.getvalue().splitlines(), folder / "analysis"
    return found


@pytest.mark.parametrize("name", ["parity", "adding"])
def test_each_question_is_answered_in_a_line(analysed, name):
    lines, _ = analysed[name]
    asked = [line.partition("?")[0] + "?" for line in lines if "?" in line]
    assert asked == QUESTIONS
    without = [line for line in lines if "Does not apply, because" in line]
    assert len(without) == {"parity": 2, "adding": 5}[name], without  # mrnn has no gates, no run has a log


@pytest.mark.parametrize("name", ["parity", "adding"])
def test_the_page_fetches_nothing(analysed, name):
    text = (analysed[name][1] / "report.html").read_text()
    page = Tags(text)
    assert len(text) < 5_000_000 and "script" not in page.tags
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    assert not re.search(r"url\((?!#)", text) and text.count("<figure>") == page.tags.count(
        "svg"
    ) + page.tags.count("img")
    for question in QUESTIONS:
        assert question in text


def test_numbers_and_arrays(analysed):
    folder = analysed["parity"][1]
    found = json.loads((folder / "answers.json").read_text())["answers"]
    assert found["attractors"]["0"]["needed"] == found["attractors"]["1"]["needed"] == 2
    assert found["words"]["failing"] > 0  # it is untrained
    gradients = np.load(folder / "gradients.npz")["size_by_lag"]
    assert gradients.shape == (1, 24) and gradients[0, 0] == pytest.approx(1)
    assert found["cost"]["state"] == 8
    for name, answer in found.items():
        assert (folder / f"{name}.npz").exists() == ("answer" in answer)


def test_states_on_cycles():
    """By hand: 0 and 1 change places, 2 leads into them, 3 stays; and a cycle of three beside one of two."""
    assert words._recurrent(np.array([1, 0, 0, 3])) == (3, 2)
    assert words._recurrent(np.array([1, 2, 0, 4, 3])) == (5, 6)
    assert words._recurrent(np.array([0, 0, 0])) == (1, 1)


@pytest.mark.parametrize(
    "flags, sentence",
    [
        ([], "--workdir is missing"),
        (["--workdir=a", "--workdir=a"], "--workdir=a: stands there twice."),
        (["--workdir=a", "--seed=-1"], "--seed must be an integer from 0"),
        (["--workdir=a"], "a: "),
    ],
)
def test_bad_input(flags, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert analyze.main(["analyze.py", *flags]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
