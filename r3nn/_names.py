"""From the words and numbers of a config to what they mean, or to one sentence of complaint."""

import ast
import dataclasses
import difflib
import hashlib
import importlib.util
import inspect
import operator
import pathlib
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def lookup(kind: str, registry: Mapping[str, Any], name: str) -> Any:
    """The value called `name`: a row of `registry`, or an attribute of a Python file.

    `lookup("task", TASKS, "adding")` is `TASKS["adding"]`; `lookup("task", TASKS, "mine.py:echo")`
    runs `mine.py` (once a process: the same path gives the same object again) and returns its
    `echo`. A relative path counts from the working directory.

    Args:
      kind: what the registry holds, in the singular, for the messages: "task", "cell".
      registry: name -> value.
      name: a key of `registry`, or "path/to/file.py:attribute".

    Raises:
      ValueError: no such name, file or attribute; the message gives the nearest names. What the
        file itself raises comes through as it is.
    """
    if not isinstance(name, str):
        raise ValueError(f"{kind} must be a name, got {type(name).__name__}.")
    if name in registry:
        return registry[name]
    path, colon, attribute = name.rpartition(":")
    if colon and path.endswith(".py"):
        return _attribute(kind, path, attribute)
    if name.endswith(".py"):
        raise ValueError(f"{kind} {name!r} names a file but no value in it: write {name}:NAME.")
    raise ValueError(unknown(kind, name, registry))


def evaluate(kind: str, registry: Mapping[str, Any], functions: Mapping[str, Callable], text: str) -> Any:
    """As `lookup`, or what a call says: of a function, or of a row whose fields change.

    `evaluate("cell", CELLS, {"heads": heads}, "heads(gru, 4)")` is `heads(gru, 4)`, and "lem(dt=0.5)" is
    `dataclasses.replace(lem, dt=0.5)`. Calls nest; their arguments are rows, calls and literals.

    Raises: ValueError, in one sentence, for what cannot be read or is unknown; what the functions raise.
    """
    if not isinstance(text, str) or "(" not in text or ".py:" in text:
        return lookup(kind, registry, text)
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
            args, options = [*map(evaluate, args)], {k.arg: evaluate(k.value) for k in keywords}
            if name not in functions and name in registry:
                return _replace(kind, name, registry[name], args, options)
            function = lookup(f"{kind} or function", {**registry, **functions}, name)
            try:
                inspect.signature(function).bind(*args, **options)
            except TypeError as error:
                raise ValueError(f"{kind} {ast.unparse(node)!r}: {name} has {error}.") from None
            return function(*args, **options)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{kind}: {ast.unparse(node)!r} is neither a name, a call nor a number.") from None


def _replace(kind, name, value, args, options):
    fields = [field.name for field in dataclasses.fields(value) if not dataclasses.is_dataclass(field.type)]
    for option in [*map(repr, args), *options]:
        if option not in fields:
            raise ValueError(unknown(f"field of {kind} {name},", option, fields))
    return dataclasses.replace(value, **options)


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """One sentence for a name that is not among `known`, with the nearest of those that are."""
    known = sorted(known)
    near = " or ".join(map(repr, difflib.get_close_matches(name, known)))
    hint = f"did you mean {near}? It" if near else "it"
    return f"{kind} {name!r} is unknown: {hint} must be one of {', '.join(known) or '(none)'}."


def check_int(field: str, value: Any, low: int, high: int | None = None) -> None:
    """Raises ValueError, in one sentence, unless `value` is an integer in [low, high]."""
    allowed = f"at least {low}" if high is None else f"from {low} to {high}"
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    in_range = number is not None and low <= number and (high is None or number <= high)
    if isinstance(value, bool) or not in_range:
        raise ValueError(f"{field} must be an integer {allowed}, got {value!r}.")


def check_choice(field: str, value: Any, allowed: Iterable[str]) -> None:
    """Raises ValueError, in one sentence, unless `value` is one of `allowed`."""
    if value not in (allowed := tuple(allowed)):
        raise ValueError(f"{field} must be one of {', '.join(allowed)}, got {value!r}.")


def _attribute(kind: str, path: str, attribute: str) -> Any:
    """`attribute` of the Python file at `path`."""
    file = pathlib.Path(path).expanduser().resolve()
    if not file.is_file():
        raise ValueError(f"{kind} '{path}:{attribute}' needs a file that does not exist: {file}.")
    module = _load(file)
    if attribute not in vars(module):
        public = [name for name in vars(module) if not name.startswith("_")]
        raise ValueError(unknown(f"in {path}, {kind}", attribute, public))
    return getattr(module, attribute)


def _load(file: pathlib.Path) -> types.ModuleType:
    """Runs a file as a module, or returns it if it has run: values compare equal only then."""
    name = f"_r3nn_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    # Dataclasses and pickle find a class's module in sys.modules while the file still runs.
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
