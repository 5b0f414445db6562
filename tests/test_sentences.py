"""What a program says when it refuses ends as a sentence does: with a full stop, or a question mark."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = [
    path for room in ("r3nn", "experiments", "configs", "scripts") for path in (ROOT / room).rglob("*.py")
]
#: what is no sentence but the reason in one: its handler puts it in brackets, or behind "because"
REASONS = {"Damaged", "DatabaseError", "DoesNotApply"}


def last_words(node, functions, here):
    """The ends that a message may have, as far as the source says; of one that is only passed on, none.

    functions: by name, whose results may end it. here: the function that raises it.
    """
    more = lambda node, here=here: last_words(node, functions, here)
    match node:
        case ast.Constant(str(text)) | ast.JoinedStr([*_, ast.Constant(str(text))]):
            return [text]
        case ast.JoinedStr([*_, ast.FormattedValue(value, -1, None)]):
            passed_on = ast.unparse(value) in ("error", "str(error)")  # the message of another error
            return more(value) or ([] if passed_on else [ast.unparse(value)])
        case ast.JoinedStr([*_, value]):
            return [ast.unparse(value)]
        case ast.BinOp(_, ast.Add(), right):
            return more(right)
        case ast.IfExp(_, one, other):
            return more(one) + more(other)
        case ast.Name(name):
            assigned = (part for part in ast.walk(here) if isinstance(part, ast.Assign))
            values = [part.value for part in assigned if ast.unparse(part.targets[0]) == name]
            return [end for value in values if not isinstance(value, ast.Name) for end in more(value)]
        case ast.Call(ast.Name(name)) if name in functions:
            results = (part.value for part in ast.walk(functions[name]) if isinstance(part, ast.Return))
            return [end for value in results for end in more(value, functions[name])]
    return []


def functions_of(tree):
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def made(error, function, functions):
    """(the call that makes an error, the function it stands in): of a helper, what that returns."""
    name = ast.unparse(error.func).split(".")[-1]
    if name not in functions:
        return [] if name in REASONS or not error.args else [(error, function)]
    results = (part.value for part in ast.walk(functions[name]) if isinstance(part, ast.Return))
    calls = (result for result in results if isinstance(result, ast.Call))
    return [found for call in calls for found in made(call, functions[name], functions)]


def bad_ends(trees):
    """Lists what a message ends with that ends no sentence."""
    shared = {name: node for tree in trees.values() for name, node in functions_of(tree).items()}
    for place, tree in trees.items():
        functions = shared | functions_of(tree)
        for function in functions_of(tree).values():
            for node in ast.walk(function):
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                    for call, here in made(node.exc, function, functions):
                        for end in last_words(call.args[-1], functions, here):
                            if not end.rstrip().endswith((".", "?")):
                                yield f"{place}:{node.lineno}: {end}"


def test_sentences_end_alike():
    trees = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in FILES}
    assert not list(bad_ends(trees))


def test_what_is_found():
    """In place, behind a name, in a helper; what another error says is passed on."""
    code = """
def refuse(x):
    what = f"x={x}: {allowed(x)}"
    raise ValueError(f"bad {what}")

def allowed(x):
    return "must be 1" if x else "must be 2."

def other(error):
    raise ValueError("short", f"x is {error!r}") from error
    raise ValueError(f"x: {error}") from error
"""
    found = {*bad_ends({"file": ast.parse(code)})}
    assert found == {"file:4: must be 1", "file:10: {error!r}"}
