"""Says which fields a config has and what each may be, and finds where two configs differ."""

import contextlib
import difflib
import functools
import json
import math
from collections.abc import Iterable, Iterator, Mapping

from ml_collections import ConfigDict

from configs import default
from configs._fields import refused
from configs.default import FIELDS
from experiments.errors import BadInput
from r3nn._lookup import FieldError

#: groups that take more fields than default.py names
OPEN = tuple(f"{name}." for name, field in FIELDS.items() if isinstance(field.usual, Mapping))
NAMES = tuple(name for name in FIELDS if f"{name}." not in OPEN)
#: the sizes of float32, but for 0; numbers below the least (subnormal ones) are 0 to XLA
LEAST, MOST = 2.0**-126, (2 - 2.0**-23) * 2.0**127


def check_names(names: Iterable[str]) -> None:
    """Raises BadInput, in one sentence, for the first that is no field's."""
    for name in names:
        if name in NAMES or f"{name.rpartition('.')[0]}." in OPEN:
            continue
        if not name or f"{name}." in OPEN or any(field.startswith(f"{name}.") for field in NAMES):
            raise BadInput(f"config.{name} is a group: name a field in it.")
        near = " or ".join(map(repr, difflib.get_close_matches(name, NAMES)))
        hint = f"did you mean {near}? " if near else ""
        raise BadInput(f"config field {name!r} is unknown: {hint}configs/default.py lists all there are.")


def explained() -> str:
    """Lists what there is to set: the fields with their defaults, their meanings and what they may be."""
    lines = ["Fields, as --config.NAME=VALUE (configs/default.py says more):", ""]
    for name, field in FIELDS.items():
        usual = ".OPTION" if isinstance(field.usual, Mapping) else f" = {field.usual!r}"
        shared = "; runs that differ in it share one program" if field.traced else ""
        lines += [f"{name}{usual}", f"    {field.meaning}", f"    {field.allowed}{shared}"]
    return "\n".join(lines)


def fields(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Lists ("group.field", value) of all fields, in order."""
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            yield from fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def merge(config: ConfigDict) -> ConfigDict:
    """Sets the values of `config` in default.py's fields. Raises: BadInput for a name or type it has not."""
    whole = default.get_config()
    for name, value in fields(config):
        check_names([name])
        group, _, field = name.rpartition(".")
        try:
            _group(whole, group)[field] = value
        except TypeError as error:
            kind = type(FIELDS[name].usual).__name__
            raise BadInput(f"config.{name} must be of type {kind}, got {value!r}.") from error
    return whole


def complete(config: ConfigDict) -> ConfigDict:
    """Returns the whole config, checked field by field and locked. Raises: BadInput."""
    config = merge(config).copy_and_resolve_references()
    values = dict(fields(config))
    if wrong := refused(FIELDS, values):
        raise BadInput(f"config.{wrong} must be {FIELDS[wrong].allowed}, got {values[wrong]!r}.")
    for name, value in values.items():
        if isinstance(value, int | float):
            check_float32(f"config.{name}", value)
        try:
            json.dumps(value)  # an open group takes any type
        except TypeError as error:
            raise BadInput(f"config.{name} must be fit for config.json, got {value!r}.") from error
    return config.lock()


def check_float32(field: str, value: float) -> None:
    """Raises BadInput, in one sentence, for a finite number that float32 takes as 0 or as infinite."""
    if 0 < abs(value) < LEAST or MOST < abs(value) < math.inf:
        raise BadInput(
            f"{field} must be 0, or from {LEAST:.2g} to {MOST:.2g} in size, as float32 has it, got {value!r}."
        )


@contextlib.contextmanager
def asked(config: ConfigDict, *groups: str) -> Iterator[None]:
    """Turns what a constructor of the library refuses, within its block, into a BadInput. The constructor's
    options are fields of these groups, and it knows the refused one by its name alone. Raises: BadInput."""
    try:
        yield
    except FieldError as error:
        inside = (f"config.{group}" for group in groups if error.field in _group(config, group))
        within = next((f"{group.rstrip('.')}." for group in inside), "")
        raise BadInput(f"{' '.join(error.within(within).split()).rstrip('.')}.") from error


def _group(config: ConfigDict, path: str) -> ConfigDict:
    return functools.reduce(ConfigDict.__getitem__, filter(None, path.split(".")), config)


def first_difference(one: ConfigDict, other: ConfigDict) -> str | None:
    """Names the first field, of those that change results, in which two configs differ; or None."""
    inert = {name for name, field in FIELDS.items() if field.inert}
    inert -= {"devices"} if one.train.sync_every > 1 else set()  # a replica on each device
    one, other = ({k: v for k, v in fields(config) if k not in inert} for config in (one, other))
    return next((k for k in [*one, *other] if one.get(k) != other.get(k)), None)
