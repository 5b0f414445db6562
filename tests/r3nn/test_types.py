"""What checkers of types and editors know of r3nn."""

import importlib.util
import inspect
import json
import subprocess
import sys
import tomllib
from typing import get_args, get_type_hints

import jax
import pytest

import r3nn
from r3nn import _literals
from r3nn.compose import _deep
from r3nn.model import BuildOptions, SizedOptions, build
from r3nn.time import MODES, explain
from tests.runs import ROOT


def test_the_options_of_a_module_are_those_of_build():
    """In names, in order and in types: what a constructor hands on to `build` has no list of its own."""
    signature, hints = inspect.signature(build).parameters, get_type_hints(build)
    del hints["return"]
    assert get_type_hints(BuildOptions) == hints
    assert [*SizedOptions.__annotations__] == [name for name in signature if name != "params"]
    assert {*BuildOptions.__annotations__} == {*signature}


def test_the_words_of_a_type_are_those_that_are_checked():
    assert get_args(_literals.Mode) == MODES
    assert get_args(_literals.Tie) == _deep.TIES and get_args(_literals.Order) == _deep.ORDERS
    for kind in get_args(_literals.Norm):
        r3nn.norm(r3nn.CELLS["gru"], kind)


def test_a_run_over_time_gives_a_pair():
    assert get_args(get_type_hints(r3nn.unroll)["return"])[1] is jax.Array
    assert get_type_hints(r3nn.unroll)["mode"] == get_type_hints(explain)["mode"]


def test_the_version_is_told_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" in project["project"]["dynamic"] and "version" not in project["project"]
    assert (ROOT / project["tool"]["hatch"]["version"]["path"]).samefile(r3nn.__file__)
    assert r3nn.__version__.count(".") == 2


#: a user's file; a checker complains of the lines that say so, and of no others
USERS = """
from typing import assert_type

import jax
import jax.numpy as jnp
from flax import nnx

import r3nn
import r3nn.linen
import r3nn.nnx
from r3nn.time import Newton

cell = r3nn.CELLS["gru"]
params = cell.init(jax.random.key(0), 3, 8)
xs = jnp.zeros((5, 3))
state, ys = r3nn.unroll(cell, params, None, xs, mode="scan")
assert_type(ys, jax.Array)
state, ys = r3nn.unroll(cell, params, state, xs, mode=Newton())
body = r3nn.deep(r3nn.norm(cell, "layer"), 3, tie="all", order="layerwise")
body = r3nn.deep(cell, 3, tie=2)
version: str = r3nn.__version__
rngs = nnx.Rngs(0)
r3nn.nnx.R3NN(in_size=3, out_size=1, cell="gru", norm="rms", tie=2, depth=4, mode="auto", rngs=rngs)
r3nn.linen.R3NN(in_size=3, out_size=1, cell=body, params=1000, name="x")

one, two, three = r3nn.unroll(cell, params, None, xs)  # wrong
r3nn.unroll(cell, params, None, xs, mode="scam")  # wrong
r3nn.deep(cell, 3, tie="some")  # wrong
r3nn.deep(cell, 3, order="layer")  # wrong
r3nn.norm(cell, "batch")  # wrong
r3nn.nnx.R3NN(in_sise=3, out_size=1, rngs=rngs)  # wrong
r3nn.nnx.R3NN(in_size="3", out_size=1, rngs=rngs)  # wrong
r3nn.linen.R3NN(in_sise=3, out_size=1)  # wrong
r3nn.linen.R3NN(in_size=3, out_size=1, mode="scam")  # wrong
"""


def test_a_checker_finds_what_is_wrong_in_a_users_file_and_nothing_else(tmp_path):
    if importlib.util.find_spec("basedpyright") is None:
        pytest.skip("basedpyright, of requirements.txt, is not installed")
    (tmp_path / "users.py").write_text(USERS)
    settings = {"typeCheckingMode": "standard", "extraPaths": [str(ROOT)], "include": ["users.py"]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    options = [f"--project={tmp_path}", f"--pythonpath={sys.executable}", "--outputjson"]
    command = [sys.executable, "-m", "basedpyright", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = [one for one in json.loads(done.stdout)["generalDiagnostics"] if one["severity"] == "error"]
    wrong = {number for number, line in enumerate(USERS.splitlines()) if line.endswith("# wrong")}
    assert {one["range"]["start"]["line"] for one in found} == wrong, found
