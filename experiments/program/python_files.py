"""Runs Python files of the user, and says in one sentence what they raise."""

import contextlib
from collections.abc import Iterator

from experiments.errors import BadInput


@contextlib.contextmanager
def running(field: str, name: str) -> Iterator[None]:
    """Turns whatever code of the user's file raises within its block into a BadInput. A field names the
    file."""
    try:
        yield
    except (AttributeError, BadInput, ValueError) as error:  # they speak for themselves
        text = " ".join(str(error.args[0] if error.args else error).split())
        raise BadInput(f"{field}={name}: {text.rstrip('.')}.") from error
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}"
        raise BadInput(f"{field}={name}: cannot be run ({what}); R3NN_TRACEBACK=1 shows where.") from error
