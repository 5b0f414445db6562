"""Lists the synthetic tasks: each file is one task, and `TASKS` is the registry of their values.

An option is a field: `dataclasses.replace(TASKS["parity"], labels="every")`, or, from the words of
a config, `get_task("parity", labels="every")`.
"""

import dataclasses
from typing import Any

from r3nn._lookup import lookup, unknown
from r3nn.tasks._adding import Adding
from r3nn.tasks._base import Automaton, Batch, Tally, Task
from r3nn.tasks._copy_memory import CopyMemory
from r3nn.tasks._kinds import Classification, Regression
from r3nn.tasks._parity import Parity
from r3nn.tasks._regular import CycleNavigation, EvenPairs
from r3nn.tasks._tracking import Machine, Tracking
from r3nn.tasks._word_problem import WordProblem

TASKS: dict[str, Task] = {
    "adding": Adding(),
    "copy_memory": CopyMemory(),
    "cycle_navigation": CycleNavigation(),
    "even_pairs": EvenPairs(),
    "parity": Parity(),
    "a5": WordProblem("A5"),
    "s3": WordProblem("S3"),
    "s5": WordProblem("S5"),
}


def get_task(name: str, *, allow_code: bool = False, **options: Any) -> Task:
    """Returns the task called `name`, a row of `TASKS` or "path/to/file.py:value", with options set.

    allow_code: whether such a file may be run.

    Raises:
      ValueError: no such task or option (the message gives the nearest), a value that the option
        does not allow, a name that leads to something other than a task, or a file that may not be run.
    """
    task = lookup("task", TASKS, name, Task, allow_code=allow_code)
    fields = [field.name for field in dataclasses.fields(task)]
    for option in options:
        if not fields:
            raise ValueError(f"task {name!r} has no options, got {option!r}.")
        if option not in fields:
            raise ValueError(unknown(f"option of task {name!r},", option, fields))
    return dataclasses.replace(task, **options)


__all__ = [
    "TASKS",
    "Adding",
    "Automaton",
    "Batch",
    "Classification",
    "CopyMemory",
    "CycleNavigation",
    "EvenPairs",
    "Machine",
    "Parity",
    "Regression",
    "Tally",
    "Task",
    "Tracking",
    "WordProblem",
    "get_task",
]
