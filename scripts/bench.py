"""Time and memory of r3nn against what it replaces: the same weights, outputs and gradients checked equal
first, runs in turns in one process, medians and ratios.

    scripts/run scripts/bench.py [--cases=gru,lstm] [--json=bench.json]

A ratio is a rival's time (or bytes) over r3nn's: above 1, r3nn is the better; of several contenders that
stand for one rival the best counts. Unless a case says otherwise, a row is one forward and backward pass of a
weighted sum of all outputs, for params and inputs, in f32, on (B, T, D, H). "Share of the matmul floor": the
time of the matrix products alone over ours. --json=FILE.json also draws FILE.png. Further peers:

    .venv/bin/python -m pip install -r scripts/requirements-peers.txt
"""

import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # a case in a process of its own needs room

import jax  # noqa: E402
from absl import app, flags, logging  # noqa: E402

from scripts.bench import CASES, Setup, peers, report, runner  # noqa: E402

DEFAULT = [name for name, case in CASES.items() if case.default]

flags.DEFINE_list("cases", DEFAULT, f"Which cases to run, of {', '.join(CASES)}; or all.")
flags.DEFINE_string("json", None, "Where to write the figures; a .png beside it shows them.")
flags.DEFINE_list("peers", list(peers.LIBRARIES), "Libraries to compare with, where installed.")
flags.DEFINE_integer("repeats", Setup().repeats, "Timed runs of each contender at most.", lower_bound=1)
flags.DEFINE_float("seconds", Setup().seconds, "Time for a row, after which three runs are enough.")
flags.DEFINE_integer("limit", None, "Cut every dimension to this, to try the program out.", lower_bound=1)
flags.DEFINE_integer("devices", None, "CPU devices, for a case in a process of its own.", lower_bound=1)


def main(argv):
    """Run the chosen cases; print rows as they come, then what each case amounts to."""
    values = flags.FLAGS
    chosen = list(CASES) if values.cases == ["all"] else values.cases
    for flag, given, known in (("cases", chosen, CASES), ("peers", values.peers, peers.LIBRARIES)):
        if unknown := sorted(set(given) - set(known)):
            raise app.UsageError(f"--{flag}: {', '.join(unknown)} unknown; there are {', '.join(known)}")
    if argv[1:]:
        raise app.UsageError(f"{argv[1]!r} is no flag")
    file = values.json and pathlib.Path(values.json)
    if file and not file.parent.is_dir():
        raise app.UsageError(f"--json: {file.parent} is no folder")
    if not values["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    first = values.devices is None  # not the process of one case
    if not first:
        jax.config.update("jax_num_cpu_devices", values.devices)
    there = peers.installed(values.peers)
    setup = Setup(values.repeats, values.seconds, values.limit, there)
    if first:
        print("  ".join(f"{key} {value}" for key, value in report.machine().items()))
        for name in sorted(set(values.peers) - set(there)):
            print(f"{name} is not installed: left out (scripts/requirements-peers.txt)")
    failures: dict[str, str] = {}
    cases = {}
    for name in chosen:
        cases[name] = runner.measure(name, setup, failures, spawn=first)
        if file:  # what stands is kept, whatever comes next
            runner.write(file, cases, failures)
    if first:
        print("", *(text for name, rows in cases.items() for text in report.summary(name, rows)), sep="\n")
        print(*(f"{name} FAILED: {sentence}" for name, sentence in failures.items()), sep="\n")
    if first and file:
        runner.draw(file)
    return bool(failures)


if __name__ == "__main__":
    app.run(main)
