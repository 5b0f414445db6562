"""Looks inside trained networks: where they break, how far gradients reach, what gates and states do.

    scripts/run experiments/analyze.py --workdir=runs/parity
    scripts/run experiments/analyze.py --workdir=runs/gru --workdir=runs/ugrnn

Each question is answered in a line, with how sure that is; one that has no answer for this network says why.
Leaves the folder analysis in the workdir: report.html, a page with the pictures, which no server and no
network has to help to open; answers.json; and a NAME.npz with the arrays behind each picture. Of several
workdirs, each has its answers, and the first a page of them all. The networks are looked at in float64, on a
few test sequences of up to 1,000 steps.
"""

import os
import shlex
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
from absl import flags

from experiments.analyses import cost, gate_values, gradients, states, words
from experiments.analyses.answer_page import Row, page
from experiments.analyses.subject import DoesNotApply, Question, Subject, subject_of
from experiments.config.fields import complete
from experiments.errors import BadInput, ending
from experiments.program.absl_flags import parsed
from experiments.program.files import make, replacing, to_json, write
from experiments.run import jax_settings
from experiments.run.result_record import versions
from experiments.saved.learned import restore
from experiments.saved.workdir import Workdir
from r3nn._lookup import check_int

QUESTIONS = (
    Question("words", "On which words does it fail?", words.failing),
    Question("attractors", "Which attractors does it have under each token?", words.under_tokens),
    Question("gradients", "How far do gradients reach?", gradients.reach),
    Question("lyapunov", "Do nearby states diverge or converge?", gradients.divergence),
    Question("gates", "Are its gates binary?", gate_values.binary),
    Question("states", "Can what has to be remembered be read from its state?", states.clouds),
    Question("noise", "How much noise on its state does it tolerate?", states.noise),
    Question("cost", "What does it cost?", cost.cost),
)
TRAINING = "How did its training go?"


class CommandLine(NamedTuple):
    """Holds what the command line asks for."""

    workdirs: list[str]
    step: int | None
    seed: int
    allow_code: bool


def parse(argv: list[str]) -> CommandLine:
    """Reads --workdir=DIR and what --help names. Raises: BadInput, in one sentence."""
    values = flags.FlagValues()
    about = "the folder of a run of experiments/train.py; may be given several times"
    flags.DEFINE_multi_string("workdir", None, about, flag_values=values)
    flags.DEFINE_integer(
        "step", None, "the checkpoint after so many updates; by default the best", flag_values=values
    )
    flags.DEFINE_integer("seed", 0, "of the test sequences", flag_values=values)
    about = "run the Python files that the folder's config names; read them first where it is not your own"
    flags.DEFINE_bool("allow_code", False, about, flag_values=values)
    parsed(values, argv, __doc__, "--workdir=runs/parity")
    if not values.workdir:
        raise BadInput("--workdir is missing: give --workdir=DIR, the folder of a run.")
    try:
        check_int("--seed", values.seed, 0, 2**32 - 1)
    except ValueError as error:
        raise BadInput(str(error)) from error
    twice = next((folder for folder in values.workdir if values.workdir.count(folder) > 1), None)
    if twice is not None:
        raise BadInput(f"--workdir={twice}: stands there twice.")
    return CommandLine(values.workdir, values.step, values.seed, values.allow_code)


def main(argv: list[str]) -> int:
    """Does what a command line asks for -> the exit status."""
    return ending(lambda: _main(argv))


def _main(argv: list[str]) -> None:
    asked = parse(argv)
    command = shlex.join(["scripts/run", "experiments/analyze.py", *argv[1:]])
    names = [os.path.basename(os.path.normpath(workdir)) for workdir in asked.workdirs]
    labels = names if len(set(names)) == len(names) else asked.workdirs
    runs: dict[str, list[Row]] = {}
    for number, (workdir, label) in enumerate(zip(asked.workdirs, labels, strict=True)):
        if number:
            print()
        place = Workdir(workdir)
        jax_settings.configure(complete(place.read_config()), cache=number == 0)
        learned = restore(place.path, asked.step, asked.allow_code)
        with jax.enable_x64(True):
            subject = subject_of(learned, label, asked.seed)
            print(f"{label}, after update {learned.step:,}")
            runs[label] = list(_answers(subject, workdir, place, command))
    report = Workdir(asked.workdirs[0]).path / "analysis" / "report.html"
    page(report, runs, command, versions())
    print("", report, sep="\n")


def _answers(subject: Subject, workdir: str, place: Workdir, command: str) -> Iterator[Row]:
    """Answers all questions, prints each answer as it comes, and leaves what it is made of."""
    folder, numbers = place.path / "analysis", {}
    make(folder)
    questions = [*QUESTIONS, Question("training", TRAINING, lambda subject: cost.training(subject, workdir))]
    for name, question, ask in questions:
        began = time.perf_counter()
        try:
            answer = ask(subject)
        except DoesNotApply as reason:
            print(f"{question} Does not apply, because {reason}.", flush=True)
            numbers[name] = {"question": question, "does_not_apply": str(reason)}
            yield Row(question, None, str(reason))
            continue
        print(f"{question} {answer.answer[0].upper()}{answer.answer[1:]}. ({answer.sure})", flush=True)
        numbers[name] = {
            **{"question": question, "answer": answer.answer, "sure": answer.sure},
            **{"seconds": round(time.perf_counter() - began, 1)},
            **answer.numbers,
        }
        if answer.arrays:
            with replacing(folder / f"{name}.npz") as file:
                np.savez_compressed(file, **answer.arrays)
        yield Row(question, answer)
    about = {"command": command, "step": subject.learned.step, "versions": versions(), "answers": numbers}
    write(folder / "answers.json", to_json(about))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
