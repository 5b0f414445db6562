"""From a command line to a whole, checked config."""

import contextlib
import dataclasses
import difflib
import inspect
import json
import math
import re
import runpy
from collections.abc import Iterable, Iterator
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from configs import default
from experiments import _cluster
from experiments._flags import bad, expanded
from experiments.errors import BadInput
from r3nn._names import check_choice, check_int

OPEN = ("task.options", "model.init", "learner.options")  # groups that take more fields than default.py names
INERT = (
    "cache_dir",
    "devices",
    "profile",
    "train.keep",
)  # fields that change no result, or by rounding alone
AT_LEAST_1 = (
    *("model.hidden_size", "model.depth", "train.batch", "train.length", "train.updates"),
    *(
        "train.log_every",
        "train.eval_every",
        "train.eval_batch",
        "train.checkpoint_every",
        "train.sync_every",
        "train.accumulate",
    ),
)
AT_LEAST_0 = (
    *("model.params", "model.width", "model.chunk", "model.memory", "model.refine", "model.slow"),
    *("train.min_length", "train.tbptt", "train.patience", "train.keep"),
    *("optimizer.warmup", "devices", "profile"),
)
#: of noise, in config.model
RATES = ("dropout", "dropout_h", "dropout_candidate", "zoneout_h", "zoneout_c")
WITHIN = {
    **{f"model.{name}": (0, 0.999999) for name in RATES},  # 1 would leave nothing
    "optimizer.lr": (0, math.inf),
    "optimizer.end_fraction": (0, 1),
    "optimizer.weight_decay": (0, math.inf),
    "optimizer.clip": (0, math.inf),
    "optimizer.b1": (0, 0.999999),  # 1 would divide by 0
    "optimizer.b2": (0, 0.999999),
    "train.target": (-math.inf, math.inf),
    "train.outer_lr": (0, math.inf),
    "train.outer_momentum": (0, 0.999999),
    "model.init.chrono": (0, math.inf),
}
PRECISIONS = ("highest", "high", "default")
COMPUTE_DTYPES = ("float32", "bfloat16")
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
            print(usage, values.get_help(), sep="\n")
            raise SystemExit(0)
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
    check_names(re.match(r"--?(?:no)?config\.([^=]*)", word) for word in argv)
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


def check_names(matches: Iterable[re.Match | None]) -> None:
    known = dict(fields(default.get_config()))
    groups = {name.rpartition(".")[0] for name in known}
    for match in matches:
        if match and match[1] not in known and not match[1].startswith(tuple(f"{name}." for name in OPEN)):
            if match[1] in {*groups, *OPEN}:
                raise BadInput(f"config.{match[1]} is a group: name a field in it.")
            raise BadInput(_unknown(match[1], known))


def _unknown(name: str, known: Iterable[str]) -> str:
    near = " or ".join(map(repr, difflib.get_close_matches(name, known)))
    hint = f"did you mean {near}? " if near else ""
    return f"config field {name!r} is unknown: {hint}configs/default.py lists all there are."


def _bad(error: flags.Error, values: flags.FlagValues) -> BadInput:
    """What absl complains of, in our words where it means the value of a field."""
    match = re.match(r"flag --config\.(\S+?)=(.*?): ", str(error), re.DOTALL)
    if match is None:
        return bad(error, values)
    kind = type(dict(fields(default.get_config())).get(match[1], "")).__name__
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
    known = dict(fields(whole))
    for name, value in fields(config):
        group, _, field = name.rpartition(".")
        if name not in known and not group.startswith(OPEN):
            raise BadInput(_unknown(name, known))
        try:
            _group(whole, group)[field] = value
        except TypeError as error:
            kind = type(known[name]).__name__
            raise BadInput(f"config.{name} must be of type {kind}, got {value!r}.") from error
    return whole


def _group(config: ConfigDict, path: str) -> ConfigDict:
    for name in filter(None, path.split(".")):
        config = config[name]
    return config


def complete(config: ConfigDict) -> ConfigDict:
    """The whole config, checked field by field and locked. Raises: BadInput."""
    config = merge(config).copy_and_resolve_references()
    values = dict(fields(config))
    try:
        for name in AT_LEAST_1:
            check_int(f"config.{name}", values[name], 1)
        for name in AT_LEAST_0:
            check_int(f"config.{name}", values[name], 0)
        for name, value in config.train.items():
            if isinstance(value, int):
                check_int(f"config.train.{name}", value, 0, 2**31 - 1)
        check_int("config.seed", config.seed, 0, 2**32 - 1)
        check_choice("config.precision", config.precision, PRECISIONS)
        check_choice("config.compute_dtype", config.compute_dtype, COMPUTE_DTYPES)
    except ValueError as error:
        raise BadInput(str(error)) from error
    for name, (low, high) in WITHIN.items():
        if not (math.isfinite(values[name]) and low <= values[name] <= high):
            raise BadInput(f"config.{name} must be a number from {low} to {high}, got {values[name]}.")
    for name, value in values.items():
        if isinstance(value, float):
            check_float32(f"config.{name}", value)
    _check_open(values)
    return config.lock()


def check_float32(field: str, value: float) -> None:
    """Raises BadInput, in one sentence, for a finite number that float32 takes as 0 or as infinite."""
    if 0 < abs(value) < LEAST or MOST < abs(value) < math.inf:
        raise BadInput(
            f"{field} must be 0, or from {LEAST:.2g} to {MOST:.2g} in size, as float32 has it, got {value!r}."
        )


def _check_open(values: dict[str, object]) -> None:
    """Of groups that take any field: default.py does not say of what type."""
    for name, value in values.items():
        try:
            json.dumps(value)
        except TypeError as error:
            raise BadInput(f"config.{name} must be fit for config.json, got {value!r}.") from error


def first_difference(one: ConfigDict, other: ConfigDict) -> str | None:
    """The first field, of those that change results, in which two whole configs differ."""
    inert = set(INERT) - ({"devices"} if one.train.sync_every > 1 else set())  # a replica on each device
    one, other = ({k: v for k, v in fields(config) if k not in inert} for config in (one, other))
    return next((k for k in [*one, *other] if one.get(k) != other.get(k)), None)
