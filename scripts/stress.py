"""Kills a tiny run at random moments (SIGKILL), starts it again, many times: is the outcome always the same?

    scripts/run scripts/stress.py --cycles=1000

A cycle is one process of experiments/train.py that begins or goes on with a run, and is killed, unless it
ends before. A run that has ended is compared with one that nothing interrupted: the bits of parameters and
optimizer state in every checkpoint that is kept, the lines of metrics.jsonl (but for their seconds) and the
numbers of the result. Prints what it finds, and at which moments the kills fell. Exit status: 0, or 1 where
anything differs.
"""

import collections
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from absl import flags

from experiments.errors import BadInput, ending
from experiments.program.absl_flags import expanded, parsed
from r3nn._lookup import check_int
from scripts._killed import MOMENTS, child, children, command, outcome, verify

#: from which moment on a kill waits, and how many of 20 kills do
FROM = {"starting": 4, "updating": 13, "finishing": 3}
FRESH = 50  # every so many runs the cache of compiled programs is empty


class Kill(NamedTuple):
    """Says where a kill fell."""

    moment: str
    saved: bool  # whether there was a checkpoint

    def __str__(self):
        return f"{self.moment}, {'after' if self.saved else 'before'} the first checkpoint"


class Options(NamedTuple):
    """Says how often, where and from which random numbers to kill."""

    cycles: int
    workdir: str
    seed: int


def uninterrupted(workdir: Path, cache: Path) -> dict[str, float]:
    """Makes a run -> the seconds that each of FROM lasts."""
    with child(command(workdir, cache)) as (process, moment):
        times = [time.monotonic()]
        for name in [*FROM][1:]:
            wait(process, moment, name)
            times.append(time.monotonic())
        process.join()
        times.append(time.monotonic())
    if process.exitcode != 0:
        raise RuntimeError(f"the run ended with status {process.exitcode}.")
    return {name: end - begin for name, begin, end in zip(FROM, times, times[1:], strict=False)}


def wait(process, moment, name: str) -> None:
    """Waits until a process has come to a moment, or to a later one of FROM, or has ended."""
    awaited = [MOMENTS.index(later) for later in [*FROM][[*FROM].index(name) :]]
    while awaited and moment.value not in awaited and process.is_alive():
        time.sleep(0.0005)


def cycle(workdir: Path, cache: Path, times: dict[str, float] | None, dice: random.Random) -> Kill | int:
    """Runs one process -> where it was killed, or its exit status.

    times: None, where it shall not be killed.
    """
    with child(command(workdir, cache)) as (process, moment):
        if times:
            start = dice.choices([*FROM], [*FROM.values()])[0]
            if start != "starting":
                wait(process, moment, start)
            process.join(dice.uniform(0, times[start]))
            process.kill()
        process.join()
    if process.exitcode != -signal.SIGKILL:
        return process.exitcode
    return Kill(MOMENTS[moment.value], any(workdir.glob("checkpoints/*/commit_success.txt")))


class Tally:
    """Counts what has been seen."""

    def __init__(self):
        self.kills: collections.Counter[Kill] = collections.Counter()
        self.runs, self.cycles, self.differences = 0, 0, []

    def __str__(self):
        return (
            f"{self.cycles} cycles: {self.kills.total()} kills, {self.runs} runs ended, "
            f"{len(self.differences)} differences"
        )

    def table(self) -> str:
        """Writes where the kills fell."""
        rows = sorted(self.kills.items(), key=lambda row: (row[0].saved, MOMENTS.index(row[0].moment)))
        return "\n".join(f"{count:7}  {kill}" for kill, count in rows)


def stress(options: Options, folder: Path) -> Tally:
    """Runs so many cycles, and as many more as the last run needs to end without being killed."""
    tally, dice, cache = Tally(), random.Random(options.seed), folder / "cache"
    children.set_forkserver_preload(["experiments.train", "experiments.run.training"])
    uninterrupted(folder / "first", cache)
    times = uninterrupted(folder / "whole", cache)
    expected = outcome(folder / "whole")
    print("seconds of a run:", {name: round(seconds, 2) for name, seconds in times.items()}, flush=True)
    while tally.cycles < options.cycles:
        if tally.runs % FRESH == FRESH - 1:
            shutil.rmtree(cache)
        one(folder / "run", cache, times, dice, tally, options.cycles)
        found = outcome(folder / "run")
        wrong = [name for name in expected if found[name] != expected[name]]
        if verify(folder / "run"):
            wrong.append("a damaged checkpoint")
        if wrong:
            tally.differences.append(wrong)
            kept = shutil.move(folder / "run", folder / f"different{len(tally.differences)}")
            print(f"{kept}: {', '.join(wrong)}", flush=True)
        else:
            shutil.rmtree(folder / "run")
        tally.runs += 1
        print(tally, flush=True)
    return tally


def one(workdir: Path, cache: Path, times, dice: random.Random, tally: Tally, most: int) -> None:
    """Kills one run and starts it again until it has ended; kills it no more after `most` cycles."""
    ended = None
    while ended != 0:
        ended = cycle(workdir, cache, times if tally.cycles < most else None, dice)
        tally.cycles += 1
        if isinstance(ended, Kill):
            tally.kills[ended] += 1
        elif ended != 0:
            raise RuntimeError(f"{workdir}: a process ended with status {ended}.")


def parse(argv: list[str]) -> Options:
    """Reads the flags. Raises: BadInput."""
    values = flags.FlagValues()
    flags.DEFINE_integer("cycles", 1000, "processes to start", flag_values=values)
    flags.DEFINE_string("workdir", "", "a new folder, which is kept; by default none is", flag_values=values)
    flags.DEFINE_integer("seed", 0, "of the moments", flag_values=values)
    parsed(values, argv, __doc__, "--cycles=1000")
    try:
        check_int("--cycles", values.cycles, 1)
    except ValueError as error:
        raise BadInput(str(error)) from error
    workdir = expanded("--workdir", values.workdir)
    if workdir and Path(workdir).exists():
        raise BadInput(f"--workdir={workdir}: exists; it must be a name for a new folder.")
    return Options(values.cycles, workdir, values.seed)


def main(argv: list[str]) -> int:
    """Does what a command line asks for -> the exit status."""
    tally = Tally()

    def program() -> None:
        nonlocal tally
        options = parse(argv)
        with tempfile.TemporaryDirectory() as folder:
            tally = stress(options, Path(options.workdir or folder).absolute())
        print(tally, "kills fell:", tally.table(), sep="\n")

    return ending(program) or bool(tally.differences)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
