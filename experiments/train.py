"""Trains what a config describes, or goes on where an earlier run in the same folder stopped.

    scripts/run experiments/train.py --config=configs/quickstart.py --workdir=runs/quickstart
    scripts/run experiments/train.py --config=configs/adding.py:full --workdir=runs/full --config.seed=1
    scripts/run experiments/train.py --config=configs/quickstart.py --dry_run

Several processes, each with the same command but for its number, train one run (experiments/SCALING.md):

    scripts/run experiments/train.py --config=... --workdir=... \\
        --coordinator=HOST:PORT --processes=2 --process=0

--help prints every field that --config.FIELD=VALUE can set, as configs/default.py declares it;
experiments/errors.py lists the exit statuses.
"""

import shlex
import sys

from experiments import errors
from experiments.config.command_line import parse
from experiments.config.named_code import NAMED
from experiments.program.caller import located


def main(argv: list[str]) -> int:
    """Does what a command line asks for -> the exit status."""
    return errors.ending(lambda: _main(argv))


def _main(argv: list[str]) -> None:
    argv = located(argv, NAMED)
    asked = parse(argv, usage=__doc__)
    # Imported late: what is above answers --help and a misspelt flag at once.
    from experiments.processes import joining
    from experiments.run.dry_run import dry_run
    from experiments.run.training import run

    if asked.dry_run:
        dry_run(asked.config)
    else:
        command = shlex.join(["scripts/run", "experiments/train.py", *argv[1:]])
        with joining.joined(asked.cluster):
            run(asked.config, asked.workdir, command)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
