"""Finds the user's files that building runs, and says in one sentence whose fault an error is."""

import contextlib
import traceback
from collections.abc import Callable, Iterator

from ml_collections import ConfigDict

from experiments.building.learners import cells_of
from experiments.config import named_code
from experiments.errors import BadInput
from experiments.program.python_files import running
from r3nn._lookup import lookup
from r3nn.cells import Cell
from r3nn.cells._composition import all_parts
from r3nn.tasks import Task
from r3nn.time import CellError

#: what a Python file holds, by the group of config that names it
KINDS = {
    "task": ("task", Task),
    "model": ("cell", Cell),
    "learner": ("learner", Callable),
    "optimizer": ("optimizer", Callable),
}
SENTENCE = 300  # characters of an error that is not ours


def run_files(config: ConfigDict) -> None:
    """Runs the Python files that a task or a cell comes from. Raises: BadInput for whatever that raises."""
    for field in named_code.files(config):
        group, name = field.split(".")
        with running(f"config.{field}", config[group][name]):
            kind, of = KINDS[group]
            lookup(kind, {}, config[group][name], of, allow_code=True)


@contextlib.contextmanager
def code_at_fault(config: ConfigDict) -> Iterator[None]:
    """Turns what a file of the user raises, within its block, into a BadInput."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        ran = {frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)}
        for field, (file, _) in named_code.files(config).items():
            group = field.split(".")[0]
            if group == "model" or str(file) not in ran:  # what is wrong in a cell, `unroll` finds
                continue
            what = f"{type(error).__name__}: {' '.join(str(error).split())[:SENTENCE].rstrip('.')}"
            name = config[group].name
            raise BadInput(f"config.{field}={name}: fails ({what}); R3NN_TRACEBACK=1 shows where.") from error
        raise


@contextlib.contextmanager
def in_one_sentence(config: ConfigDict, allow_code: bool) -> Iterator[None]:
    """Turns what a constructor raises of an option, within its block, into a BadInput."""
    try:
        yield
    except BadInput:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInput(_sentence(error, config, allow_code)) from error


def _sentence(error: Exception, config: ConfigDict, allow_code: bool) -> str:
    """Says on one line what went wrong, with the field where the fault is that of a cell of config.model."""
    text = " ".join(str(error).split())
    if isinstance(error, CellError):
        cells = cells_of(config, allow_code).items()
        field = next(name for name, cell in cells if error.cell in all_parts(cell))
        return f"config.model.{field}={config.model[field]}: {text.rstrip('.')}."
    return f"{text[:SENTENCE]} ..." if len(text) > SENTENCE else f"{text.rstrip('.')}."
