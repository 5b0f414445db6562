"""experiments/runs.py: which folders are runs, what is said of each, and the figure of their curves."""

import json
import os
import shutil

import pytest
from matplotlib.figure import Figure

from experiments import runs, train
from experiments.config import named_code
from experiments.figures import curves
from experiments.program.files import to_json, write
from experiments.saved.workdir import SHOWN, Workdir
from tests.runs import everything, tiny, train_line


def made(folder, lines=(), result=None, **fields):
    """The folder of a run with these lines of metrics.jsonl, and a result where one is given."""
    folder.mkdir(parents=True)
    place, config = Workdir(folder), tiny(**fields)
    write(place.config, to_json(named_code.record(config)))
    if lines:
        kinds = ("train", "eval")
        texts = [json.dumps({"kind": kinds[name == "mse"], "update": u, name: x}) for u, name, x in lines]
        write(place.metrics, "\n".join(texts) + '\n{"kind": "train", "upd')  # the last is being written
    if result:
        usual = dict.fromkeys(SHOWN) | {"metric": "mse", "higher_is_better": False, "seconds": 75.0}
        write(place.result, to_json(usual | result))
    return folder


@pytest.fixture
def home(tmp_path):
    """A sweep's trials, a run under way, one not begun, one of a file, and folders that are no good runs."""
    for number, (lr, mse) in enumerate([(0.1, 0.5), (0.2, 0.25), (0.3, 0.4)]):
        lines = [(4, "loss", 1.0), (8, "loss", mse), (8, "mse", mse)]
        folder = tmp_path / "sweep" / "trials" / f"0000{number}"
        made(folder, lines, {"value": mse, "updates": 14}, **{"optimizer.lr": lr})
    lines = [(4, "loss", 2.0), (4, "mse", 1.5), (8, "mse", 1.25), (8, "loss", None), (12, "loss", 1e500)]
    made(tmp_path / "going", lines, **{"seed": 7})
    made(tmp_path / "new")
    (tmp_path / "cell.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    made(tmp_path / "own", **{"model.cell": f"{tmp_path}/cell.py:cell"})
    for name, text in {"broken": "{", "other": '{"speed": 3}', "deep": "[" * 100_000}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    (tmp_path / "own" / "checkpoints" / "3").mkdir(parents=True)
    (tmp_path / "own" / "checkpoints" / "3" / "config.json").write_text("{}")  # no run
    os.symlink(tmp_path, tmp_path / "round")
    return tmp_path


def run(capsys, *arguments):
    capsys.readouterr()
    status = runs.main(["runs.py", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_a_line_for_each_run(home, capsys):
    before = everything(home)
    status, out, err = run(capsys, home, home / "new", "--figure=")
    assert (status, err) == (0, "") and everything(home) == before
    lines = {line.split()[1]: " ".join(line.split()[2:]) for line in out.splitlines()[:6]}
    trial = f"{home}/sweep/trials/0000"
    assert list(lines) == [
        f"{trial}1",
        f"{trial}2",
        f"{trial}0",
        f"{home}/going",
        f"{home}/new",
        f"{home}/own",
    ]
    usual = "model.cell=ugrnn optimizer.lr={} seed={}"
    assert lines[f"{trial}2"] == f"{usual.format(0.3, 0)} finished after 14 updates test mse 0.4 1 min 15 s"
    at = "at update 12 of 14 held-out mse 1.25"
    assert lines[f"{home}/going"] == f"{usual.format(0.1, 7)} {at}"
    assert lines[f"{home}/new"] == f"{usual.format(0.1, 0)} not begun"
    bad = out.splitlines()[6:]
    assert len(bad) == 3 and all(
        f"{home}/{name}: unreadable (" in out for name in ("broken", "other", "deep")
    )
    assert "'speed' is unknown" in out and not (home / "ran").exists()


def test_the_figure(home, capsys, monkeypatch):
    """Curves of what is finite, the best run first; and nothing else is ever replaced."""
    figures = []
    monkeypatch.setattr(curves.plots, "save", lambda *args, **more: figures.append((args, more)))
    status, out, _ = run(capsys, home)
    (((figure, path), _),) = figures
    assert status == 0 and path == home / "runs.png" and out.endswith(f"\n{path}\n")
    loss, metric = figure.axes
    assert metric.get_title(loc="left") == "held-out mse" and loss.get_yscale() == "log"
    drawn = {tuple(line.get_ydata()) for line in loss.lines if len(line.get_ydata())}
    assert drawn == {(1.0, 0.25), (1.0, 0.4), (1.0, 0.5), (2.0,)}
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(words) == 4 and words[0].startswith(f"1 {home}/sweep/trials/00001")


def test_more_runs_than_looks(capsys):
    """The best have a colour, the others are grey and counted."""
    many = [
        runs.Run(None, {}, [], (n,), "$a_$", False, [(1, 1.0 + n), (2, 1.0)], [(2, 1.0)])
        for n in range(curves.LINES + 3)
    ]
    figure = curves.draw(many, [f"{n} $x_{n}" for n in range(len(many))])
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(words) == curves.LINES + 1 and words[-1] == "3 others"
    figure.savefig(os.devnull, format="png")  # no formula is seen in a "$"
    assert curves.draw([many[0]._replace(loss=[], held_out=[])], ["1"]) is None


def test_what_stands_in_place_of_the_figure(home, capsys):
    mine = home / "mine.png"
    Figure().savefig(mine)
    before = mine.read_bytes()
    status, out, err = run(capsys, home, f"--figure={mine}")
    assert (status, out) == (2, "") and "mine.png: is there, and no figure of this program" in err
    assert mine.read_bytes() == before
    assert run(capsys, home, f"--figure={home}")[0] == 2
    mine.unlink()
    assert run(capsys, home, f"--figure={mine}")[0] == run(capsys, home, f"--figure={mine}")[0] == 0


@pytest.mark.parametrize(
    "arguments, word",
    [
        ((), "no folder"),
        (("{home}/no",), "is no folder"),
        (("{home}/x",), "no run"),
        (("--figures=",), "figure"),
    ],
)
def test_what_is_refused(arguments, word, tmp_path, capsys):
    (tmp_path / "x").mkdir()
    status, out, err = run(capsys, *(text.format(home=tmp_path) for text in arguments))
    assert (status, out) == (2, "") and err.count("\n") == 1 and word in err
    assert not list(tmp_path.rglob("*.png"))


def test_a_real_run(tmp_path, capsys):
    """Its own words, from its files; twice the same run at two places is one line."""
    assert train.main(train_line(tmp_path / "run")) == 0
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    status, out, _ = run(capsys, tmp_path / "run", tmp_path / "copy", tmp_path)
    value, where = f"after 14 updates  test mse {result['value']:.4g}", tmp_path / "run" / "runs.png"
    assert status == 0 and out.count(value) == 2 and where.read_bytes().startswith(b"\x89PNG")
    assert train.main(train_line(tmp_path / "run")) == 0  # the figure is in nobody's way
