"""Prints what the repository offers by name: cells, tasks, configs."""

import ast
import sys
from collections.abc import Iterable
from pathlib import Path

import r3nn


def first_line(doc: str | None) -> str:
    return doc.strip().partition("\n")[0] if doc else ""


def describe(name: str, value) -> str | None:
    """What the file that defines a cell or task says of itself: one paper or task, one file."""
    home = sys.modules[type(value).__module__]
    others = [module for path, module in sys.modules.items() if path.startswith(f"{home.__package__}._")]
    return next((module for module in (home, *others) if name in vars(module)), home).__doc__


def config_doc(path: Path) -> str | None:
    """Read, not imported: a listing must not run configs, and must survive a broken one."""
    try:
        return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    except SyntaxError as error:
        return f"cannot be read: {error}"


def show(title: str, rows: Iterable[tuple[str, str | None]]):
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    print(f"\n{title}:")
    for name, doc in rows:
        print(f"  {name:{width}}  {first_line(doc)}".rstrip())


if __name__ == "__main__":
    root = Path(__file__).parent.parent
    show("cells", ((name, describe(name, cell)) for name, cell in r3nn.CELLS.items()))
    show("tasks", ((name, describe(name, task)) for name, task in r3nn.TASKS.items()))
    configs = sorted((root / "configs").glob("[!_]*.py"))
    show("configs", ((f"configs/{path.name}", config_doc(path)) for path in configs))
