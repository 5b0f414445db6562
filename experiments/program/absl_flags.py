"""Reads flags, and says in one sentence what a command line gets wrong."""

import os
import re
from collections.abc import Iterable

from absl import flags

from experiments.errors import BadInput
from r3nn._lookup import unknown

LONGEST = 200  # characters of what was given, in a sentence


def parsed(values: flags.FlagValues, argv: list[str], usage: str, example: str) -> flags.FlagValues:
    """Reads the flags of a command line, which may hold nothing else; --help prints `usage`, and ends.

    Raises: BadInput.
    """
    if rest := words(values, argv, usage):
        raise BadInput(f"{rest[0]!r} is no flag: arguments look like {example}.")
    return values


def words(values: flags.FlagValues, argv: list[str], usage: str) -> list[str]:
    """Reads the flags of a command line into `values` -> what is none; --help as for `parsed`.

    Raises: BadInput.
    """
    flags.DEFINE_bool("help", False, "show this text", short_name="h", flag_values=values)
    try:
        rest = values(argv)[1:]
    except flags.Error as error:
        raise bad(error, values) from error
    if values.help:
        raise SystemExit(print(usage, values.get_help(), sep="\n"))
    return rest


def expanded(flag: str, path: str | os.PathLike) -> str:
    """Returns a path with a home folder in place of its ~, as in a shell.

    Raises: BadInput for an unknown user.
    """
    whole = os.path.expanduser(path)
    if whole.startswith("~"):
        raise BadInput(f"{flag}={path}: no home folder is known for {whole.partition('/')[0]!r}.")
    return whole


def brief(text: str) -> str:
    """Shortens what was given until it fits into a sentence: of a long text it keeps the start."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def bad(error: flags.Error, values: flags.FlagValues, known: Iterable[str] = ()) -> BadInput:
    """Turns an error of absl into a BadInput.

    known: the names of the flags, by default all that `values` has.
    """
    if isinstance(error, flags.UnrecognizedFlagError):
        return BadInput(unknown("flag", error.flagname, known or _names(values)))
    match = re.match(r"flag --(\w+)=(.*?): ", str(error), re.DOTALL)
    if match is None or match[1] not in values:
        return BadInput(f"{str(error).rstrip('.')}.")
    parser = values[match[1]].parser
    wanted = "true or false" if isinstance(values[match[1]], flags.BooleanFlag) else parser.syntactic_help
    return BadInput(f"--{match[1]} must be {wanted}, got {match[2]!r}.")


def _names(values: flags.FlagValues) -> list[str]:
    return [name for name in values if len(name) > 1]  # -h is short for one
