"""Runs the Python files that declare configs, and checks what they return."""

import inspect
import os
import runpy
from pathlib import Path

from ml_collections import ConfigDict

from configs import default
from experiments.errors import BadInput
from experiments.program.absl_flags import brief
from experiments.program.python_files import running


def load(name: str) -> ConfigDict:
    """Returns the config that "FILE.py" or "FILE.py:VARIANT" declares. Raises: BadInput."""
    path, _, variant = name.partition(":")
    if not (path.endswith(".py") and os.path.isfile(path)):
        raise BadInput(
            f"--config={brief(name)}: there is no such Python file in {os.getcwd()}; configs are "
            f"{', '.join(config_names())}."
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


def config_names() -> list[str]:
    return sorted(f"configs/{path.name}" for path in Path(default.__file__).parent.glob("[!_]*.py"))
