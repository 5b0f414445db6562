"""Finds the Python files that are named: in the folder of who types, beside the config, or where the program
runs.

`scripts/run` starts programs in the root of the repository, and passes on the folder that it was called from.
"""

import itertools
import os
import re
from collections.abc import Iterable, Iterator

from experiments.errors import BadInput
from experiments.program.absl_flags import brief

CALLER = "R3NN_CALLER"  # of the environment
#: FILE.py, with :VARIANT or :VALUE or without
FILE = re.compile(r"(?P<file>.+\.py)(?P<rest>:.*)?", re.DOTALL)


def located(argv: list[str], fields: tuple[str, ...]) -> list[str]:
    """Returns a command line in which the Python files of other folders have absolute paths: those of the
    caller's folder, and, for fields of the config, those beside the config's file.

    So a run's own record, and the command that repeats it, find them from anywhere. fields: of the config,
    those that may name a file. Raises: BadInput for a file that is nowhere there, nor in the working folder.
    """
    found = list(argv)
    for flags in ({"config"}, {f"config.{field}" for field in fields}):
        configs = [value for _, flag, value in _values(found) if flag == "config"]
        for number, flag, value in [*_values(found)]:
            if flag in flags:
                there = absolute(f"--{flag}", value, map(folder_of, configs) if flag != "config" else ())
                found[number] = found[number].removesuffix(value) + there
    return found


def _values(argv: list[str]) -> Iterator[tuple[int, str, str]]:
    """Lists (number of the word, flag, value) of the flags that have one, as --flag=value or --flag value."""
    for number, (before, word) in enumerate(itertools.pairwise(argv), 1):
        flag, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-") and equals:
            yield number, flag, value
        elif before.startswith("-") and "=" not in before and not word.startswith("-"):
            yield number, before.lstrip("-"), word


def folder_of(config: str) -> str:
    """Returns the folder of a config's file, which may be named with a variant."""
    return os.path.dirname(os.path.abspath(os.path.expanduser(config.partition(":")[0])))


def absolute(what: str, name: str, also: Iterable[str] = ()) -> str:
    """Returns the name of a Python file, or of a value in it, with the file's absolute path where it is in
    another folder than the working one.

    It is looked for in the caller's folder, in the folders `also`, and in the working one. Any other name
    comes back as it is. what: names it in the sentence. Raises: BadInput where it is in none of several.
    """
    match, here = FILE.fullmatch(name), os.getcwd()
    if not match or os.path.isabs(os.path.expanduser(match["file"])):
        return name
    folders: dict[str, str] = {}
    for folder in (os.environ.get(CALLER) or here, *also, here):
        folders.setdefault(os.path.realpath(folder), folder)
    if len(folders) == 1:
        return name  # whoever reads it says what is wrong
    for real, folder in folders.items():
        path, ours = os.path.join(folder, match["file"]), real == os.path.realpath(here)
        if os.path.isfile(path):
            return name if ours else f"{os.path.realpath(path)}{match['rest'] or ''}"
    *most, last = folders.values()
    there = f"{', '.join(most)} or {last}"
    raise BadInput(f"{what}={brief(name)}: there is no file {brief(match['file'])} in {there}.")


def check_strays(words: Iterable[str]) -> None:
    """Raises BadInput for a Python file that stands alone, where its flag was forgotten."""
    for before, word in itertools.pairwise(("", *words)):
        value_of = before.startswith("-") and "=" not in before
        if not word.startswith("-") and not value_of and FILE.fullmatch(word):
            raise BadInput(f"{brief(word)!r} is no flag: did you mean --config={brief(word)}?")
