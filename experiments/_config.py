"""From a command line to a whole, checked config."""

import contextlib
import dataclasses
import difflib
import functools
import inspect
import json
import math
import re
import runpy
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from configs import default
from configs.default import FIELDS
from experiments import _cluster
from experiments._flags import bad, expanded
from experiments.errors import BadInput
from r3nn._names import FieldError

#: groups that take more fields than default.py names
OPEN = tuple(f"{name}." for name, field in FIELDS.items() if isinstance(field.usual, Mapping))
NAMES = tuple(name for name in FIELDS if f"{name}." not in OPEN)
#: the sizes of float32, but for 0; numbers below the least (subnormal ones) are 0 to XLA
LEAST, MOST = 2.0**-126, (2 - 2.0**-23) * 2.0**127


@dataclasses.dataclass(frozen=True)
class CommandLine:
    """What a program was asked to do."""

    config: ConfigDict
    workdir: str
    dry_run: bool
    cluster: _cluster.Cluster | None = None  # the processes that train it together, where they are several


def parse(argv: list[str], usage: str) -> CommandLine:
    """--config=FILE[:VARIANT] --workdir=DIR [--dry_run] [--config.FIELD=VALUE ...]. Raises: BadInput."""
    values = flags.FlagValues()
    flags.DEFINE_string("config", None, "a file of configs/, with :VARIANT or without", flag_values=values)
    flags.DEFINE_string("workdir", "", "the run's folder", flag_values=values)
    flags.DEFINE_bool("dry_run", False, "print what the run would cost; create nothing", flag_values=values)
    flags.DEFINE_bool("help", False, "show this text", short_name="h", flag_values=values)
    _cluster.define(values)
    try:
        rest = values(argv, known_only=True)
        if values.help:
            raise SystemExit(print(usage, values.get_help(), explained(), sep="\n"))
        if values.config is None:
            raise BadInput(f"--config is missing: it must name one of {', '.join(_configs())}.")
        config = _override(load(expanded("--config", values.config)), rest)
    except flags.Error as error:
        raise _bad(error, values) from error
    if not (values.workdir or values.dry_run):
        raise BadInput("--workdir is missing: it must name the folder of the run, such as runs/first.")
    return CommandLine(config, values.workdir, values.dry_run, _cluster.asked(values))


def load(name: str) -> ConfigDict:
    """The config of "FILE.py" or "FILE.py:VARIANT". Raises: BadInput."""
    path, _, variant = name.partition(":")
    if not (path.endswith(".py") and Path(path).is_file()):
        raise BadInput(f"--config={name}: there is no such Python file; configs are {', '.join(_configs())}.")
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


def _configs() -> list[str]:
    return sorted(f"configs/{path.name}" for path in Path(default.__file__).parent.glob("[!_]*.py"))


def _override(config: ConfigDict, argv: list[str]) -> ConfigDict:
    """The config with the --config.FIELD=VALUE of a command line, whose rest must be empty."""
    matches = (re.match(r"--?(?:no)?config\.([^=]*)", word) for word in argv)
    check_names(match[1] for match in matches if match)
    values = flags.FlagValues()
    config_flags.DEFINE_config_dict(
        "config",
        merge(config),
        flag_values=values,
        lock_config=False,
        accept_new_attributes=True,
        sys_argv=argv,
    )
    rest = values(argv)[1:]
    if rest:
        raise BadInput(f"{rest[0]!r} is no flag: arguments look like --config.seed=1.")
    return values.config


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
    """What there is to set: the fields in order, with their defaults and meanings and what they may be."""
    lines = ["Fields, as --config.NAME=VALUE (configs/default.py says more):", ""]
    for name, field in FIELDS.items():
        usual = ".OPTION" if isinstance(field.usual, Mapping) else f" = {field.usual!r}"
        shared = "; runs that differ in it share one program" if field.traced else ""
        lines += [f"{name}{usual}", f"    {field.meaning}", f"    {field.allowed}{shared}"]
    return "\n".join(lines)


def _bad(error: flags.Error, values: flags.FlagValues) -> BadInput:
    """What absl complains of, in our words where it means the value of a field."""
    match = re.match(r"flag --config\.(\S+?)=(.*?): ", str(error), re.DOTALL)
    if match is None:
        return bad(error, values)
    kind = type(FIELDS[match[1]].usual if match[1] in NAMES else "").__name__
    return BadInput(f"config.{match[1]} must be of type {kind}, got {match[2]!r}.")


def fields(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """("group.field", value) of all fields, in order."""
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            yield from fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def merge(config: ConfigDict) -> ConfigDict:
    """default.py's fields with the values of `config`. Raises: BadInput for a name or type it has not."""
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
    """The whole config, checked field by field and locked. Raises: BadInput."""
    config = merge(config).copy_and_resolve_references()
    for name, value in fields(config):
        if name in NAMES and not FIELDS[name].allows(value):
            raise BadInput(f"config.{name} must be {FIELDS[name].allowed}, got {value!r}.")
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
    """Around a constructor of the library, whose options are fields of these groups: it knows the option that
    it refuses by its name alone. Raises: BadInput."""
    try:
        yield
    except FieldError as error:
        inside = (f"config.{group}" for group in groups if error.field in _group(config, group))
        within = next((f"{group.rstrip('.')}." for group in inside), "")
        raise BadInput(f"{' '.join(error.within(within).split()).rstrip('.')}.") from error


def _group(config: ConfigDict, path: str) -> ConfigDict:
    return functools.reduce(ConfigDict.__getitem__, filter(None, path.split(".")), config)


def first_difference(one: ConfigDict, other: ConfigDict) -> str | None:
    """The first field, of those that change results, in which two whole configs differ."""
    inert = {name for name, field in FIELDS.items() if field.inert}
    inert -= {"devices"} if one.train.sync_every > 1 else set()  # a replica on each device
    one, other = ({k: v for k, v in fields(config) if k not in inert} for config in (one, other))
    return next((k for k in [*one, *other] if one.get(k) != other.get(k)), None)
