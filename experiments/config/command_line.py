"""Reads a config from a command line."""

import dataclasses
import re

from absl import flags
from ml_collections import ConfigDict, config_flags

from configs.default import FIELDS
from experiments.config.fields import NAMES, check_names, explained, merge
from experiments.config.loading import config_names, load
from experiments.config.named_code import located
from experiments.errors import BadInput
from experiments.processes import cluster
from experiments.processes.cluster import Cluster
from experiments.program.absl_flags import bad, expanded
from experiments.program.caller import check_strays, folder_of


@dataclasses.dataclass(frozen=True)
class CommandLine:
    """Holds what a program was asked to do."""

    config: ConfigDict
    workdir: str
    dry_run: bool
    cluster: Cluster | None = None  # the processes that train it together, where they are several


def parse(argv: list[str], usage: str) -> CommandLine:
    """Reads --config=FILE[:VARIANT] --workdir=DIR [--dry_run] [--config.FIELD=VALUE ...].

    Raises: BadInput.
    """
    values = flags.FlagValues()
    flags.DEFINE_string("config", None, "a file of configs/, with :VARIANT or without", flag_values=values)
    flags.DEFINE_string("workdir", "", "the run's folder", flag_values=values)
    flags.DEFINE_bool("dry_run", False, "print what the run would cost; create nothing", flag_values=values)
    flags.DEFINE_bool("help", False, "show this text", short_name="h", flag_values=values)
    cluster.define(values)
    try:
        rest = values(argv, known_only=True)
        if values.help:
            raise SystemExit(print(usage, values.get_help(), explained(), sep="\n"))
        check_strays(rest[1:])
        if values.config is None:
            raise BadInput(f"--config is missing: it must name one of {', '.join(config_names())}.")
        config = load(expanded("--config", values.config))
    except flags.Error as error:
        raise _bad(error, values) from error
    config = located(overridden(config, rest[1:], values), folder_of(values.config))
    if not (values.workdir or values.dry_run):
        raise BadInput("--workdir is missing: it must name the folder of the run, such as runs/first.")
    return CommandLine(config, values.workdir, values.dry_run, cluster.asked(values))


def overridden(config: ConfigDict, words: list[str], known: flags.FlagValues | None = None) -> ConfigDict:
    """Returns the config with each --config.FIELD=VALUE of these words set; there may be no other words.

    known: the program's other flags, which an unknown one may have been meant for. Raises: BadInput.
    """
    argv = ["", *words]
    matches = (re.match(r"--?(?:no)?config\.([^=]*)", word) for word in argv)
    check_names(match[1] for match in matches if match)
    values = flags.FlagValues()
    try:
        config_flags.DEFINE_config_dict(
            "config",
            merge(config),
            flag_values=values,
            lock_config=False,
            accept_new_attributes=True,
            sys_argv=argv,
        )
        rest = values(argv)[1:]
    except flags.Error as error:
        raise _bad(error, values if known is None else known) from error
    if rest:
        raise BadInput(f"{rest[0]!r} is no flag: arguments look like --config.seed=1.")
    return values.config


def _bad(error: flags.Error, values: flags.FlagValues) -> BadInput:
    """Turns an error of absl into a BadInput, in our words where it is about the value of a field."""
    match = re.match(r"flag --config\.(\S+?)=(.*?): ", str(error), re.DOTALL)
    if match is None:
        return bad(error, values)
    kind = type(FIELDS[match[1]].usual if match[1] in NAMES else "").__name__
    return BadInput(f"config.{match[1]} must be of type {kind}, got {match[2]!r}.")
