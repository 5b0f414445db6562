"""The Python files that declare configs: they are run, and what they return is checked."""

import contextlib
import inspect
import runpy
from collections.abc import Iterator
from pathlib import Path

from ml_collections import ConfigDict

from configs import default
from experiments.errors import BadInput


def load(name: str) -> ConfigDict:
    """The config of "FILE.py" or "FILE.py:VARIANT". Raises: BadInput."""
    path, _, variant = name.partition(":")
    if not (path.endswith(".py") and Path(path).is_file()):
        raise BadInput(
            f"--config={name}: there is no such Python file; configs are {', '.join(config_names())}."
        )
    with running("--config", name):
        get_config = runpy.run_path(path).get("get_config")
    if get_config is None:
        raise BadInput(f"--config={name}: {path} does not define get_config().")
    if variant and not inspect.signature(get_config).parameters:
        raise BadInput(f"--config={name}: {path} has no variants.")
    with running("--config", name):
        config = get_config(variant) if variant else get_config()
    if not isinstance(config, ConfigDict):
        raise BadInput(
            f"--config={name}: get_config() must return a ConfigDict, got {type(config).__name__}."
        )
    return config


@contextlib.contextmanager
def running(field: str, name: str) -> Iterator[None]:
    """Around what runs code of the file that a field names. Raises: BadInput for whatever that raises."""
    try:
        yield
    except (AttributeError, BadInput, ValueError) as error:  # they speak for themselves
        text = " ".join(str(error.args[0] if error.args else error).split())
        raise BadInput(f"{field}={name}: {text.rstrip('.')}.") from error
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}"
        raise BadInput(f"{field}={name}: cannot be run ({what}); R3NN_TRACEBACK=1 shows where.") from error


def config_names() -> list[str]:
    return sorted(f"configs/{path.name}" for path in Path(default.__file__).parent.glob("[!_]*.py"))
