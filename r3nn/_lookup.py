"""Looks up what the words and numbers of a config mean; what means nothing is an error of one sentence."""

import ast
import contextlib
import dataclasses
import difflib
import hashlib
import importlib.util
import inspect
import operator
import os
import pathlib
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any


class FieldError(ValueError):
    """Says what is wrong with an option. field: its name. The sentences of other errors begin with it; those
    that `about` has turned into this error may not."""

    def __init__(self, field: str, sentence: str):
        super().__init__(sentence)
        self.field = field

    def within(self, group: str) -> str:
        """Returns the sentence with the option named as a field of a group, such as "config.model."."""
        text = str(self)
        return f"{group}{text}" if text.startswith(self.field) else f"{group}{self.field}: {text}"


@contextlib.contextmanager
def about(field: str) -> Iterator[None]:
    """Turns a TypeError or a ValueError within its block into a FieldError of that option."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise FieldError(field, str(error)) from error


def lookup(
    kind: str, registry: Mapping[str, Any], name: str, of: type = object, *, allow_code: bool = False
) -> Any:
    """Looks up the value called `name`: a row of `registry`, or an attribute of a Python file.

    `lookup("task", TASKS, "adding")` is `TASKS["adding"]`; with allow_code,
    `lookup("task", TASKS, "mine.py:echo", allow_code=True)` runs `mine.py` (once a process: the same path
    gives the same object again) and returns its `echo`. A relative path counts from the working directory.

    Args:
      kind: what the registry holds, in the singular, for the messages: "task", "cell".
      registry: name -> value.
      name: a key of `registry`, or "path/to/file.py:attribute".
      of: the class of these values: another value of a file is refused, and not listed.
      allow_code: whether a file may be run. A caller that has read the name in a file must not allow it
        unless the user did.

    Raises:
      ValueError: no such name, file or attribute (the message gives the nearest names), or a file where none
        may be run. What the file itself raises comes through as it is.
    """
    if not isinstance(name, str):
        raise ValueError(f"{kind} must be a name, got {type(name).__name__}.")
    if name in registry:
        return registry[name]
    if found := in_file(name):
        return _attribute(kind, name, *found, of, allow_code)
    if name.endswith(".py"):
        raise ValueError(f"{kind} {name!r} names a file but no value in it: write {name}:NAME.")
    raise ValueError(unknown(kind, name, registry))


def in_file(name: str) -> tuple[pathlib.Path, str] | None:
    """Divides "path/to/file.py:attribute" into (the file's absolute path, the attribute); None for any other
    name."""
    path, colon, attribute = name.rpartition(":")
    if not (colon and path.endswith(".py")):
        return None
    return pathlib.Path(os.path.expanduser(path)).resolve(), attribute


def sha256(file: pathlib.Path) -> str:
    """Hashes the content of a Python file: as it ran in this process, or else as it is now. Raises:
    OSError."""
    ran = sys.modules.get(_module(file))
    return hashlib.sha256(file.read_bytes()).hexdigest() if ran is None else ran.__sha256__


def evaluate(
    kind: str,
    registry: Mapping[str, Any],
    functions: Mapping[str, Callable],
    text: str,
    of: type = object,
    *,
    allow_code: bool = False,
) -> Any:
    """Does as `lookup`, or evaluates a call: of a function, or of a row whose fields change.

    `evaluate("cell", CELLS, {"heads": heads}, "heads(gru, 4)")` is `heads(gru, 4)`, and "lem(dt=0.5)" is
    `dataclasses.replace(lem, dt=0.5)`. Calls nest; their arguments are rows, calls and literals; for a field
    whose metadata have "names", name -> value, one of these.

    Raises: ValueError, in one sentence, for what cannot be read or is unknown; what the functions raise.
    """
    if not isinstance(text, str) or "(" not in text or ".py:" in text:
        return lookup(kind, registry, text, of, allow_code=allow_code)
    try:
        return _evaluate(kind, registry, functions, ast.parse(text.strip(), mode="eval").body)
    except SyntaxError:
        raise ValueError(f"{kind} {text!r} is neither a name nor a call such as name(other, 4).") from None


def _evaluate(kind, registry, functions, node):
    evaluate = lambda node: _evaluate(kind, registry, functions, node)
    match node:
        case ast.Name(name):
            return lookup(kind, registry, name)
        case ast.Call(ast.Name(name), args, keywords):
            if any(word.arg is None for word in keywords) or any(isinstance(x, ast.Starred) for x in args):
                raise ValueError(
                    f"{kind} {ast.unparse(node)!r}: options stand by name, as in {name}(option=1)."
                )
            if name not in functions and name in registry:
                return _replace(kind, name, registry[name], args, keywords, evaluate)
            args, options = [*map(evaluate, args)], {k.arg: evaluate(k.value) for k in keywords}
            function = lookup(f"{kind} or function", {**registry, **functions}, name)
            try:
                inspect.signature(function).bind(*args, **options)
            except TypeError as error:
                raise ValueError(f"{kind} {ast.unparse(node)!r}: {name} has {error}.") from None
            return function(*args, **options)
    try:
        return ast.literal_eval(node)
    except (TypeError, ValueError):  # TypeError: a list in a set
        raise ValueError(f"{kind}: {ast.unparse(node)!r} is neither a name, a call nor a number.") from None


def _replace(kind, name, value, args, keywords, evaluate):
    fields = {field.name: field for field in dataclasses.fields(value) if field.init}
    fields = {name: field for name, field in fields.items() if not dataclasses.is_dataclass(field.type)}
    for option in [*map(ast.unparse, args), *(word.arg or ast.unparse(word) for word in keywords)]:
        if option not in fields:
            raise ValueError(unknown(f"field of {kind} {name},", option, fields))

    def read(option, node):
        if (names := fields[option].metadata.get("names")) is None:
            return _fitting(f"{kind} {name}: {option}", fields[option].type, evaluate(node))
        if (word := ast.unparse(node).strip("'\"")) not in names:
            raise ValueError(unknown(f"{kind} {name}: {option}", word, names))
        return names[word]

    return dataclasses.replace(value, **{word.arg: read(word.arg, word.value) for word in keywords})


def _fitting(what, kind, value):
    """Returns a field's value. Raises: ValueError where the field is a number and the value is not."""
    if kind in (int, float) and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{what} must be a number, got {value!r}.")
    return value


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Writes one sentence for a name that is not among `known`, with the nearest of those that are."""
    known = sorted(known)
    near = " or ".join(map(repr, difflib.get_close_matches(name, known)))
    hint = f"did you mean {near}? It" if near else "it"
    return f"{kind} {name!r} is unknown: {hint} must be one of {', '.join(known) or '(none)'}."


def did_you_mean(value: Any) -> str:
    """Ends a sentence about a value; one about a class that stands in its place, with a question."""
    return f": did you mean {value.__name__}()?" if isinstance(value, type) else "."


def check_int(field: str, value: Any, low: int, high: int | None = None) -> None:
    """Raises FieldError, in one sentence, unless `value` is an integer in [low, high].

    field: the name of the option; behind a space, more words may follow for the sentence.
    """
    allowed = f"at least {low}" if high is None else f"from {low} to {high}"
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    in_range = number is not None and low <= number and (high is None or number <= high)
    if isinstance(value, bool) or not in_range:
        raise FieldError(field.split()[0], f"{field} must be an integer {allowed}, got {value!r}.")


def check_choice(field: str, value: Any, allowed: Iterable[str]) -> None:
    """Raises FieldError, in one sentence, unless `value` is one of `allowed`. field: as in `check_int`."""
    if value not in (allowed := tuple(allowed)):
        raise FieldError(field.split()[0], f"{field} must be one of {', '.join(allowed)}, got {value!r}.")


def _attribute(kind: str, name: str, file: pathlib.Path, attribute: str, of: type, allow_code: bool) -> Any:
    """Returns `attribute` of a Python file, which `name` names, and which must be of this class."""
    if not file.is_file():
        raise ValueError(f"{kind} {name!r} needs a file that does not exist: {file}.")
    if not allow_code:
        raise ValueError(f"{kind} {name!r} would run the code of {file}: allow_code=True allows that.")
    there = vars(_load(file))
    if attribute not in there:
        fit = [name for name, value in there.items() if isinstance(value, of) and not name.startswith("_")]
        raise ValueError(unknown(f"in {name.rpartition(':')[0]}, {kind}", attribute, fit))
    if not isinstance(value := there[attribute], of):
        raise ValueError(f"{kind} {name!r} must be a {of.__name__} value, got {value!r}{did_you_mean(value)}")
    return value


def _load(file: pathlib.Path) -> types.ModuleType:
    """Runs a file as a module, or returns it if it has run: values compare equal only then."""
    name = _module(file)
    if name in sys.modules:
        return sys.modules[name]
    source = file.read_bytes()
    spec = importlib.util.spec_from_file_location(name, file)
    # Dataclasses and pickle find a class's module in sys.modules while the file still runs.
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    module.__sha256__ = hashlib.sha256(source).hexdigest()
    try:
        # Not by the module's loader, which would run a file of __pycache__ in place of this one.
        exec(compile(source, file, "exec", dont_inherit=True), vars(module))
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _module(file: pathlib.Path) -> str:
    """Returns the name in sys.modules of a file that has run."""
    return f"_r3nn_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
