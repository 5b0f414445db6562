"""README.md keeps its word: snippets run, files exist, commands are understood, formulas hold."""

import re
from pathlib import Path

import jax
import pytest

import r3nn
from experiments import _config, evaluate
from experiments._build import build
from tests.test_evaluate import untrained

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def tables() -> dict[str, list[list[str]]]:
    """Rows of each table by the name of its first column, backticks taken off that column."""
    found, rows = {}, None
    for line in README.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else None
        if cells is None:
            rows = None
        elif rows is None:
            rows = found.setdefault(cells[0], [])
        elif not set(line) <= set("|-"):
            rows.append([cells[0].strip("`"), *cells[1:]])
    return found


@pytest.fixture
def quick_compilation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


# Snippets.


def test_snippets_run(tmp_path, monkeypatch, quick_compilation):
    """One behind the other, as one program, in a folder where the quickstart has left a run."""
    config = _config.load(str(ROOT / "configs" / "quickstart.py"))
    (tmp_path / "runs" / "quickstart").mkdir(parents=True)
    untrained(tmp_path / "runs" / "quickstart", config)
    monkeypatch.chdir(tmp_path)
    program = {"__name__": "__main__"}
    snippets = blocks("python")
    assert len(snippets) >= 8
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), program)


def test_the_example_of_a_cell_takes_all_that_gated_cells_do():
    """Another activation, and noise on it: without it, and from 0, nothing but the leak remains."""
    program = {"__name__": "my"}
    exec(next(snippet for snippet in blocks("python") if snippet.startswith("# my.py")), program)
    cell = program["Leaky"](activation=jax.nn.relu)
    assert program["leaky"].bounds == (-1, 1) and cell.bounds is None
    noisy, xs = r3nn.recurrent_dropout(cell, 0.5), jax.numpy.ones((2, 3, 1))
    params = jax.tree.map(jax.numpy.ones_like, cell.init(jax.random.key(0), 1, 4))
    _, (first, second) = r3nn.unroll(noisy, params, None, xs, key=jax.random.key(1), mode="plain")
    written = (second - 0.9 * first) / 0.1  # 2 relu(x + 4 means + b), or 0
    allowed = 2 * (2 + first.sum(-1, keepdims=True)) * jax.numpy.array([[[0]], [[1]]])
    assert (abs(written - allowed) < 1e-4).any(0).all() and (written == 0).any() and (written > 2).any()


# Commands.


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert lines and all(line.startswith("scripts/") for line in lines)
    return [line.split() for line in lines]


def users_files(folder: Path) -> dict[str, Path]:
    """The files that the README lets a user write, written."""
    named = [re.match(r"# (\w+\.py)\n", snippet) for snippet in blocks("python")]
    for match in filter(None, named):
        (folder / match[1]).write_text(match.string)
    return {match[1]: folder / match[1] for match in filter(None, named)}


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words[1:4]) or words[0])
def test_commands_are_understood(words, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert (ROOT / words[0]).is_file()
    if words[1:] and not words[1].startswith("-"):
        assert (ROOT / words[1]).is_file()
    if words[1:2] == ["experiments/train.py"]:
        for name, path in users_files(tmp_path).items():
            words = [word.replace(f"={name}:", f"={path}:") for word in words]
        if words[-1].endswith("=runs/quickstart"):  # a run that was trained before
            untrained(tmp_path, _config.load(str(ROOT / "configs" / "quickstart.py")))
            words[-1] = words[-1].replace("runs/quickstart", str(tmp_path))
        build(_config.parse(words[1:], "").config, allow_code=True)
    if words[1:2] == ["experiments/evaluate.py"]:
        evaluate.parse(words[1:])


# Files and tables.


def tree() -> list[str]:
    """Paths in the annotated tree."""
    paths, folders = [], []
    for line in blocks("tree")[0].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        folders[depth:] = [line.split()[0]]
        paths.append("".join(folders))
    return paths


def test_files_exist():
    folders = "|".join(["r3nn", "configs", "experiments", "scripts", "tests"])
    named = re.findall(rf"(?<![\w/])(?:{folders})/[\w/.]*\w", README) + tree()
    assert len(named) > 50
    assert not [path for path in named if not (ROOT / path).exists()]


def test_every_config_and_task_is_named():
    for path in (ROOT / "configs").glob("[!_]*.py"):
        assert f"`configs/{path.name}`" in README
    assert all(f"`{name}`" in README for name in r3nn.TASKS)


def test_table_of_cells():
    rows = {row[0]: row for row in tables()["cell"]}
    assert set(rows) == set(r3nn.CELLS)
    for name, (_, _, _, file, _, parameters, state) in rows.items():
        assert f"\n{name} = " in (ROOT / file.strip("`")).read_text()
        cell, sizes = r3nn.CELLS[name], {"D": 3, "H": 5}
        params = jax.eval_shape(lambda key, cell=cell: cell.init(key, 3, 5), jax.random.key(0))
        states = jax.eval_shape(cell.initial_state, params)
        count = lambda shapes: sum(leaf.size for leaf in jax.tree.leaves(shapes))
        assert (value(parameters, sizes), value(state, sizes)) == (count(params), count(states)), name


def value(formula: str, sizes: dict[str, int]) -> int:
    """2H(D+H+1) + H and the like."""
    return eval(re.sub(r"(?<=[\dH])(?=[H(])", "*", formula), {}, sizes)


def test_table_of_compositions():
    """Every function of r3nn that makes cells, and options that there are."""
    rows = tables()["composition"]
    named = {name for row in rows for name in re.findall(r"`?(\w+)\(", row[0])}
    made = {name for name in r3nn.compose.__all__ if name.islower()} - {"run_part"}
    options = {name for row in rows for name in re.findall(r"`(\w+)`", row[2])}
    assert made <= named and options <= set(_config.load(f"{ROOT}/configs/default.py").model)


def test_table_of_the_article():
    files = [re.findall(r"`([\w/.]+)`", row[2]) for row in tables()["section"]]
    equations = {"3.1.1", "3.1.2", "3.1.3", "3.2.1", "3.2.2", "3.2.3"}
    for (section, *_), named in zip(tables()["section"], files, strict=True):
        if section in equations:
            assert f"({section})" in (ROOT / named[0]).read_text("utf-8") or section == "3.2.1"
    assert equations <= {row[0] for row in tables()["section"]}


def test_exit_statuses_are_those_of_the_programs():
    text = (ROOT / "experiments" / "errors.py").read_text("utf-8")
    statuses = [word for row in tables()["status"] for word in re.findall(r"\d+", row[0])]
    assert statuses == ["0", "1", "2", "3", "4", "130", "143", "134"]
    assert all(re.search(rf"\b{status}\b", text) for status in statuses)


def test_outputs_are_of_this_repository():
    """The numbers in the picture and in the outputs come from runs; nothing was left to fill in."""
    assert "OUTPUT" not in README
    assert (ROOT / "experiments" / "results" / "readme.png").stat().st_size < 300_000
