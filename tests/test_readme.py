"""Documents keep their word: snippets run, files exist, commands are understood, formulas hold."""

import contextlib
import re
import runpy
import tomllib
from pathlib import Path

import jax
import pytest

import r3nn
from experiments import evaluate
from experiments.building.assembly import build
from experiments.config import command_line, loading
from tests.experiments.test_evaluate import untrained

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("r3nn", "configs", "experiments", "scripts", "tests", ".github")


def found(pattern: str) -> dict[str, str]:
    """The text of each document of that name, by its path in the repository."""
    paths = [*ROOT.glob(pattern), *(path for folder in FOLDERS for path in (ROOT / folder).rglob(pattern))]
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in sorted(paths)}


DOCUMENTS, READMES = found("*.md"), found("README.md")
README = READMES["README.md"]
CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
#: a document without its code
PROSE = {name: CODE.sub("", text) for name, text in DOCUMENTS.items()}


def blocks(language: str, text: str | None = None) -> list[str]:
    """The fenced blocks of a language, in a text or in all READMEs."""
    texts = READMES.values() if text is None else [text]
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return [block for text in texts for block in fence.findall(text)]


def tables(name: str) -> dict[str, list[list[str]]]:
    """Rows of each table of a README by the name of its first column, backticks taken off that column."""
    tables, rows = {}, None
    for line in READMES[name].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else None
        if cells is None:
            rows = None
        elif rows is None:
            rows = tables.setdefault(cells[0], [])
        elif not set(line) <= set("|-"):
            rows.append([cells[0].strip("`"), *cells[1:]])
    return tables


@pytest.fixture
def quick_compilation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


# Snippets.


@pytest.mark.parametrize("name", [name for name, text in READMES.items() if blocks("python", text)])
def test_snippets_run(name, tmp_path, monkeypatch, quick_compilation):
    """Those of a README one behind the other, as one program, where the quickstart has left a run."""
    snippets = blocks("python", READMES[name])
    if any("runs/quickstart" in snippet for snippet in snippets):
        (tmp_path / "runs" / "quickstart").mkdir(parents=True)
        untrained(tmp_path / "runs" / "quickstart", loading.load(str(ROOT / "configs" / "quickstart.py")))
    monkeypatch.chdir(tmp_path)
    program = {"__name__": "__main__"}
    for snippet in snippets:
        exec(compile(snippet, name, "exec"), program)


def test_there_are_snippets():
    """On the front page one, of twelve lines."""
    (front,) = blocks("python", README)
    assert len(front.splitlines()) == 12
    assert len(blocks("python")) >= 20


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
    lines = dict.fromkeys(line for block in blocks("sh") for line in block.splitlines())
    assert lines and all(line.startswith("scripts/") for line in lines)
    return [line.split() for line in lines]


def users_files(folder: Path) -> dict[str, Path]:
    """The files that READMEs let a user write, written."""
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
    if words[1:2] == ["experiments/train.py"] and words[2:] != ["--help"]:
        for name, path in users_files(tmp_path).items():
            words = [word.replace(f"={name}:", f"={path}:") for word in words]
        if any(word.endswith("=my.npz") for word in words):
            with contextlib.chdir(tmp_path):
                runpy.run_path("my_data.py")
            words = [word.replace("=my.npz", f"={tmp_path / 'my.npz'}") for word in words]
        if words[-1].endswith("=runs/quickstart"):  # a run that was trained before
            untrained(tmp_path, loading.load(str(ROOT / "configs" / "quickstart.py")))
            words[-1] = words[-1].replace("runs/quickstart", str(tmp_path))
        build(command_line.parse(words[1:], "").config, allow_code=True)
    if words[1:2] == ["experiments/evaluate.py"]:
        evaluate.parse(words[1:])


# Files, links and tables.


def tree(block: str) -> list[str]:
    """Paths in an annotated tree."""
    paths, folders = [], []
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        folders[depth:] = [line.split()[0]]
        paths.append("".join(folders))
    return paths


def there(path: str, document: str) -> bool:
    """Whether a path exists: from the root, from the document's folder, or from the one above it."""
    here = (ROOT / document).parent
    return any((folder / path).exists() for folder in (ROOT, here, here.parent))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_exist(name):
    """Those in trees, in links, and in backticks with a slash, but for what runs and .venv will hold."""
    named = [path for block in blocks("tree", DOCUMENTS[name]) for path in tree(block)]
    named += re.findall(r"`((?:[\w.-]+/)+[\w.-]*)(?::[\w.]+)*`", PROSE[name])
    assert not [path for path in named if not (path.startswith(("runs/", ".venv/")) or there(path, name))]


def anchors(text: str) -> set[str]:
    """The names of a document's headings in links."""
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    for link in re.findall(r"\]\((?!https?://)([^)]+)\)", PROSE[name]):
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text("utf-8")), link


def test_every_document_is_found_from_the_front_page():
    """Link by link."""
    seen, queue = set(), ["README.md"]
    while queue:
        name = queue.pop()
        if name in DOCUMENTS and name not in seen:
            seen.add(name)
            links = re.findall(r"\]\((?!https?://)([^)#]+)", PROSE[name])
            paths = ((ROOT / name).parent / link for link in links)
            queue += [path.resolve().relative_to(ROOT).as_posix() for path in paths]
    assert seen == set(DOCUMENTS)


