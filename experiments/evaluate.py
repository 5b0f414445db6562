"""Measures what was learned at lengths far beyond the training length, from a run's checkpoint.

    scripts/run experiments/evaluate.py --workdir=runs/quickstart --lengths=64,128,256,512,1024
    scripts/run experiments/evaluate.py --workdir=runs/waves --generate=500

Fresh sequences of each length pass through the model in chunks of time, the state carried from one to the
next: one compiled program serves all lengths. Tasks that have an automaton also draw chunk by chunk, so that
memory does not grow with the length; others draw whole sequences. Outputs are free-running: no true output
feeds back. Leaves evaluation.json and evaluation.png in the workdir.

With --generate, a model whose task continues its sequences (each target is the next input) goes on by itself
behind test sequences of the trained length: text is printed beside the true one, a signal stands beside the
true one in generation.png; generation.json has the numbers. Classes are drawn from softmax(y), by --seed.
"""

import contextlib
import functools
import os
import shlex
import sys
import time
from typing import Any, NamedTuple

import jax
from absl import flags
from matplotlib.figure import Figure

from experiments.building.learners import OURS
from experiments.building.memory_limit import machine_memory
from experiments.config.fields import complete
from experiments.errors import BadInput, ending
from experiments.evaluation import generation
from experiments.evaluation.streaming import Options, Subject, measure, memory_drawn
from experiments.evaluation.table import as_json, heading, line
from experiments.figures.lengths import draw, trained_at
from experiments.program import plots
from experiments.program.absl_flags import parsed
from experiments.program.files import to_json, write
from experiments.run import jax_settings
from experiments.run.result_record import versions
from experiments.saved.learned import Learned, restore
from experiments.saved.workdir import Workdir
from r3nn._lookup import check_int

# Intervals.


class CommandLine(NamedTuple):
    """Holds what the command line asks for."""

    workdir: str
    lengths: list[int]
    generate: int
    step: int | None
    allow_code: bool
    options: Options


def parse(argv: list[str]) -> CommandLine:
    """Reads --workdir=DIR --lengths=64,128 and what --help names. Raises: BadInput, in one sentence."""
    values = flags.FlagValues()
    integer = functools.partial(flags.DEFINE_integer, flag_values=values)
    flags.DEFINE_string("workdir", None, "the folder of a run of experiments/train.py", flag_values=values)
    flags.DEFINE_string("lengths", None, "numbers of steps, with commas between", flag_values=values)
    integer("generate", 0, "steps to go on for behind test sequences, each output the next input")
    integer("sequences", Options().sequences, "sequences of each length")
    integer("batch", Options().batch, "sequences at a time; the numbers do not depend on it")
    integer("chunk", Options().chunk, "steps that are taken at once; the numbers do not depend on it")
    integer("seed", Options().seed, "of the sequences")
    integer("step", None, "the checkpoint after so many updates; by default the best")
    about = "run the Python files that the folder's config names; read them first where it is not your own"
    flags.DEFINE_bool("allow_code", False, about, flag_values=values)
    parsed(values, argv, __doc__, "--lengths=64,128")
    for name, there in (("workdir", values.workdir), ("lengths", values.lengths or values.generate)):
        if not there:
            raise BadInput(
                f"--{name} is missing: give --workdir=DIR --lengths=64,128,256, or --generate=500."
            )
    options = _checked(Options(*(values[name].value for name in Options._fields)), values.generate)
    lengths = _lengths(values.lengths) if values.lengths else []
    return CommandLine(values.workdir, lengths, values.generate, values.step, values.allow_code, options)


