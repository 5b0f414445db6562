"""Keeps track of the Python files that a config names.

To read a folder runs none of them, and a run knows its own again: config.json has the absolute path of each,
and under `SUMS` the SHA-256 of its content by field, so that another path with the same content is the same
run.
"""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from experiments.config.fields import fields, first_difference, merge
from experiments.errors import BadInput
from r3nn._lookup import in_file, sha256

#: the fields that may say "file.py:value"
NAMED = ("task.name", "model.cell", "model.depth_cell", "learner.name", "optimizer.name")
SUMS = "code_sha256"  # in config.json
IGNORED = ("cache_dir",)  # of config.json: compiled programs are code too, and the folder is the reader's


def files(config: ConfigDict) -> dict[str, tuple[Path, str]]:
    """Lists, by field, the absolute path and the attribute of each name that is in a Python file."""
    values = dict(fields(config))
    return {field: found for field in NAMED if (found := in_file(values[field]))}


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
    return {**whole, SUMS: {field: sha256(file) for field, (file, _) in found.items()}} if found else whole


def read(record: dict[str, Any]) -> ConfigDict:
    """Rebuilds the config from the record that `record` made. Raises: BadInput, TypeError, ValueError."""
    if not isinstance(record, dict) or not isinstance(record.get(SUMS, {}), dict):
        raise TypeError("its fields must stand in groups")
    return merge(ConfigDict({name: x for name, x in record.items() if name not in (SUMS, *IGNORED)}))


def difference(config: ConfigDict, before: dict[str, Any]) -> str | None:
    """Does as `first_difference`, of a config and a recorded one; of a file the content counts, not the
    path."""
    return apart(record(config), before)


def apart(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    """Does as `difference`, of two records."""
    return first_difference(_by_content(one), _by_content(other))


def changed(record: dict[str, Any]) -> list[Path]:
    """Lists the files whose content is not what it was when the run began."""
    found, sums = files(read(record)), record.get(SUMS, {})
    return [file for field, (file, _) in found.items() if sums.get(field, sha256(file)) != sha256(file)]


def _by_content(record: dict[str, Any]) -> ConfigDict:
    """Returns the config of a record with the SHA-256 of each file in place of its path.

    That is the recorded one, or else the one of the file as it is now.
    """
    config, sums, names = read(record), record.get(SUMS, {}), {}
    for field, (file, name) in files(config).items():
        if field in sums or file.is_file():
            names[field] = f"{sums.get(field) or sha256(file)}:{name}"
    return _with(config, names)


def _with(config: ConfigDict, values: dict[str, str]) -> ConfigDict:
    config = config.copy_and_resolve_references().unlock()
    config.update_from_flattened_dict(values)
    return config
