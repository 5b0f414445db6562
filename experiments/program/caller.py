"""Finds the files of a command line: in the folder of who types it, or else where the program runs.

`scripts/run` starts programs in the root of the repository, and passes on the folder that it was called from.
"""

import itertools
import os
import re
from collections.abc import Iterable

from experiments.errors import BadInput
from experiments.program.absl_flags import brief

CALLER = "R3NN_CALLER"  # of the environment
#: FILE.py, with :VARIANT or :VALUE or without
FILE = re.compile(r"(?P<file>.+\.py)(?P<rest>:.*)?", re.DOTALL)


def located(argv: list[str], fields: tuple[str, ...]) -> list[str]:
    """Returns a command line in which the Python files of the caller's folder have absolute paths.

    So a run's own record, and the command that repeats it, find them from anywhere. fields: of the config,
    those that may name a file. Raises: BadInput for a file that is neither there nor in the working folder.
    """
    flags = {"config", *(f"config.{field}" for field in fields)}
    found = list(argv)
    for number, word in enumerate(argv[1:], 1):
        flag, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-"):
            before = argv[number - 1].lstrip("-")
            if argv[number - 1].startswith("-") and before in flags:
                found[number] = _located(f"--{before}", word)
        elif equals and flag in flags:
            found[number] = f"--{flag}={_located(f'--{flag}', value)}"
    return found


def check_strays(words: Iterable[str]) -> None:
    """Raises BadInput for a Python file that stands alone, where its flag was forgotten."""
    for before, word in itertools.pairwise(("", *words)):
        value_of = before.startswith("-") and "=" not in before
        if not word.startswith("-") and not value_of and FILE.fullmatch(word):
            raise BadInput(f"{brief(word)!r} is no flag: did you mean --config={brief(word)}?")


def _located(flag: str, name: str) -> str:
    match, caller, here = FILE.fullmatch(name), os.environ.get(CALLER), os.getcwd()
    if not match or not caller or os.path.isabs(os.path.expanduser(match["file"])):
        return name
    if os.path.realpath(caller) == os.path.realpath(here):
        return name
    path = os.path.join(caller, match["file"])
    if os.path.isfile(path):
        return f"{os.path.realpath(path)}{match['rest'] or ''}"
    if os.path.isfile(match["file"]):
        return name
    folders = " or in ".join(dict.fromkeys((caller, here)))
    raise BadInput(f"{flag}={brief(name)}: there is no file {brief(match['file'])} in {folders}.")