def test_front_page_is_short():
    assert len(README.splitlines()) <= 220


def test_what_leaves_the_repository_has_no_relative_link():
    """The front page as a wheel has it, by the substitutions of pyproject.toml; and what is to be cited."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    text = README
    for rule in project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(rule["pattern"], rule["replacement"], text)
    assert text != README and not re.search(r"\]\((?!https?://)", text)
    assert "the glossary" in text and "#glossary" not in text
    assert "![" not in text and "On the left" not in text and "\n## Two commands\n" in text
    assert f"version = {{{r3nn.__version__}}}" in blocks("bibtex", README)[0]


def test_glossary_is_short():
    assert 20 < len(tables("r3nn/README.md")["word"]) <= 40


def test_every_config_and_task_is_named():
    for path in (ROOT / "configs").glob("[!_]*.py"):
        assert f"`configs/{path.name}`" in READMES["configs/README.md"]
    assert all(f"| `{name}` |" in READMES["r3nn/README.md"] for name in r3nn.TASKS)


def test_every_example_is_named():
    rows = {row[0] for row in tables("experiments/README.md")["example"]}
    assert rows == {
        f"experiments/examples/{path.name}" for path in ROOT.glob("experiments/examples/[!_]*.py")
    }


def test_tables_of_cells():
    """On the front page too, in short; how each reads its state."""
    rows = {row[0]: row for row in tables("r3nn/cells/README.md")["cell"]}
    assert set(rows) == set(r3nn.CELLS)
    for name, (_, _, _, file, _, parameters, state) in rows.items():
        assert f"\n{name} = " in (ROOT / file.strip("`")).read_text()
        cell, sizes = r3nn.CELLS[name], {"D": 3, "H": 5}
        params = jax.eval_shape(lambda key, cell=cell: cell.init(key, 3, 5), jax.random.key(0))
        states = jax.eval_shape(cell.initial_state, params)
        count = lambda shapes: sum(leaf.size for leaf in jax.tree.leaves(shapes))
        assert (value(parameters, sizes), value(state, sizes)) == (count(params), count(states)), name
    front = [(name, paper, state) for name, _, paper, _, _, _, state in rows.values()]
    assert [tuple(row) for row in tables("README.md")["cell"]] == front
    kinds = {row[0]: re.findall(r"`(\w+)`", row[2]) for row in tables("r3nn/cells/README.md")["recurrence"]}
    assert {name: kind for kind, names in kinds.items() for name in names} == {
        name: cell.recurrence for name, cell in r3nn.CELLS.items()
    }


def value(formula: str, sizes: dict[str, int]) -> int:
    """2H(D+H+1) + 2D and the like."""
    return eval(re.sub(r"(?<=[\dH])(?=[DH(])", "*", formula), {}, sizes)


def test_table_of_compositions():
    """Every function of r3nn that makes cells, and options that there are."""
    rows = tables("r3nn/README.md")["composition"]
    named = {name for row in rows for name in re.findall(r"`?(\w+)\(", row[0])}
    made = {name for name in r3nn.compose.__all__ if name.islower()} - {"prepare_part", "run_part"}
    options = {name for row in rows for name in re.findall(r"`(\w+)`", row[2])}
    assert made <= named and options <= set(loading.load(f"{ROOT}/configs/default.py").model)


def test_table_of_the_article():
    rows = tables("r3nn/model/README.md")["section"]
    files = [re.findall(r"`([\w/.]+)`", row[2]) for row in rows]
    equations = {"3.1.1", "3.1.2", "3.1.3", "3.2.1", "3.2.2", "3.2.3"}
    for (section, *_), named in zip(rows, files, strict=True):
        if section in equations:
            assert f"({section})" in (ROOT / named[0]).read_text("utf-8") or section == "3.2.1"
    assert equations <= {row[0] for row in rows}


def test_the_first_table_of_performance_is_of_the_figures_below():
    """Geometric means, rounded as the bars have them."""
    text = DOCUMENTS["scripts/PERFORMANCE.md"]
    rows = re.findall(r"^\| `([\w-]+)`, [a-z][^|]*\|(.*)\|$", text.partition("## Memory")[0], re.MULTILINE)
    means = dict(re.findall(r"^([\w-]+ against \w+): geometric mean ([\d.]+)", text, re.MULTILINE))
    peers, names = ("flax", "torch", "equinox", "keras"), [name for name, _ in rows]
    assert names == ["gru", "lstm", "step", "r3nn", "r3nn-cores"]
    for name, cells in rows:
        ratios = dict(zip(peers, map(str.strip, cells.split("|")), strict=True))
        assert ratios == {peer: means.get(f"{name} against {peer}", "") for peer in peers}


def test_exit_statuses_are_those_of_the_programs():
    text = (ROOT / "experiments" / "errors.py").read_text("utf-8")
    statuses = [
        word for row in tables("experiments/README.md")["status"] for word in re.findall(r"\d+", row[0])
    ]
    assert statuses == ["0", "1", "2", "3", "4", "141", "130", "143", "134"]
    assert all(re.search(rf"\b{status}\b", text) for status in statuses)


def test_outputs_are_of_this_repository():
    """The numbers in the picture and in the outputs come from runs; nothing was left to fill in."""
    assert not [name for name, text in DOCUMENTS.items() if "OUTPUT" in text]
    assert (ROOT / "experiments" / "results" / "readme.png").stat().st_size < 300_000
