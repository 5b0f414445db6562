"""Time and memory of r3nn against what it replaces.

With the same weights; outputs and gradients are checked equal first. Runs in turns in one process, medians
and ratios.

    scripts/run scripts/bench.py [--cases=gru,lstm] [--json=bench.json]

A ratio is a rival's time (or bytes) over r3nn's: above 1, r3nn is the better; of several contenders that
stand for one rival the best counts. Unless a case says otherwise, a row is one forward and backward pass of a
weighted sum of all outputs, for params and inputs, in f32, on (B, T, D, H). "Share of the matmul floor": the
time of the matrix products alone over ours. --json=FILE.json also draws FILE.png. Further peers:

    .venv/bin/python -m pip install -r scripts/requirements-peers.txt
"""

import math
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # a case in a process of its own needs room

import jax  # noqa: E402
from absl import flags, logging  # noqa: E402

from experiments.errors import BadInput, ending
from experiments.program.absl_flags import expanded, parsed
from r3nn._lookup import check_int, unknown  # noqa: E402
from scripts.bench import CASES, Setup, peers, report, runner  # noqa: E402


def main(argv: list[str]) -> int:
    """Does what a command line asks for -> the exit status: 1 where a case failed."""
    failures: dict[str, str] = {}
    return ending(lambda: measure(parse(argv), failures)) or bool(failures)


def parse(argv: list[str]) -> flags.FlagValues:
    """Reads the flags, and checks them. Raises: BadInput."""
    values = parsed(define(), argv, __doc__, "--cases=gru,lstm")
    if values.cases == ["all"]:
        values.cases = list(CASES)
    check(values)
    return values


def define() -> flags.FlagValues:
    """Defines the flags, with their defaults."""
    default, setup = [name for name, case in CASES.items() if case.default], Setup()
    values = flags.FlagValues()
    add = lambda kind, *flag: getattr(flags, f"DEFINE_{kind}")(*flag, flag_values=values)
    add("list", "cases", default, f"which cases to run, of {', '.join(CASES)}; or all")
    add("string", "json", None, "a file for the figures; a .png beside it shows them")
    add("list", "peers", list(peers.LIBRARIES), "libraries to compare with, where installed")
    add("integer", "repeats", setup.repeats, "timed runs of each contender at most")
    add("float", "seconds", setup.seconds, "time for a row, after which three runs are enough")
    add("integer", "limit", None, "cut every dimension to this, to try the program out")
    add("integer", "devices", None, "CPU devices, for a case in a process of its own")
    return values


def check(values: flags.FlagValues) -> None:
    """Raises BadInput for a name or number that there is not, or a file that cannot be."""
    for flag, known in (("cases", CASES), ("peers", peers.LIBRARIES)):
        for name in values[flag].value:
            if name not in known:
                raise BadInput(f"--{flag}: {unknown('name', name, known)}")
    if not values.cases:
        raise BadInput(f"--cases is empty: it must name some of {', '.join(CASES)}; or all.")
    try:
        for flag in ("repeats", "limit", "devices"):
            if values[flag].value is not None:
                check_int(f"--{flag}", values[flag].value, 1)
    except ValueError as error:
        raise BadInput(str(error)) from error
    if not 0 <= values.seconds < math.inf:
        raise BadInput(f"--seconds must be a number from 0 on, got {values.seconds}.")
    if values.json:
        values.json = expanded("--json", values.json)
        check_file(pathlib.Path(values.json))


def check_file(file: pathlib.Path) -> None:
    """Raises BadInput where it cannot be written."""
    if file.is_dir():
        raise BadInput(f"--json={file}: is a folder; it must name a file.")
    try:
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise BadInput(f"--json={file}: {file.parent} is no folder that can be written to.") from error


def measure(values: flags.FlagValues, failures: dict[str, str]) -> None:
    """Runs the chosen cases; prints rows as they come, then what each case amounts to."""
    logging.set_verbosity(logging.WARNING)
    file = values.json and pathlib.Path(values.json)
    first = values.devices is None  # not the process of one case
    if not first:
        jax.config.update("jax_num_cpu_devices", values.devices)
    there = peers.installed(values.peers)
    setup = Setup(values.repeats, values.seconds, values.limit, there)
    if first:
        print("  ".join(f"{key} {value}" for key, value in report.machine().items()))
        for name in sorted(set(values.peers) - set(there)):
            print(f"{name} is not installed: left out (scripts/requirements-peers.txt)")
    cases = {}
    for name in values.cases:
        cases[name] = runner.measure(name, setup, failures, spawn=first)
        if file:  # what stands is kept, whatever comes next
            runner.write(file, cases, failures)
    if first:
        print("", *(text for name, rows in cases.items() for text in report.summary(name, rows)), sep="\n")
        print(*(f"{name} FAILED: {sentence}" for name, sentence in failures.items()), sep="\n")
    if first and file:
        runner.draw(file)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
