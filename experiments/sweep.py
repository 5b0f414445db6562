"""Tries the values that a config file's get_sweep() declares, each run in a folder of its own.

    scripts/run experiments/sweep.py --config=configs/quickstart_sweep.py --workdir=runs/sweep --workers=2
    scripts/run experiments/sweep.py --config=configs/quickstart_sweep.py --workdir=runs/sweep --dry_run

The same command goes on where a killed sweep stopped. With --storage=postgresql://user@host/name (or any
other server that SQLAlchemy knows), the same command on each of many machines joins one sweep. The password
belongs in ~/.pgpass or PGPASSWORD, or the whole URL in R3NN_STORAGE: all on a machine can read command lines.
--config.FIELD=VALUE changes the config of all runs. experiments/errors.py lists the exit statuses.
"""

import re
import sys

from absl import flags

from experiments import errors
from experiments.config.fields import explained
from experiments.config.named_code import NAMED
from experiments.errors import BadInput
from experiments.program.absl_flags import bad, expanded
from experiments.program.caller import check_strays, located
from experiments.sweeps.request import CommandLine
from experiments.sweeps.secrets import MARK, hide
from r3nn._lookup import check_choice, check_int, unknown

SAMPLERS = ("tpe", "random", "qmc", "nsgaii", "cmaes", "gp")
PRUNERS = ("none", "median", "percentile", "halving", "hyperband")
#: what Python is called with, to be a worker
WORKER = ("-c", "import sys; from experiments.sweep import work; sys.exit(work())")


def main(argv: list[str]) -> int:
    """Does what a command line asks for -> the exit status."""
    return errors.ending(lambda: _main(argv))


def _main(argv: list[str]) -> None:
    asked = parse(located(argv, NAMED))
    # Imported late: what is above answers --help and a misspelt flag at once.
    from experiments.run import services
    from experiments.sweeps import launch

    launch.launch(asked, services, WORKER)


def work() -> int:
    """Does what a worker's process is started for -> the exit status."""
    from experiments.run import services
    from experiments.sweeps import worker

    return worker.main(services)


def parse(argv: list[str]) -> CommandLine:
    """Reads --config=FILE[:VARIANT] --workdir=DIR and what --help names. Raises: BadInput, in one
    sentence."""
    values = _flags()
    try:
        rest = values(argv, known_only=True)[1:]
    except flags.Error as error:
        raise BadInput(hide(str(bad(error, values)))) from None
    if values.help:
        raise SystemExit(print(__doc__, values.get_help(), explained(), sep="\n"))
    check_strays(rest)
    for word in rest:
        if not re.match(r"--?(no)?config\.", word):
            raise _stray(word)
    if not values.config:
        raise BadInput(
            "--config is missing: it must name a file with get_sweep(), as configs/quickstart_sweep.py."
        )
    if not (values.workdir or values.dry_run):
        raise BadInput("--workdir is missing: it must name the folder of the sweep, such as runs/sweep.")
    named = {name: values[name].value for name in CommandLine._fields[:-1]}
    named |= {name: expanded(f"--{name}", named[name]) for name in ("config", "workdir")}
    return _checked(CommandLine(**named, overrides=tuple(rest)))


def _flags() -> flags.FlagValues:
    values = flags.FlagValues()
    string, integer, boolean = (
        lambda *args, make=make, **more: make(*args, flag_values=values, **more)
        for make in (flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_bool)
    )
    string("config", None, "a file of configs/ that has get_sweep(), with :VARIANT or without")
    string("workdir", "", "the sweep's folder")
    integer("workers", 1, "processes on this machine")
    integer("trials", None, "configurations to sample (16), each with every value of the grids")
    string(
        "sampler",
        "tpe",
        f"of configurations: {', '.join(SAMPLERS)}; the last two need a package that is not among ours",
    )
    string("pruner", "none", f"ends what does badly: {', '.join(PRUNERS)}")
    string("storage", "", "URL of a server that all machines reach; by default R3NN_STORAGE's, or a file")
    integer("together", 0, "runs of one architecture that a worker trains side by side; 0: chosen")
    integer("seed", 0, "of the sampler")
    boolean("dry_run", False, "print the plan; create nothing")
    boolean("help", False, "show this text", short_name="h")
    return values


def _stray(word: str) -> BadInput:
    match = re.match(r"--?([^=]+)", word)
    if match is None:
        told = MARK if "@" in word else hide(word)  # it may be the rest of a URL with a space in it
        return BadInput(f"{told!r} is no flag: arguments look like --workers=2.")
    return BadInput(unknown("flag", match[1], (*CommandLine._fields[:-1], "help")))


def _checked(asked: CommandLine) -> CommandLine:
    try:
        check_int("--workers", asked.workers, 1, 1024)
        check_int("--together", asked.together, 0, 4096)
        check_int("--seed", asked.seed, 0, 2**32 - 1)
        if asked.trials is not None:
            check_int("--trials", asked.trials, 1, 10**6)
        check_choice("--sampler", asked.sampler, SAMPLERS)
        check_choice("--pruner", asked.pruner, PRUNERS)
    except ValueError as error:
        raise BadInput(str(error)) from error
    return asked


if __name__ == "__main__":
    sys.exit(main(sys.argv))
