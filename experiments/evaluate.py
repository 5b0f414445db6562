"""Measures what was learned at lengths far beyond the training length, from the checkpoints of runs.

    scripts/run experiments/evaluate.py --workdir=runs/quickstart --lengths=64,128,256,512,1024
    scripts/run experiments/evaluate.py --workdir=runs/s3 --workdir=runs/s3_1 --lengths=64,4096 --words=worst
    scripts/run experiments/evaluate.py --workdir=runs/s3 --lengths=64,128 --config.task.options.words=mixed
    scripts/run experiments/evaluate.py --workdir=runs/waves --generate=500

Fresh sequences of each length pass through the model in chunks of time, the state carried from one to the
next: one compiled program serves all lengths. Tasks that have an automaton also draw chunk by chunk, so that
memory does not grow with the length; others draw whole sequences. Outputs are free-running: no true output
feeds back. Leaves evaluation.json, evaluation.csv and evaluation.png in the workdir; of several, in each, and
evaluations.csv and evaluations.png, of all of them, in the first.

With --words=worst, where the task has an automaton, words are searched on which the model fails: periodic and
rare ones, which random sequences never are, and those that a beam search finds.

With --generate, a model whose task continues its sequences (each target is the next input) goes on by itself
behind test sequences of the trained length: text is printed beside the true one, a signal stands beside the
true one in generation.png; generation.json has the numbers. Classes are drawn from softmax(y), by --seed. Of
a chaotic signal a hundred free runs are judged: how long they follow the true one, and how chaotic they are.
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
from ml_collections import ConfigDict

from experiments.building.learners import OURS
from experiments.building.memory_limit import machine_memory
from experiments.config.fields import complete, first_difference
from experiments.errors import BadInput, ending
from experiments.evaluation import generation, worst_words
from experiments.evaluation.intervals import Estimate
from experiments.evaluation.other_task import divided, retasked
from experiments.evaluation.positions import Chance, chance, l99
from experiments.evaluation.streaming import Options, Subject, measure, memory_drawn
from experiments.evaluation.table import as_csv, as_json, heading, joint, line
from experiments.figures.lengths import Curve, draw, side_by_side, trained_at
from experiments.program import plots
from experiments.program.absl_flags import parsed
from experiments.program.files import to_json, write
from experiments.run import jax_settings
from experiments.run.result_record import versions
from experiments.saved.learned import Learned, restore
from experiments.saved.workdir import Workdir
from r3nn._lookup import check_int

WORDS = ("random", "worst")


class CommandLine(NamedTuple):
    """Holds what the command line asks for."""

    workdirs: list[str]
    lengths: list[int]
    generate: int
    words: str
    word_steps: int
    word_longest: int
    step: int | None
    allow_code: bool
    options: Options
    task_options: list[str]  # words --config.task.options.NAME=VALUE


class Run(NamedTuple):
    """Holds one of the runs, read and found fit for what is asked."""

    workdir: str  # as the command line names it
    label: str
    place: Workdir
    config: ConfigDict
    learned: Learned
    subject: Subject | None  # None: no lengths are asked for
    chance: Chance | None
    prompts: generation.Prompts | None


def parse(argv: list[str]) -> CommandLine:
    """Reads --workdir=DIR --lengths=64,128 and what --help names. Raises: BadInput, in one sentence."""
    argv, task_options = divided(argv)
    values = flags.FlagValues()
    integer = functools.partial(flags.DEFINE_integer, flag_values=values)
    about = "the folder of a run of experiments/train.py; may be given several times"
    flags.DEFINE_multi_string("workdir", None, about, flag_values=values)
    flags.DEFINE_string("lengths", None, "numbers of steps, with commas between", flag_values=values)
    about = "worst: also search the words on which the model fails, where the task has an automaton"
    flags.DEFINE_enum("words", "random", WORDS, about, flag_values=values)
    integer("word_steps", 5000, "steps of the worst words")
    integer("word_longest", 2, "the most tokens of u and of v in the words u v v v ...")
    integer("generate", 0, "steps to go on for behind test sequences, each output the next input")
    integer("sequences", Options().sequences, "sequences of each length")
    integer("batch", Options().batch, "sequences at a time; the numbers do not depend on it")
    integer("chunk", Options().chunk, "steps that are taken at once; the numbers do not depend on it")
    integer("seed", Options().seed, "of the sequences, and of the worst words")
    integer("step", None, "the checkpoint after so many updates; by default the best")
    about = "run the Python files that the folder's config names; read them first where it is not your own"
    flags.DEFINE_bool("allow_code", False, about, flag_values=values)
    parsed(values, argv, __doc__, "--lengths=64,128")
    anything = values.lengths or values.generate or values.words == "worst"
    for name, there in (("workdir", values.workdir), ("lengths", anything)):
        if not there:
            raise BadInput(
                f"--{name} is missing: give --workdir=DIR --lengths=64,128,256, or --words=worst, or "
                "--generate=500."
            )
    options = _checked(Options(*(values[name].value for name in Options._fields)), values)
    return CommandLine(
        _folders(values.workdir),
        _lengths(values.lengths) if values.lengths else [],
        values.generate,
        values.words,
        values.word_steps,
        values.word_longest,
        values.step,
        values.allow_code,
        options,
        task_options,
    )


def _folders(workdirs: list[str]) -> list[str]:
    twice = next((folder for folder in workdirs if workdirs.count(folder) > 1), None)
    if twice is not None:
        raise BadInput(f"--workdir={twice}: stands there twice.")
    return workdirs


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


def _checked(options: Options, values: flags.FlagValues) -> Options:
    try:
        check_int("--generate", values.generate, 0, 10**6)
        check_int("--word_steps", values.word_steps, 1, 10**6)
        check_int("--word_longest", values.word_longest, 1, 100)
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
    labels = _labels(asked.workdirs)
    runs = [_read(workdir, label, asked) for workdir, label in zip(asked.workdirs, labels, strict=True)]
    if asked.lengths:
        _check_one_headline(runs)
    with contextlib.suppress(BadInput):  # without a cache it takes longer
        jax_settings.use_cache(runs[0].config)
    curves = []
    for number, run in enumerate(runs):
        if number:
            print()
        jax_settings.configure(run.config, cache=False)
        about = _about(run.learned, argv)
        if asked.lengths or asked.words == "worst":
            curves.append(_evaluated(run, asked, about))
        if run.prompts:
            _generated(run, asked, about)
    if asked.lengths and len(runs) > 1:
        _join(runs, curves)


def _labels(workdirs: list[str]) -> list[str]:
    """Returns the names of the folders, where no two have one name; else their paths."""
    names = [os.path.basename(os.path.normpath(workdir)) for workdir in workdirs]
    return names if len(set(names)) == len(names) else workdirs


def _read(workdir: str, label: str, asked: CommandLine) -> Run:
    """Reads a run, and checks what is asked of it. Raises: BadInput, NotRead."""
    place = Workdir(workdir)
    config = complete(place.read_config())
    jax_settings.configure(config, cache=False)
    learned = retasked(
        restore(place.path, asked.step, asked.allow_code), asked.task_options, asked.allow_code
    )
    if asked.words == "worst":
        worst_words.answers(learned)
    subject = _subject(learned, workdir, asked) if asked.lengths else None
    scale = chance(subject.streamed, asked.lengths) if subject else None
    prompts = generation.prompts(learned, asked.generate, asked.options.seed) if asked.generate else None
    return Run(workdir, label, place, config, learned, subject, scale, prompts)


def _check_one_headline(runs: list[Run]) -> None:
    first = runs[0].learned.experiment.learner.metric
    for run in runs[1:]:
        if (other := run.learned.experiment.learner.metric) != first:
            raise BadInput(
                f"--workdir={run.workdir}: its headline metric is {other}, that of {runs[0].workdir} is "
                f"{first}; one table has one."
            )


def _evaluated(run: Run, asked: CommandLine, about: dict[str, Any]) -> Curve:
    """Measures a run at each length and on the worst words, as asked, and leaves the report."""
    began, learned, place = time.perf_counter(), run.learned, run.place
    table = dict(_rows(run, asked)) if run.subject else {}
    report = {
        **about,
        "trained_lengths": [*run.subject.streamed.trained] if run.subject else None,
        **asked.options._asdict(),
        "interval": "95% over sequences: Wilson's for fractions, normal for the others",
        "chance": run.chance and run.chance._asdict(),
        "task_options": learned.experiment.config.task.options.to_dict(),
        "lengths": {
            str(length): {name: as_json(estimate) for name, estimate in row.items()}
            for length, row in table.items()
        },
    }
    if run.chance:
        report["l99"] = {"random": l99(table, about["metric"]), "worst": None}
    if asked.words == "worst":
        report |= _worst(run, asked, report, bool(table))
    report["seconds"] = round(time.perf_counter() - began, 3)
    figure = None
    if table:
        figure, (ax,) = plots.axes()
        draw(ax, table, report)
        write(place.path / "evaluation.csv", as_csv({run.label: table}))
    _leave(place, "evaluation", report, figure, also=("csv",) if table else ())
    return Curve(table, report, run.label)


def _worst(run: Run, asked: CommandLine, report: dict[str, Any], space: bool) -> dict[str, Any]:
    """Searches the worst words, and prints what was found -> what the report says of it."""
    task = run.learned.experiment.learner.task
    if space:
        print()
    print(f"{_name(run.learned)}, {run.workdir} after update {run.learned.step}: words on which it fails")
    found = worst_words.search(
        run.learned, steps=asked.word_steps, longest=asked.word_longest, seed=asked.options.seed
    )
    print(*worst_words.lines(found, task), sep="\n")
    periodic = found.families.get("periodic")
    worst = periodic.right_to() if periodic else None
    random = report.get("l99", {}).get("random")
    if worst is not None:
        print(f"99% right: {_up_to(random, report['metric'], asked)}words u v^n to {worst:,} steps")
    words = {"seed": asked.options.seed, "longest": asked.word_longest, **worst_words.as_json(found, task)}
    return {"l99": {"random": random, "worst": worst}, "worst_words": words}


def _up_to(random: int | None, metric: str, asked: CommandLine) -> str:
    """Says how far the sequences that the task draws are right, as far as it was measured."""
    if not asked.lengths:
        return ""
    how = "at no length measured" if random is None else f"to {random:,} of {asked.lengths[-1]:,} steps"
    return f"drawn sequences ({metric.replace('_', ' ')}) {how}, "


def _generated(run: Run, asked: CommandLine, about: dict[str, Any]) -> None:
    print(f"{_name(run.learned)}, {run.workdir} after update {run.learned.step}, running free")
    found, figure = generation.run(run.learned, run.prompts, asked.generate, asked.options.seed)
    report = {**about, "seed": asked.options.seed, "steps": asked.generate, **found}
    _leave(run.place, "generation", report, figure)


def _join(runs: list[Run], curves: list[Curve]) -> None:
    """Prints and leaves one table and one figure of all runs."""
    tables, place = {curve.label: curve.table for curve in curves}, runs[0].place
    print("", *joint(tables, curves[0].report["metric"]), sep="\n")
    groups: list[tuple[ConfigDict, list[Curve]]] = []
    for run, curve in zip(runs, curves, strict=True):
        config = ConfigDict(run.config.to_dict() | {"seed": 0})
        same = next((group for other, group in groups if first_difference(config, other) is None), None)
        if same is None:
            groups.append((config, same := []))
        same.append(curve)
    picture, numbers = (place.path / f"evaluations.{kind}" for kind in ("png", "csv"))
    plots.save(side_by_side([group for _, group in groups]), picture)
    write(numbers, as_csv(tables))
    print("", numbers, picture, sep="\n")


def _subject(learned: Learned, workdir: str, asked: CommandLine) -> Subject:
    """Makes what is measured. Raises: BadInput where the learner has no sequences of these lengths."""
    streamed = learned.experiment.learner.streamed()
    if streamed is None:
        raise BadInput(
            f"--lengths: {_name(learned)}, by which {workdir} was trained, has no sequences of other "
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


def _rows(run: Run, asked: CommandLine):
    """Yields (length, {metric: Estimate}) of each length, printed as it comes."""
    subject, learned, sequences = run.subject, run.learned, asked.options.sequences
    trained = trained_at(*subject.streamed.trained)
    print(
        f"{_name(learned)}, {run.workdir} after update {learned.step}, trained at {trained} steps: "
        f"{sequences:,} sequences of each length"
    )
    scale = run.chance and run.chance.value
    for length in asked.lengths:
        row: dict[str, Estimate] = measure(subject, length, asked.lengths[-1], asked.options, scale)
        if length == asked.lengths[0]:
            print(heading(row))
        print(line(length, row), flush=True)
        yield length, row


def _leave(
    place: Workdir, name: str, report: dict[str, Any], figure: Figure | None, also: tuple[str, ...] = ()
) -> None:
    """Writes the report and its figure, each whole or not at all, and says where they are. Raises:
    NotSaved.

    also: kinds of files of this name that are there already.
    """
    picture, numbers = (place.path / f"{name}.{kind}" for kind in ("png", "json"))
    if figure:
        plots.save(figure, picture)
    write(numbers, to_json(report))
    others = [place.path / f"{name}.{kind}" for kind in also]
    print("", numbers, *others, *([picture] if figure else []), sep="\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
