"""Searches for the words on which a run fails, and says in words what was found."""

import dataclasses
from typing import Any

import numpy as np

from experiments.errors import BadInput
from experiments.saved.learned import Learned
from r3nn import training
from r3nn.analysis import Answers, FailingWords, Failure, failing_words
from r3nn.model import Model
from r3nn.tasks import Task

BRIEF = 40  # tokens of a word that is printed; a loop is printed once


def answers(learned: Learned) -> Answers:
    """Returns the model, asked at every step. Raises: BadInput where there is nothing to be searched."""
    learner = learned.experiment.learner
    model = getattr(learner, "model", None)
    if not isinstance(learner, training.Supervised) or learner.task.automaton() is None:
        raise BadInput("--words=worst: only a task with an automaton says what is right on any word.")
    if not isinstance(model, Model) or model.predict == "mean":
        raise BadInput(
            "--words=worst: there is no model that can be asked at every step: none of predict=mean."
        )
    model = dataclasses.replace(model, predict="every")
    return Answers(lambda params, size: model.start(params, (size,)), model.chunk)


def search(learned: Learned, **options: int) -> FailingWords:
    """Searches words by the options of `failing_words`."""
    machine = learned.experiment.learner.task.automaton()
    return failing_words(machine, answers(learned), learned.params, **options)


def lines(found: FailingWords, task: Task) -> list[str]:
    """Writes a line for each family, and one for the shortest word of all that fails."""
    said = [f"{'words':>12}  {'tried':>8}  {'failing':>8}  {'share':>8}  {'steps':>7}  {'99% right to':>12}"]
    for name, family in found.families.items():
        share, to = f"{family.share:.4f}", "" if name == "beam" else f"{family.right_to():12}"
        numbers = f"{family.tried:8}  {family.failing:8}  {share:>8}  {family.steps:7}"
        said.append(f"{name:>12}  {numbers}  {to}".rstrip())
    worst = found.shortest
    if worst is None:
        return [*said, "no failing word was found"]
    return [
        *said,
        f"shortest failing word: {written(worst, task)}",
        f"after its {len(worst.tokens):,} tokens {worst.right} is right and {worst.answer} is answered, also "
        "when it is replayed alone",
    ]


def written(failure: Failure, task: Task) -> str:
    """Writes a word as u (v)^n and the rest, or, where nothing repeats, token by token."""
    tokens, before, period = failure.tokens, failure.before, failure.period
    times = (len(tokens) - before) // period if period else 0
    decode = lambda tokens: task.decode(np.asarray(tokens))
    if times < 2 or period > BRIEF:
        more = f" ... of {len(tokens):,} tokens" if len(tokens) > BRIEF else ""
        return f"{decode(tokens[:BRIEF])}{more}"
    loop = f"({decode(tokens[before : before + period])})^{times}"
    parts = (decode(tokens[:before]), loop, decode(tokens[before + times * period :]))
    return " ".join(filter(None, parts))


def as_json(found: FailingWords, task: Task) -> dict[str, Any]:
    """Returns what was found, for evaluation.json."""
    worst = found.shortest
    families = {
        name: {
            **{field: getattr(family, field) for field in ("tried", "failing", "share", "steps")},
            "first_failing_step": int(family.first[0]) if family.failing else None,
            "right_to": {"0.99": family.right_to()} if name != "beam" else None,
        }
        for name, family in found.families.items()
    }
    shortest = worst and {
        **worst._asdict(),
        "family": next(name for name, family in found.families.items() if family.shortest is worst),
        "tokens": worst.tokens.tolist(),
        "written": written(worst, task),
    }
    return {"families": families, "shortest": shortest}
