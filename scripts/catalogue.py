"""Prints what the repository offers by name: cells, tasks, configs, programs."""

import ast
import inspect
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import r3nn

ROOT = Path(__file__).resolve().parent.parent
SHELL = ("scripts/test", "scripts/slurm.sh")  # programs too, which a shell runs


def first_line(doc: str | None) -> str:
    """Returns the first line of a docstring, without "Defines" in front; "" where there is none."""
    line = doc.strip().partition("\n")[0].removeprefix("Defines ") if doc else ""
    return line[:1].upper() + line[1:] if line.partition(" ")[0].islower() else line  # xLSTM stays so


def describe(name: str, value) -> str | None:
    """Returns what stands below a cell or a task in its file, or else what the file says of itself."""
    home = sys.modules[type(value).__module__]
    others = [module for path, module in sys.modules.items() if path.startswith(f"{home.__package__}._")]
    home = next((module for module in (home, *others) if name in vars(module)), home)
    return below(name, inspect.getsource(home)) or home.__doc__


def below(name: str, source: str) -> str | None:
    """Returns the string below the assignment to a name, such as `gru = GRU()`."""
    body = ast.parse(source).body
    for before, after in zip(body, body[1:], strict=False):
        match before, after:
            case ast.Assign([ast.Name(found)]), ast.Expr(ast.Constant(str() as text)) if found == name:
                return text
    return None


def config(path: Path) -> tuple[str, str]:
    """Returns (FILE, or FILE and its variants; what it asks).

    The file is read, not imported, as a listing must run no config.
    """
    name = f"configs/{path.name}"
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        return name, f"cannot be read: {error}"
    return name + "".join(f" :{word}" for word in variants(tree)), first_line(ast.get_docstring(tree))


def variants(tree: ast.Module) -> list[str]:
    """Lists what `_variants.check(variant, ...)` lets through."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(ast.Name("_variants"), "check"), [_, *words]):
                return [word.value for word in words if isinstance(word, ast.Constant)]
    return []


def programs() -> Iterable[tuple[str, str]]:
    """Yields all that scripts/run runs, and all that a shell does, with what each says of itself."""
    for folder in ("experiments", "scripts"):
        for path in sorted((ROOT / folder).glob("[!_]*.py")):
            source = path.read_text(encoding="utf-8")
            if 'if __name__ == "__main__":' in source:
                yield f"{folder}/{path.name}", first_line(ast.get_docstring(ast.parse(source)))
    for name in SHELL:
        yield name, (ROOT / name).read_text(encoding="utf-8").splitlines()[1].lstrip("# ")


def show(title: str, rows: Iterable[tuple[str, str | None]]):
    """Prints a line for each name."""
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    print(f"\n{title}:")
    for name, doc in rows:
        print(f"  {name:{width}}  {first_line(doc)}".rstrip())


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `scripts/run | head` ends it without a word
    show("cells", ((name, describe(name, cell)) for name, cell in r3nn.CELLS.items()))
    show("tasks", ((name, describe(name, task)) for name, task in r3nn.TASKS.items()))
    show("configs, and their variants", map(config, sorted((ROOT / "configs").glob("[!_]*.py"))))
    show("programs", programs())
