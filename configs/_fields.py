"""What a field of a config is: declared once, in default.py, for programs, checks, sweeps and --help."""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

INT32 = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Field:
    """Declares a field of a config: its default, its meaning and what it may be.

    usual: its default, of whose type it is; {}: an open group, of fields that default.py does not name.
    low, high: of a number, both included. of: the words that it may be; (): whoever reads it says.
    traced: no compiled program depends on it: runs that differ in such fields alone share one.
    inert: it changes no result, or by rounding alone.
    """

    usual: bool | int | float | str | Mapping
    meaning: str
    low: float = -math.inf
    high: float = math.inf
    of: tuple[str, ...] = ()
    traced: bool = False
    inert: bool = False

    @property
    def allowed(self) -> str:
        """Says in words what a value must be, such as "an integer at least 1"."""
        if self.of:
            return f"one of {', '.join(word or repr(word) for word in self.of)}"
        kinds = {bool: "true or false", int: "an integer", float: "a finite number", str: "text"}
        limits = [f"at least {self.low}"] if self.low > -math.inf else []
        limits += [f"at most {self.high}"] if self.high < math.inf else []
        return " ".join([kinds.get(type(self.usual), "an open group"), " and ".join(limits)]).rstrip()

    def allows(self, value: Any) -> bool:
        """Says whether the field may have a value, which is of the default's type; a group may have any."""
        if isinstance(self.usual, str | bool | Mapping):
            return value in self.of or not self.of
        return not isinstance(value, bool) and math.isfinite(value) and self.low <= value <= self.high


def refused(declared: Mapping[str, Field], values: Mapping[str, Any]) -> str | None:
    """Names the first of these values that its field does not allow; None where there is none."""
    return next(
        (name for name, x in values.items() if name in declared and not declared[name].allows(x)), None
    )


def count(usual: int, meaning: str, low: int = 0, high: float = INT32, **more) -> Field:
    """Makes a field of whole numbers from `low` to `high`, by default from 0 to the largest int32."""
    return Field(usual, meaning, low, high, **more)


def rate(usual: float, meaning: str, **more) -> Field:
    """Makes a field of chances or decay rates, which are below 1: at 1 nothing would be left."""
    return Field(usual, meaning, 0, 0.999999, **more)


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turns {"group.field": value} into dicts within dicts, {"group": {"field": value}}."""
    groups: dict[str, Any] = {}
    for name, value in values.items():
        *path, field = name.split(".")
        functools.reduce(lambda group, part: group.setdefault(part, {}), path, groups)[field] = value
    return groups
