"""Lists the tasks: each file is one task, and `TASKS` is the registry of their values.

An option is a field: `dataclasses.replace(TASKS["parity"], labels="every")`, or, from the words of
a config, `get_task("parity", labels="every")`.
"""

import dataclasses
from typing import Any

from r3nn._lookup import lookup, unknown
from r3nn.tasks._adding import Adding
from r3nn.tasks._arrays import Arrays, ArraysRegression
from r3nn.tasks._base import Automaton, Batch, Tally, Task
from r3nn.tasks._binary import BinaryAddition, BinaryMultiplication, SquareRoot
from r3nn.tasks._brackets import ModularArithmeticBrackets, SolveEquation
from r3nn.tasks._characters import Characters
from r3nn.tasks._copy_memory import CopyMemory
from r3nn.tasks._counting import AnBn, Majority
from r3nn.tasks._denoise import Denoise, SelectiveCopying
from r3nn.tasks._digits import Digits
from r3nn.tasks._dyck import Dyck
from r3nn.tasks._finite import Finite, Rows
from r3nn.tasks._flip_flop import FlipFlop
from r3nn.tasks._forecast import Forecast
from r3nn.tasks._formal_language import FormalLanguage
from r3nn.tasks._from_file import FromFile
from r3nn.tasks._induction import InductionHeads
from r3nn.tasks._kinds import Classification, Regression
from r3nn.tasks._listops import ListOps
from r3nn.tasks._lorenz import Lorenz
from r3nn.tasks._mackey_glass import MackeyGlass
from r3nn.tasks._modular_arithmetic import ModularArithmetic
from r3nn.tasks._mqar import MQAR
from r3nn.tasks._parity import Parity
from r3nn.tasks._regular import CycleNavigation, EvenPairs
from r3nn.tasks._repeat import RepeatFirst, RepeatPrevious
from r3nn.tasks._sounds import Sounds
from r3nn.tasks._stack import StackManipulation
from r3nn.tasks._strings import BucketSort, Duplicate, MissingDuplicate, OddsFirst, ReverseString
from r3nn.tasks._time_series import TimeSeries
from r3nn.tasks._tracking import Machine, Tracking
from r3nn.tasks._word_problem import WordProblem

TASKS: dict[str, Task] = {
    "a5": WordProblem("A5"),
    "adding": Adding(),
    "anbn": AnBn(2),
    "anbncn": AnBn(3),
    "arrays": Arrays(),
    "arrays_regression": ArraysRegression(),
    "automaton": FromFile(),
    "binary_addition": BinaryAddition(),
    "binary_multiplication": BinaryMultiplication(),
    "bucket_sort": BucketSort(),
    "characters": Characters(),
    "copy_memory": CopyMemory(),
    "cycle_navigation": CycleNavigation(),
    "denoise": Denoise(),
    "digits": Digits(),
    "duplicate": Duplicate(),
    "dyck": Dyck(),
    "even_pairs": EvenPairs(),
    "flip_flop": FlipFlop(),
    "formal_language": FormalLanguage(),
    "induction_heads": InductionHeads(),
    "listops": ListOps(),
    "lorenz": Lorenz(),
    "mackey_glass": MackeyGlass(),
    "majority": Majority(),
    "missing_duplicate": MissingDuplicate(),
    "modular_arithmetic": ModularArithmetic(),
    "modular_arithmetic_brackets": ModularArithmeticBrackets(),
    "mqar": MQAR(),
    "odds_first": OddsFirst(),
    "parity": Parity(),
    "repeat_first": RepeatFirst(),
    "repeat_previous": RepeatPrevious(),
    "reverse_string": ReverseString(),
    "s3": WordProblem("S3"),
    "s5": WordProblem("S5"),
    "selective_copying": SelectiveCopying(),
    "solve_equation": SolveEquation(),
    "sounds": Sounds(),
    "square_root": SquareRoot(),
    "stack_manipulation": StackManipulation(),
    "time_series": TimeSeries(),
}


def get_task(name: str, *, allow_code: bool = False, **options: Any) -> Task:
    """Returns the task called `name`, a row of `TASKS` or "path/to/file.py:value", with options set.

    allow_code: whether such a file may be run.

    Raises:
      ValueError: no such task or option (the message gives the nearest), a value that the option
        does not allow, a name that leads to something other than a task, or a file that may not be run.
    """
    task = lookup("task", TASKS, name, Task, allow_code=allow_code)
    fields = [field.name for field in dataclasses.fields(task) if field.init]
    for option in options:
        if not fields:
            raise ValueError(f"task {name!r} has no options, got {option!r}.")
        if option not in fields:
            raise ValueError(unknown(f"option of task {name!r},", option, fields))
    return dataclasses.replace(task, **options)


__all__ = [
    "MQAR",
    "TASKS",
    "Adding",
    "AnBn",
    "Arrays",
    "ArraysRegression",
    "Automaton",
    "Batch",
    "BinaryAddition",
    "BinaryMultiplication",
    "BucketSort",
    "Characters",
    "Classification",
    "CopyMemory",
    "CycleNavigation",
    "Denoise",
    "Digits",
    "Duplicate",
    "Dyck",
    "EvenPairs",
    "Finite",
    "FlipFlop",
    "FormalLanguage",
    "Forecast",
    "FromFile",
    "InductionHeads",
    "ListOps",
    "Lorenz",
    "Machine",
    "MackeyGlass",
    "Majority",
    "MissingDuplicate",
    "ModularArithmetic",
    "ModularArithmeticBrackets",
    "OddsFirst",
    "Parity",
    "Regression",
    "RepeatFirst",
    "RepeatPrevious",
    "ReverseString",
    "Rows",
    "SelectiveCopying",
    "SolveEquation",
    "Sounds",
    "SquareRoot",
    "StackManipulation",
    "Tally",
    "Task",
    "TimeSeries",
    "Tracking",
    "WordProblem",
    "get_task",
]