def _lengths(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    wrong = next((word for word in words if not (word.isascii() and word.isdecimal())), None)
    if wrong is not None:
        raise BadInput(f"--lengths={text}: {wrong!r} is no whole number; lengths look like 64,128,256.")
    lengths = sorted(map(int, words))
    twice = next((a for a, b in zip(lengths, lengths[1:], strict=False) if a == b), None)
    if twice is not None:
        raise BadInput(f"--lengths={text}: {twice} stands there twice.")
    return lengths


def _checked(options: Options, generate: int) -> Options:
    try:
        check_int("--generate", generate, 0, 10**6)
        check_int("--sequences", options.sequences, 2, 10**7)
        check_int("--batch", options.batch, 1)
        check_int("--chunk", options.chunk, 1)
        check_int("--seed", options.seed, 0, 2**32 - 1)
    except ValueError as error:
        raise BadInput(str(error)) from error
    return options._replace(batch=min(options.batch, options.sequences))


def main(argv: list[str]) -> int:
    """Does what a command line asks for -> the exit status."""
    return ending(lambda: _main(argv))


def _main(argv: list[str]) -> None:
    asked = parse(argv)
    place = Workdir(asked.workdir)
    config = complete(place.read_config())
    jax_settings.configure(config, cache=False)
    learned = restore(place.path, asked.step, asked.allow_code)
    subject = _subject(learned, asked) if asked.lengths else None
    prompts = generation.prompts(learned, asked.generate, asked.options.seed) if asked.generate else None
    with contextlib.suppress(BadInput):  # without a cache it takes longer
        jax_settings.use_cache(config)
    about = _about(learned, argv)
    if subject:
        _at_lengths(place, learned, subject, asked, about)
    if prompts:
        print(f"{_name(learned)}, {asked.workdir} after update {learned.step}, running free")
        found, figure = generation.run(learned, prompts, asked.generate, asked.options.seed)
        report = {**about, "seed": asked.options.seed, "steps": asked.generate, **found}
        _leave(place, "generation", report, figure)


def _at_lengths(place: Workdir, learned: Learned, subject: Subject, asked: CommandLine, about: dict):
    """Measures at each length, and leaves the report."""
    began = time.perf_counter()
    table = dict(_rows(learned, subject, asked))
    report = {
        **about,
        "trained_lengths": [*subject.streamed.trained],
        **asked.options._asdict(),
        "interval": "95% over sequences: Wilson's for fractions, normal for the others",
        "lengths": {
            str(length): {name: as_json(estimate) for name, estimate in row.items()}
            for length, row in table.items()
        },
        "seconds": round(time.perf_counter() - began, 3),
    }
    figure, (ax,) = plots.axes()
    draw(ax, table, report)
    _leave(place, "evaluation", report, figure)


def _subject(learned: Learned, asked: CommandLine) -> Subject:
    """Makes what is measured. Raises: BadInput where the learner has no sequences of these lengths."""
    streamed = learned.experiment.learner.streamed()
    if streamed is None:
        raise BadInput(
            f"--lengths: {_name(learned)}, by which {asked.workdir} was trained, has no sequences of other "
            "lengths: its `streamed` gives None."
        )
    arrays = jax.device_put(learned.experiment.arrays)
    subject = Subject(streamed, learned.params, learned.shared, arrays)
    _check_lengths(subject, asked)
    return subject


def _name(learned: Learned) -> str:
    """Says in a word what was learned."""
    config = learned.experiment.config
    return config.task.name if config.learner.name == OURS else os.path.basename(config.learner.name)


def _about(learned: Learned, argv: list[str]) -> dict[str, Any]:
    """Collects what any report says: of the run and of this command."""
    learner = learned.experiment.learner
    return {
        "task": _name(learned),
        "metric": learner.metric,
        "higher_is_better": learner.higher_is_better,
        "step": learned.step,
        "damaged": learned.damaged,
        "command": shlex.join(["scripts/run", "experiments/evaluate.py", *argv[1:]]),
        "device": jax.devices()[0].device_kind,
        "versions": versions(),
    }


def _check_lengths(subject: Subject, asked: CommandLine) -> None:
    """Raises BadInput for a length that there is not, or whose data the memory would not hold."""
    try:
        for length in asked.lengths:
            check_int("--lengths: a length of this task", length, subject.streamed.min_length, 2**30)
    except ValueError as error:
        raise BadInput(str(error)) from error
    needed, memory = memory_drawn(subject, asked.lengths[-1], asked.options), machine_memory()
    if needed > memory:
        by_piece = subject.streamed.block is not None
        held = "of any length" if by_piece else f"of {asked.lengths[-1]:,} steps"
        fits = memory // (needed // asked.lengths[-1] + 1)
        smaller = (
            "a smaller --batch or --chunk" if by_piece else f"a length up to {fits:,}, or a smaller --batch"
        )
        raise BadInput(
            f"--lengths: to draw {asked.options.batch} sequences {held} takes {needed / 2**30:,.1f} GiB, and "
            f"this machine has {memory / 2**30:,.1f} GiB: take {smaller}."
        )


def _rows(learned: Learned, subject: Subject, asked: CommandLine):
    """Yields (length, {metric: Estimate}) of each length, printed as it comes."""
    trained, sequences = trained_at(*subject.streamed.trained), asked.options.sequences
    print(
        f"{_name(learned)}, {asked.workdir} after update {learned.step}, trained at {trained} steps: "
        f"{sequences:,} sequences of each length"
    )
    for length in asked.lengths:
        row = measure(subject, length, asked.lengths[-1], asked.options)
        if length == asked.lengths[0]:
            print(heading(row))
        print(line(length, row), flush=True)
        yield length, row


def _leave(place: Workdir, name: str, report: dict[str, Any], figure: Figure | None) -> None:
    """Writes the report and its figure, each whole or not at all, and says where they are. Raises:
    NotSaved."""
    picture, numbers = (place.path / f"{name}.{kind}" for kind in ("png", "json"))
    if figure:
        plots.save(figure, picture)
    write(numbers, to_json(report))
    print("", numbers, *([picture] if figure else []), sep="\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
