"""Keeps track of the files that a config names: Python files, and those that its task reads.

To read a folder runs none of the Python files, and a run knows its own again: config.json has the absolute
path of each, and the SHA-256 of the content of any file by its field, under `CODE` or `DATA`, so that another
path with the same content is the same run. (Of a learner that reads arrays, the checkpoints have the sums.)
"""

import hashlib
import os
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from experiments.config.fields import fields, first_difference, merge
from experiments.errors import BadInput
from experiments.program.caller import absolute
from r3nn._lookup import in_file, sha256

#: the fields that may say "file.py:value"
NAMED = ("task.name", "model.cell", "model.depth_cell", "learner.name", "optimizer.name")
CODE, DATA = "code_sha256", "data_sha256"  # in config.json
IGNORED = ("cache_dir",)  # of config.json: compiled programs are code too, and the folder is the reader's


def files(config: ConfigDict) -> dict[str, tuple[Path, str]]:
    """Lists, by field, the absolute path and the attribute of each name that is in a Python file."""
    values = dict(fields(config))
    return {field: found for field in NAMED if (found := in_file(values[field]))}


def located(config: ConfigDict, folder: str) -> ConfigDict:
    """Returns a config in which the Python files that it names have absolute paths, where they are in the
    caller's folder or in this one, that of the config's own file. Raises: BadInput for one that is nowhere.
    """
    values = dict(fields(config))
    names = {field: absolute(f"config.{field}", values[field], [folder]) for field in NAMED if values[field]}
    return _with(config, {field: name for field, name in names.items() if name != values[field]})


def data(config: ConfigDict) -> dict[str, Path]:
    """Lists, by field, the files that options of the task name."""
    options = {field: value for field, value in fields(config) if field.startswith("task.options.")}
    paths = {field: os.path.expanduser(value) for field, value in options.items() if isinstance(value, str)}
    return {field: Path(path) for field, path in paths.items() if os.path.isfile(path)}


def check(config: ConfigDict, where: Path) -> None:
    """Raises BadInput where a config that was read there names code."""
    for field, (file, _) in files(config).items():
        raise BadInput(
            f"{where}: config.{field} names the Python file {file}, which loading would run: read it, and "
            "allow it with --allow_code (in Python: allow_code=True)."
        )


def record(config: ConfigDict) -> dict[str, Any]:
    """Makes the content of config.json."""
    found = files(config)
    whole = _with(config, {field: f"{file}:{name}" for field, (file, name) in found.items()}).to_dict()
    code = {field: sha256(file) for field, (file, _) in found.items()}
    contents = {field: _content(file) for field, file in data(config).items()}
    return whole | ({CODE: code} if code else {}) | ({DATA: contents} if contents else {})


def read(record: dict[str, Any]) -> ConfigDict:
    """Rebuilds the config from the record that `record` made. Raises: BadInput, TypeError, ValueError."""
    if not isinstance(record, dict) or not all(isinstance(record.get(x, {}), dict) for x in (CODE, DATA)):
        raise TypeError("its fields must stand in groups.")
    return merge(ConfigDict({name: x for name, x in record.items() if name not in (CODE, DATA, *IGNORED)}))


def difference(config: ConfigDict, before: dict[str, Any]) -> str | None:
    """Does as `first_difference`, of a config and a recorded one; of a file the content counts, not the
    path."""
    return apart(record(config), before)


def apart(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    """Does as `difference`, of two records."""
    return first_difference(_by_content(one), _by_content(other))


def changed(before: dict[str, Any]) -> list[Path]:
    """Lists the files whose content is not what it was when the run began."""
    config, code, kept = read(before), before.get(CODE, {}), before.get(DATA, {})
    now = {field: (file, sha256(file)) for field, (file, _) in files(config).items() if field in code}
    now |= {field: (file, _content(file)) for field, file in data(config).items() if field in kept}
    return [file for field, (file, content) in now.items() if content != (code | kept)[field]]


def _by_content(before: dict[str, Any]) -> ConfigDict:
    """Returns the config of a record with the SHA-256 of each file in place of its path.

    That is the recorded one, or else the one of the file as it is now.
    """
    config, code, names = read(before), before.get(CODE, {}), {}
    for field, (file, name) in files(config).items():
        if field in code or file.is_file():
            names[field] = f"{code.get(field) or sha256(file)}:{name}"
    values, now = dict(fields(config)), {field: _content(file) for field, file in data(config).items()}
    for field, content in (now | before.get(DATA, {})).items():
        if field in values:
            names[field] = f"{content}{Path(str(values[field])).suffix}"  # the suffix says how it is read
    return _with(config, names)


def _content(file: Path) -> str:
    """Hashes the content of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _with(config: ConfigDict, values: dict[str, str]) -> ConfigDict:
    config = config.copy_and_resolve_references().unlock()
    config.update_from_flattened_dict(values)
    return config
