"""experiments/evaluate.py: long sequences in chunks, and what the program says and writes."""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

import experiments
from configs import default
from experiments import evaluate
from experiments.building.assembly import build
from experiments.config import named_code
from experiments.errors import BadInput, NotRead
from experiments.evaluation import generation, intervals, positions, streaming, worst_words
from experiments.evaluation.streaming import Options, Subject
from experiments.figures import lengths
from experiments.program.files import to_json, write
from experiments.saved.checkpoints import Checkpoints, Counters
from experiments.saved.learned import restore
from experiments.saved.workdir import Workdir
from r3nn import model, training
from r3nn.tasks import Batch, get_task
from r3nn.training import _pieces
from tests.helpers import assert_close
from tests.runs import ROOT, everything, tiny


@pytest.fixture(autouse=True, scope="module")
def compile_quickly():
    """Most of these tests' time would go into optimising programs that run once."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@dataclasses.dataclass(frozen=True)
class Counted(model.Model):
    """A model that counts how often a program of it is traced."""

    def chunk_depths(self, *args, **options):
        TRACES.append(self)
        return super().chunk_depths(*args, **options)


TRACES = []


@pytest.fixture(autouse=True)
def caches(monkeypatch):
    """The caches of compiled programs that are asked for; none is made."""
    asked = []
    monkeypatch.setattr(evaluate.jax_settings, "use_cache", lambda config: asked.append(config.cache_dir))
    return asked


def learner_of(task, **options):
    """A learner, and parameters of a small model of the task."""
    sizes = {"vocab": task.vocab} if task.vocab else {"in_size": task.in_size}
    built = model.build(**sizes, out_size=task.out_size, hidden_size=5, **options)
    built = Counted(**{field.name: getattr(built, field.name) for field in dataclasses.fields(built)})
    return training.Supervised(built, task, length=30), numbers(jax.eval_shape(built.init, jax.random.key(0)))


def numbers(shapes):
    """Arrays of such shapes; compiling a random initialisation takes a second."""
    draw = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: jnp.asarray(draw.normal(0, 0.5, leaf.shape), leaf.dtype), shapes)


CASES = {
    "last": lambda: learner_of(
        get_task("adding"), predict="last", depth=2, depth_cell="gru", predict_depths=True
    ),
    "feedback": lambda: learner_of(get_task("parity", labels="every"), feedback="probabilities"),
    "minimum length": lambda: learner_of(get_task("copy_memory", recall=3, loss_over="all"), cell="lstm"),
}


@pytest.mark.parametrize("case, chunks", [("last", (1, 7)), ("feedback", (5, 24)), ("minimum length", (8,))])
def test_chunks_give_the_numbers_of_the_whole(case, chunks):
    learner, params = CASES[case]()
    length, drawn = 23, 28
    subject = Subject(learner.streamed(), params)
    sequences = streaming.samples(
        subject.streamed, None, jax.random.key(1), np.arange(4), np.int32(length), drawn
    )
    sequences = jax.tree.map(np.asarray, sequences)
    whole = Batch(*(leaf[:, :length] for leaf in sequences))
    ys = jax.jit(training.Supervised.predictions, static_argnums=0)(learner, params, whole)[-1]
    expected = jax.jit(learner.task.tally)(ys, learner.counted(whole))
    for chunk in chunks:
        assert_close(streaming.stream(subject, sequences, length, chunk).tally, expected)


def test_one_program_for_all_lengths():
    learner, params = CASES["feedback"]()
    TRACES.clear()
    for length in (2, 7, 8, 9, 31):
        streaming.measure(
            Subject(learner.streamed(), params), length, 31, Options(sequences=6, batch=4, chunk=8)
        )
    assert len(TRACES) == 1


def test_batch_and_chunk_change_no_number():
    learner, params = CASES["feedback"]()
    rows = [
        streaming.measure(
            Subject(learner.streamed(), params), 11, 11, Options(sequences=6, batch=batch, chunk=chunk)
        )
        for batch, chunk in [(6, 16), (4, 3)]
    ]
    names = ["accuracy", "cross_entropy", "sequence_accuracy", "last_accuracy"]
    assert list(rows[0]) == names  # the headline first
    assert_close(*({name: np.nan_to_num(row[name], nan=-1) for name in row} for row in rows))


PIECES = {
    "every": lambda: learner_of(get_task("even_pairs", labels="every"), feedback="probabilities"),
    "own": lambda: learner_of(get_task("flip_flop")),
    "last": lambda: learner_of(get_task("parity", words="mixed"), predict="last"),
}


@pytest.mark.parametrize(
    "case, chunk, rows", [("every", 1, slice(4)), ("last", 100, slice(1, 3)), ("own", 100, slice(1, 3))]
)
def test_what_is_drawn_in_pieces_is_what_is_drawn_whole(case, chunk, rows, monkeypatch):
    """Whatever the chunk, rounded up to blocks, the batch, and the number of calls of the device."""
    learner, params = PIECES[case]()
    subject, key, length = Subject(learner.streamed(), params), jax.random.key(3), 150
    data = streaming.samples(subject.streamed, None, key, np.arange(4), np.int32(length), 192)
    whole = streaming.stream(subject, jax.tree.map(np.asarray, data), length, 192)
    monkeypatch.setattr(streaming, "CHUNKS", 2)
    found = streaming.drawn(subject, key, np.arange(4)[rows], length, chunk)
    assert_close(found, jax.tree.map(lambda leaf: leaf[rows], whole))
    if case == "last":  # only the last step counts
        np.testing.assert_array_equal(whole.last.right, whole.tally.correct > 0)


def test_the_last_step_that_counts():
    targets, mask = (
        np.array([[0, 1, 2], [1, 1, 1], [2, 2, 2]]),
        np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]], bool),
    )
    logits = np.float32(np.eye(3)[np.array([[2, 1, 1], [1, 1, 0], [2, 2, 2]])])
    found = _pieces._last(logits, Batch(targets, targets, mask, mask))
    np.testing.assert_array_equal(found.there, [True, True, False])
    np.testing.assert_array_equal(found.right[:2], [True, False])
    logits[0, 1, 2] = np.nan  # is never right
    assert not _pieces._last(logits, Batch(targets, targets, mask, mask)).right[0]


def test_pieces_leave_what_they_do_not_count():
    """The last counted step lies in the last piece that counts any."""
    last = lambda there, right: streaming.Found((), training.Last(np.array(there), np.array(right)))
    found = streaming._join(
        last([True, True, False], [True, True, False]), last([False, True, True], [True, False, True])
    )
    assert found.last.there.all()
    np.testing.assert_array_equal(found.last.right, [True, False, True])


def test_memory_does_not_grow_with_lengths_in_pieces():
    learner, params = PIECES["every"]()
    subject = Subject(learner.streamed(), params)
    rows, key = jnp.arange(4, dtype=jnp.int32), jax.random.key(0)
    state = streaming._begin(subject.streamed, params, (), None, key, rows, np.int32(10**6), 64)
    bounds = np.int32(0), np.int32(10)
    lowered = streaming._run.lower(
        subject.streamed, params, None, key, rows, np.int32(10**6), 64, bounds, state
    )
    assert lowered.compile().memory_analysis().temp_size_in_bytes < 2**20


def test_rooms_are_few_and_not_too_large():
    rooms = [streaming.room(length, 5000, 256) for length in (2, 256, 257, 1024, 4096, 4097, 5000)]
    assert rooms == [256, 256, 4096, 4096, 4096, 5120, 5120]


@pytest.mark.parametrize(
    "hits, trials, low, high", [(0, 10, 0.0, 0.2775), (8, 10, 0.4902, 0.9433), (10, 10, 0.7225, 1.0)]
)
def test_wilson(hits, trials, low, high):
    """Against Agresti & Coull 1998's formula, worked by hand."""
    np.testing.assert_allclose(intervals.wilson(hits / trials, trials), (low, high), atol=1e-4)


def test_interval_of_a_mean():
    each = np.random.default_rng(0).normal(3, 2, 400)
    low, high = intervals.interval(each.mean(), each, fraction=False)
    assert_close((low + high) / 2, each.mean())
    assert_close(high - low, 2 * 1.96 * each.std(ddof=1) / 20)


def test_a_learner_says_which_metrics_are_fractions():
    """Whatever their names."""

    @dataclasses.dataclass(frozen=True)
    class Hits(training.Learner):
        metric = "share"
        higher_is_better = True
        fractions = ("share",)

        def metrics(self, tally):
            return {"share": tally.mean(), "accuracy_in_bits": 3 * tally.mean()}

    tally = np.repeat(np.float32([0, 1]), [1, 9])
    found = intervals.estimates(training.Streamed(Hits(), (1, 1)), tally, 1)
    assert found["share"][:3] == pytest.approx((0.9, *intervals.wilson(0.9, 10)), rel=1e-6)
    margin = 1.96 * 3 * tally.std(ddof=1) / 10**0.5
    assert found["accuracy_in_bits"][:3] == pytest.approx((2.7, 2.7 - margin, 2.7 + margin), rel=1e-6)
    of = lambda *task, **options: training.Supervised(None, get_task(*task, **options), 30).fractions
    assert of("adding") == ("within_tolerance",)
    assert of("copy_memory", loss_over="all") == ("accuracy", "sequence_accuracy")
    assert training.Learner.fractions == ()


# The program, on a run of no updates.


def untrained(folder, config, steps=(0,)):
    """Makes a folder the workdir of a run of this config, with checkpoints after these updates."""
    experiment, place = build(config, allow_code=True), Workdir(folder)
    write(place.config, to_json(named_code.record(experiment.config)))
    state = numbers(jax.eval_shape(experiment.start))
    with contextlib.closing(Checkpoints(place.checkpoints)) as checkpoints:
        for step in steps:
            counters = Counters(step=step, best=0.1, best_step=steps[0])
            checkpoints.save(state, counters, experiment.config.to_dict())


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    config = default.get_config()
    config.model.hidden_size, config.train.length = 3, 10
    config.cache_dir = "/somewhere"  # where others may have put compiled programs
    folder = tmp_path_factory.mktemp("run")
    untrained(folder, config, steps=(7, 8, 9))
    return folder


def test_load_in_float64(tmp_path):
    """A model of ids, in x64: float32 with the same bits, until params are cast, as in r3nn/README.md."""
    config = tiny(**{"task.name": "s3", "model.feedback": "probabilities"})
    untrained(tmp_path, config)
    ids = np.array([[0, 1], [2, 3], [4, 5]], np.int32)
    predict = lambda model, params: model.chunk(params, model.start(params, (2,)), ids)[1]
    model, params, _ = experiments.load(tmp_path)
    single = np.asarray(predict(model, params))
    with jax.enable_x64(True):
        model, params, _ = experiments.load(tmp_path)
        again = predict(model, params)
        (line,) = re.findall(
            r"^    double = (.*)", (ROOT / "r3nn" / "README.md").read_text("utf-8"), re.MULTILINE
        )
        params = eval(line, {"jax": jax, "jnp": jnp, "params": params})
        double = np.asarray(predict(model, params))
    np.testing.assert_array_equal(again, single, strict=True)
    assert double.dtype == jnp.float64 and 0 < np.abs(double - single).max() < 1e-6


def run(capsys, *arguments):
    capsys.readouterr()
    status = evaluate.main(["evaluate.py", *arguments])
    return status, *capsys.readouterr()


def test_what_the_program_leaves(workdir, tmp_path, capsys, caches):
    small = ("--sequences=5", "--batch=5", "--chunk=8")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    links = [workdir / f"evaluation.{kind}.part" for kind in ("json", "png")]
    for link in links:  # of somebody who hopes that they are followed
        link.symlink_to(victim)
    status, out, err = run(capsys, f"--workdir={workdir}", "--lengths=16,4,8", *small)
    assert (status, err) == (0, "")
    assert caches == ["auto"]  # the reader's own, whatever config.json says
    assert [line.split()[0] for line in out.splitlines()[2:5]] == ["4", "8", "16"]
    assert out.splitlines()[-3:] == [f"{workdir}/evaluation.{kind}" for kind in ("json", "csv", "png")]
    lines = (workdir / "evaluation.csv").read_text().splitlines()
    assert lines[0] == "run,length,metric,value,low,high,baseline" and len(lines) == 1 + 3 * 2
    assert lines[1].startswith(f"{workdir.name},4,mse,") and lines[1].endswith(f",{1 / 6}")
    assert (workdir / "evaluation.png").read_bytes().startswith(b"\x89PNG")
    report = json.loads((workdir / "evaluation.json").read_text())
    assert (report["step"], report["seed"], report["trained_lengths"]) == (7, 0, [10, 10])
    assert "--lengths=16,4,8" in report["command"] and "jax" in report["versions"]
    assert set(report["lengths"]["16"]) == {"mse", "within_tolerance"}
    assert report["lengths"]["16"]["mse"]["baseline"] == pytest.approx(1 / 6)
    assert report["damaged"] == {} and victim.read_text() == "mine"
    assert sorted(workdir.glob("*.part")) == links
    for link in links:
        link.unlink()


def test_a_damaged_best_checkpoint_is_named(workdir, tmp_path, capsys):
    """Its arrays, its description or all of it; and where the newest cannot say which is the best."""
    folder = shutil.copytree(workdir, tmp_path / "copy")
    for path in folder.glob("checkpoints/7/state/**/*"):
        if path.is_file():
            path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
    arguments = (f"--workdir={folder}", "--lengths=4,8,16", "--sequences=5", "--chunk=8")
    assert run(capsys, *arguments, "--step=7")[0] == 2
    status, _, err = run(capsys, *arguments)
    report = json.loads((folder / "evaluation.json").read_text())
    assert status == 0 and report["step"] == 9 and [*report["damaged"]] == ["7"]
    assert "checkpoint 7 is damaged (" in err and "checkpoint 9 is taken instead" in err


@pytest.mark.parametrize(
    "harm, named",
    [
        (lambda checkpoints: os.truncate(checkpoints / "7" / "about" / "metadata", 100), "7"),
        (lambda checkpoints: shutil.rmtree(checkpoints / "7"), "7 is damaged .it is not there"),
        (lambda checkpoints: os.truncate(checkpoints / "9" / "about" / "metadata", 100), "9"),
    ],
    ids=["description", "gone", "of the newest"],
)
def test_load_names_what_it_passes_over(harm, named, workdir, tmp_path, capsys):
    folder = shutil.copytree(workdir, tmp_path / "copy")
    harm(folder / "checkpoints")
    learned = restore(folder)
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and re.match(f"checkpoint {named}.* is taken instead", err)
    assert [str(step) for step in learned.damaged] == [named[0]]


def test_a_checkpoint_that_cannot_be_read_is_not_passed_over(workdir, tmp_path, capsys, monkeypatch):
    folder = shutil.copytree(workdir, tmp_path / "copy")
    before, read = everything(folder), ocp.CheckpointManager.restore

    def failing(self, step, args):
        if step == 7 and "state" in args:
            raise ValueError("Error reading local file: [OS error 5: EIO Input/output error]")
        return read(self, step, args=args)

    monkeypatch.setattr(ocp.CheckpointManager, "restore", failing)
    status, _, err = run(capsys, f"--workdir={folder}", "--lengths=4", "--sequences=5")
    assert status == 4 and err.count("\n") == 1 and f"{folder}/checkpoints/7 cannot be read" in err
    with pytest.raises(NotRead):
        experiments.load(folder)
    assert everything(folder) == before


# Code that a folder names.


def edited(workdir, folder, **fields):
    """A copy of a run's folder, with other fields in config.json."""
    shutil.copytree(workdir, folder)
    record = json.loads((folder / "config.json").read_text())
    for name, value in fields.items():
        *groups, field = name.split("__")
        (record[groups[0]] if groups else record)[field] = value
    (folder / "config.json").write_text(json.dumps(record))
    return folder


@pytest.mark.parametrize(
    "field, name",
    [
        *(("model__cell", "{}:x"), ("model__depth_cell", "{}:x"), ("task__name", "{}:x")),
        ("model__cell", "heads({}:x, 3)"),
    ],
)
def test_a_folder_runs_no_code(field, name, workdir, tmp_path, capsys):
    file = tmp_path / "evil.py"
    file.write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    folder = edited(workdir, tmp_path / "run", **{field: name.format(file)})
    status, out, err = run(capsys, f"--workdir={folder}", "--lengths=4")
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert all(word in err for word in (f"config.{field.replace('__', '.')}", str(file), "--allow_code"))
    with pytest.raises(BadInput, match=r"names the Python file .*allow_code=True"):
        experiments.load(folder)
    with pytest.raises(ValueError):  # also where nobody asks before
        build(Workdir(folder).read_config())
    assert not (tmp_path / "ran").exists()


def test_code_that_the_caller_allows(tmp_path, capsys, monkeypatch):
    file, folder = tmp_path / "mine.py", tmp_path / "run"
    file.write_text("from r3nn.cells import elman as mine\n")
    config = default.get_config()
    config.model.hidden_size, config.train.length = 3, 10
    monkeypatch.chdir(tmp_path)
    config.model.cell = "mine.py:mine"
    folder.mkdir()
    untrained(folder, config)
    monkeypatch.chdir("/")
    record = json.loads((folder / "config.json").read_text())
    assert record["model"]["cell"] == f"{file}:mine"
    assert record["code_sha256"] == {"model.cell": hashlib.sha256(file.read_bytes()).hexdigest()}
    status, _, err = run(capsys, f"--workdir={folder}", "--lengths=1", "--allow_code")
    assert status == 2 and err.startswith("--lengths: ")  # the run was read
    changed = edited(folder, tmp_path / "changed", code_sha256={"model.cell": 64 * "0"})
    _, _, read = experiments.load(changed, allow_code=True)
    assert read.model.cell == f"{file}:mine"
    assert f"{file} has changed since the run in {changed} began" in capsys.readouterr().err


# Learners of one's own.

LEARNERS = '''"""Three learners: of a task, of running sums, and of these at one length alone."""

import dataclasses

import jax
import jax.numpy as jnp

from r3nn.model import build
from r3nn.tasks import get_task
from r3nn.training import Carry, Learner, Streamed, Supervised


@dataclasses.dataclass(frozen=True)
class OfTask(Supervised):
    pass


@dataclasses.dataclass(frozen=True)
class Pieces(Streamed):
    def draw(self, arrays, key, rows, length, steps):
        xs = jax.vmap(lambda row: jax.random.normal(jax.random.fold_in(key, row), (steps,)))(rows)
        return {"x": jnp.where(jnp.arange(steps) < length, xs + arrays, 0)}

    def start(self, params, shared, size):
        return jnp.zeros(size) + shared

    def measure(self, params, carry, piece):
        carry = carry + piece["x"].sum(1)
        return {"weighted": params * piece["x"].sum(1), "carried": 0 * carry}, carry

    def baseline(self, length):
        return {"size": 2.0 * length}


@dataclasses.dataclass(frozen=True)
class Alone(Learner):
    metric = "size"
    higher_is_better = False

    def init(self, key):
        return jnp.ones(())

    def start(self, params, seed, rows):
        return Carry(shared=jnp.float32(0))

    def arrays(self):
        import numpy as np

        return np.float32(3)

    def draw(self, split, seed, at, rows, carry, arrays):
        return rows + 1.0

    def loss(self, own, params, carry, batch):
        return {"loss": (1.0, (params * batch).sum(), jnp.int32(len(batch)))}, {"weighted": batch}, ()

    def metrics(self, tally):
        return {"size": jnp.abs(tally["weighted"]).mean()}


@dataclasses.dataclass(frozen=True)
class Sums(Alone):
    def streamed(self):
        return Pieces(self, trained=(5, 9), min_length=2)


def of_task(config):
    return OfTask(build(in_size=2, out_size=1, hidden_size=64), get_task("adding"), config.train.length)


def sums(config):
    return Sums()


def alone(config):
    return Alone()
'''


@pytest.fixture
def learned_by(tmp_path):
    """Makes the folder of a run of a learner in a file -> the folder."""

    def make(name):
        (tmp_path / "mine.py").write_text(LEARNERS)
        (tmp_path / name).mkdir()
        config = default.get_config()
        config.learner.name = f"{tmp_path}/mine.py:{name}" if name != "supervised" else name
        untrained(tmp_path / name, config)
        return tmp_path / name

    return make


STREAM = ("--lengths=2,5,13", "--sequences=6", "--batch=4", "--chunk=4", "--allow_code")


def test_a_subclass_of_supervised_is_evaluated_as_it_is(learned_by, capsys):
    reports = []
    for name in ("of_task", "supervised"):
        folder = learned_by(name)
        assert run(capsys, f"--workdir={folder}", *STREAM)[0] == 0
        reports.append(json.loads((folder / "evaluation.json").read_text()))
    assert [report["task"] for report in reports] == ["mine.py:of_task", "adding"]
    assert reports[0]["lengths"] == reports[1]["lengths"]


def test_a_learner_of_ones_own_is_evaluated_at_lengths(learned_by, capsys):
    """Against sums over the whole sequences; data, what is shared and baselines are its own."""
    folder = learned_by("sums")
    status, out, err = run(capsys, f"--workdir={folder}", *STREAM)
    report = json.loads((folder / "evaluation.json").read_text())
    assert (status, err) == (0, "") and out.startswith("mine.py:sums, ") and "5 to 9 steps" in out
    weight = float(restore(folder, allow_code=True).params)
    for length in (2, 5, 13):
        key = jax.random.fold_in(training.stream(0, training.TEST), length)
        xs = [jax.random.normal(jax.random.fold_in(key, row), (16,))[:length] + 3 for row in range(6)]
        found = report["lengths"][str(length)]["size"]
        wanted = np.mean([abs(weight * np.sum(np.float64(x))) for x in xs])
        np.testing.assert_allclose(found["value"], wanted, rtol=1e-5)
        assert found["baseline"] == 2 * length
    status, _, err = run(capsys, f"--workdir={folder}", "--lengths=1", "--allow_code")
    assert status == 2 and "2 to" in err


def test_a_learner_without_other_lengths_is_refused(learned_by, capsys):
    before = everything(folder := learned_by("alone"))
    status, out, err = run(capsys, f"--workdir={folder}", *STREAM)
    assert (status, out) == (2, "") and err.count("\n") == 1 and "`streamed` gives None" in err
    assert everything(folder) == before
    status, _, err = run(capsys, f"--workdir={folder}", "--generate=3", "--allow_code")
    assert status == 2 and "no model that generates" in err


# Worst words, other options, several runs.


@pytest.fixture(scope="module")
def trackers(tmp_path_factory):
    """Folders of runs of parity: two seeds of one config, one at another length."""
    top, fields = tmp_path_factory.mktemp("runs"), {"task.name": "parity", "model.predict": "last"}
    for name, more in {"a": {}, "b": {"seed": 1}, "c": {"train.length": 9}}.items():
        (top / name).mkdir()
        untrained(top / name, tiny(**fields, **more, **{"task.options.words": "mixed"}))
    return top


FEW = ("--sequences=4", "--batch=4", "--chunk=64")


def report_of(folder):
    return json.loads((folder / "evaluation.json").read_text())


def test_worst_words_of_a_run(trackers, capsys):
    """The shortest one, replayed by hand; how far it is right stands beside how far random ones are."""
    folder = trackers / "a"
    search = ("--words=worst", "--word_steps=30", "--word_longest=3")
    arguments = (f"--workdir={folder}", "--lengths=3,8", *search, *FEW)
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "") and "shortest failing word: " in out
    assert re.search(r"^ +periodic +210 +\d+ +[01]\.\d{4} +30 +\d+$", out, re.M)
    assert re.search(
        r"^99% right: drawn sequences \(accuracy\) .*, words u v\^n to [\d,]+ steps$", out, re.MULTILINE
    )
    report = report_of(folder)
    worst, families = report["worst_words"]["shortest"], report["worst_words"]["families"]
    assert {*families} >= {"periodic", "powers", "identity", "rare", "neighbours", "beam"}
    assert report["l99"]["worst"] == families["periodic"]["right_to"]["0.99"]
    built, params, _ = experiments.load(folder)
    built = dataclasses.replace(built, predict="every")
    ids = np.array(worst["tokens"], np.int32)[:, None]
    ys = built.chunk(params, built.start(params, (1,)), ids)[1]
    answers, right = np.asarray(ys[:, 0].argmax(-1)), ids[:, 0].cumsum() % 2
    assert (answers[:-1] == right[:-1]).all() and len(ids) == worst["step"] + 1
    assert (answers[-1], right[-1]) == (worst["answer"], worst["right"]) and answers[-1] != right[-1]
    row = report["lengths"]["8"]
    assert report["chance"] == {"value": 0.5, "source": "1 / out_size"}  # of mixed words none is known
    np.testing.assert_allclose(row["scaled_accuracy"]["value"], 2 * row["accuracy"]["value"] - 1)
    assert row["last_accuracy"]["value"] == row["accuracy"]["value"]  # only the last step counts


def test_other_options_of_the_task(trackers, tmp_path, capsys):
    """As of a run whose config has them."""
    other = edited(trackers / "a", tmp_path / "other", task__options={"words": "random"})
    asked = ("--config.task.options.words=random", "--lengths=9")
    assert run(capsys, f"--workdir={trackers / 'a'}", *asked, *FEW)[0] == 0
    assert run(capsys, f"--workdir={other}", "--lengths=9", *FEW)[0] == 0
    reports = [report_of(folder) for folder in (trackers / "a", other)]
    assert reports[0]["lengths"] == reports[1]["lengths"]
    assert [report["task_options"] for report in reports] == 2 * [{"words": "random"}]
    assert reports[0]["chance"]["source"] == "baseline"
    every = ("--config.task.options.labels=every", *asked)
    assert run(capsys, f"--workdir={trackers / 'a'}", *every, *FEW)[0] == 0
    found = report_of(trackers / "a")["lengths"][
        "9"
    ]  # though the model was to predict at the last step alone
    assert found["last_accuracy"] == reports[0]["lengths"]["9"]["last_accuracy"]
    assert found["accuracy"]["value"] != found["last_accuracy"]["value"]


def test_several_runs(trackers, capsys):
    folders = [f"--workdir={trackers / name}" for name in "abc"]
    status, out, err = run(capsys, *folders, "--lengths=3,8", *FEW)
    assert (status, err) == (0, "")
    assert out.splitlines()[-2:] == [f"{trackers / 'a'}/evaluations.{kind}" for kind in ("csv", "png")]
    assert re.search(r"^  length         a         b         c$", out, re.MULTILINE)
    lines = (trackers / "a" / "evaluations.csv").read_text().splitlines()
    own = [(trackers / name / "evaluation.csv").read_text().splitlines()[1:] for name in "abc"]
    assert lines[1:] == sum(own, []) and {line.split(",")[0] for line in lines[1:]} == {*"abc"}


def test_seeds_of_one_config_have_one_panel():
    """With a median line; what is marked of worst words lies where they do."""
    estimate = lambda value: {"accuracy": intervals.Estimate(value, value, value, 0.5)}
    report = {"metric": "accuracy", "task": "parity", "trained_lengths": [1, 8], "higher_is_better": True}
    curve = lambda *values, **more: lengths.Curve(
        dict(zip((8, 16), map(estimate, values), strict=True)), {**report, **more}, "run"
    )
    seeds = [curve(1.0, 0.5), curve(0.9, 0.6), curve(0.5, 0.7, l99={"random": 8, "worst": 13})]
    figure = lengths.side_by_side([seeds, seeds[:1]])
    left, right = figure.axes
    lines = [list(line.get_ydata()) for line in left.lines]
    assert [0.9, 0.6] in lines and lines.count([0.9, 0.6]) == 2  # the second run, and the median
    assert [13, 13] in [list(line.get_xdata()) for line in left.lines]
    assert right.get_title("left") == "parity: run"


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["--workdir={adding}", "--words=worst"], "only a task with an automaton"),
        (["--workdir={run}", "--words=worse"], "--words"),
        (["--workdir={run}", "--words=worst", "--word_steps=0"], "--word_steps must be"),
        (["--workdir={run}", "--words=worst", "--word_longest=0"], "--word_longest must be"),
        (["--workdir={run}", "--lengths=4", "--config.train.length=3"], "options of its task alone"),
        (
            ["--workdir={run}", "--lengths=4", "--config.task.options.words=no"],
            "config.task.options.words must",
        ),
        (["--workdir={s3}", "--lengths=4", "--config.task.options.group=S4"], "other inputs or outputs"),
        (["--workdir={run}", "--workdir={run}", "--lengths=4"], "stands there twice"),
        (["--workdir={run}", "--workdir={adding}", "--lengths=4"], "one table has one"),
        (["--workdir={run}", "--lengths=4", f"--chunk={2**40}"], "take a smaller --batch or --chunk"),
        (["--workdir={adding}", f"--lengths={2**29}"], "take a length up to"),
    ],
)
def test_what_cannot_be_asked(arguments, word, trackers, workdir, tmp_path, capsys):
    if "{s3}" in arguments[0]:
        untrained(tmp_path, tiny(**{"task.name": "s3"}))
    places = {"run": trackers / "c", "adding": workdir, "s3": tmp_path}
    before = everything(trackers)
    status, out, err = run(capsys, *(text.format(**places) for text in arguments))
    assert (status, out) == (2, "") and err.count("\n") == 1 and word in err
    assert everything(trackers) == before


def test_what_chance_is():
    """The baseline where it is the same at all lengths, else one of the classes."""
    of = lambda task, *lengths: positions.chance(learner_of(task)[0].streamed(), [*lengths])
    assert of(get_task("parity"), 3, 50) == (0.5, "baseline")
    assert of(get_task("cycle_navigation"), 3, 50) == (0.2, "1 / out_size")  # the start is likelier, early
    assert of(get_task("adding"), 3) is None


def test_the_longest_length_that_is_right():
    row = lambda value: {"accuracy": intervals.Estimate(value, value, value, 0.5)}
    assert positions.l99({8: row(1.0), 16: row(0.99), 32: row(0.98)}, "accuracy") == 16
    assert positions.l99({8: row(1.0), 16: row(0.98), 32: row(1.0)}, "accuracy") == 8
    assert positions.l99({8: row(0.5), 16: row(1.0)}, "accuracy") is None


def test_how_a_word_is_written():
    word = lambda *tokens, before, period: worst_words.Failure(np.array(tokens), 0, 0, 0, before, period)
    write = lambda failure: worst_words.written(failure, get_task("parity"))
    assert write(word(1, 0, 0, 0, before=1, period=1)) == "1 (0)^3"
    assert write(word(0, 1, 0, 1, 0, before=0, period=2)) == "(0 1)^2 0"
    assert write(word(0, 1, 0, before=1, period=2)) == "0 1 0"
    assert write(word(*range(50), before=50, period=0)).endswith("38 39 ... of 50 tokens")


# Generation.

GOING_ON = '''"""Tasks whose targets are the next inputs: two waves at once, also called chaotic; letters."""

import dataclasses

import jax
import jax.numpy as jnp

from r3nn.tasks import Classification, Regression


@dataclasses.dataclass(frozen=True)
class Waves(Regression):
    in_size = out_size = 2

    def example(self, key, length, max_length):
        at = 0.3 * jnp.arange(max_length + 1) + jax.random.uniform(key)
        x = jnp.stack([jnp.sin(at), jnp.cos(at)], axis=-1)
        return x[:-1], x[1:], jnp.arange(max_length) < length

    def baseline(self, length):
        return {"mse": 0.5}


@dataclasses.dataclass(frozen=True)
class Wild(Waves):
    lyapunov = 0.1


@dataclasses.dataclass(frozen=True)
class Letters(Classification):
    vocab = out_size = 5
    longest: int = 1000

    def example(self, key, length, max_length):
        if max_length > self.longest:
            raise ValueError("there is no such sequence")
        x = (jax.random.randint(key, (), 0, 5) + jnp.arange(max_length + 1)) % 5
        return x[:-1], x[1:], jnp.arange(max_length) < length

    def decode(self, ids):
        return "".join("abcde"[i] for i in ids)


waves, wild, letters, short = Waves(), Wild(), Letters(), Letters(longest=6)
'''


@pytest.fixture
def going_on(tmp_path):
    """Makes the folder of a run of a task in a file -> the folder."""

    def make(name, **fields):
        (tmp_path / "tasks.py").write_text(GOING_ON)
        folder = tmp_path / name
        folder.mkdir()
        untrained(folder, tiny(**{"task.name": f"{tmp_path}/tasks.py:{name}", **fields}))
        return folder

    return make


def test_a_signal_that_runs_free(going_on, capsys):
    """Against a loop over `chunk`, which is handed its own output; beside the true waves."""
    folder = going_on("waves", **{"model.feedback": "values"})
    arguments = (f"--workdir={folder}", "--allow_code", "--generate=4")
    status, out, err = run(capsys, *arguments, "--seed=3", "--lengths=2,5", "--sequences=4")
    assert (status, err) == (0, "") and (folder / "evaluation.json").exists()
    assert out.splitlines()[-2:] == [f"{folder}/generation.json", f"{folder}/generation.png"]
    report = json.loads((folder / "generation.json").read_text())
    found, true = np.array(report["generated"]), np.array(report["true"])
    inputs = np.array(report["prompt"])
    assert inputs.shape == (3, 4, 2) and found.shape == true.shape == (3, 4, 2)  # the last 4 of 6 steps
    angle = np.unwrap(np.arctan2(*np.concatenate([inputs, true], axis=1).T).T)
    np.testing.assert_allclose(np.diff(angle), 0.3, atol=1e-5)
    np.testing.assert_allclose(report["mse"], np.mean((found - true) ** 2), rtol=1e-6)
    model, params, _ = experiments.load(folder, allow_code=True)
    begin = angle[:, :1] - 0.3 * np.arange(2, 0, -1)  # the two steps of the prompts that are not shown
    xs = np.concatenate([np.stack([np.sin(begin), np.cos(begin)], -1), inputs], axis=1)
    carry, step = model.start(params, (3,)), jax.jit(model.chunk)
    for x in np.float32(xs).swapaxes(0, 1):
        carry, ys = step(params, carry, x[None])
    for t in range(4):
        np.testing.assert_allclose(found[:, t], ys[0], atol=1e-4)
        carry, ys = step(params, carry, ys)
    assert run(capsys, *arguments, "--seed=3")[0] == 0
    again = json.loads((folder / "generation.json").read_text())
    assert [again[name] for name in ("prompt", "generated")] == [
        report[name] for name in ("prompt", "generated")
    ]
    assert run(capsys, *arguments)[0] == 0
    assert json.loads((folder / "generation.json").read_text())["prompt"] != report["prompt"]


def test_a_chaotic_signal_that_runs_free(going_on, capsys, monkeypatch):
    """Three sequences are shown; of all it is said how long they are followed, and how chaotic they are."""
    monkeypatch.setattr(generation, "CHAOTIC", 5)
    folder = going_on("wild")
    status, out, err = run(capsys, f"--workdir={folder}", "--allow_code", "--generate=8")
    assert (status, err) == (0, "")
    report = json.loads((folder / "generation.json").read_text())
    found, true = (np.array(report[name]) for name in ("generated", "true"))
    assert found.shape == true.shape == (3, 8, 2)
    far = np.linalg.norm(found - true, axis=-1) > 0.4  # the waves' own size is 1
    steps = np.where(far.any(1), far.argmax(1), 8)
    times = report["valid_time"]["each"]
    assert len(times) == 5 and report["valid_time"]["median"] == pytest.approx(np.median(times))
    np.testing.assert_allclose(times[:3], 0.1 * steps, atol=1e-6)
    assert report["lyapunov"]["true"] == 0.1 and report["lyapunov"]["found"] < 0
    assert f"{report['lyapunov']['found']:.5f}; true: 0.10000" in out
    assert f"{np.median(times):.2f} Lyapunov times (median of 5;" in out


def test_text_that_runs_free(going_on, capsys):
    """As the task decodes it, beside the true text; no figure."""
    folder = going_on("letters")
    status, out, err = run(capsys, f"--workdir={folder}", "--allow_code", "--generate=7")
    assert (status, err) == (0, "") and not (folder / "generation.png").exists()
    said = dict(re.findall(r"^(\w+ [123]):\n(\w+)$", out, re.MULTILINE))
    assert len(said) == 9 and len(said["prompt 2"]) == 6 and len(said["generated 2"]) == 7
    assert said["prompt 2"] + said["true 2"] in "abcde" * 4
    report = json.loads((folder / "generation.json").read_text())
    assert ["abcde"[i] for i in report["generated"][1]] == [*said["generated 2"]]


def test_where_the_sequences_end(going_on, capsys):
    """There is no true text behind them."""
    status, out, _ = run(capsys, f"--workdir={going_on('short')}", "--allow_code", "--generate=7")
    assert status == 0 and "generated 3:" in out and "true" not in out


def test_prompts_of_many_lengths():
    """Each is as if alone."""
    built = model.build(vocab=4, out_size=4, hidden_size=5, cell="gru", predict_depths=True)
    params, ids = numbers(jax.eval_shape(built.init, jax.random.key(0))), np.arange(15).reshape(3, 5) % 4
    lengths, key = np.array([1, 5, 3]), jax.random.key(2)
    found = generation.free(built, params, ids, lengths, key, 6)
    for row, length in enumerate(lengths):
        alone = generation.free(built, params, np.tile(ids[row, :length], (3, 1)), np.full(3, length), key, 6)
        np.testing.assert_array_equal(found[row], alone[row])


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"task.name": "adding"}, "an input has 2 values, and the outputs are those of a regression, 1 wide"),
        ({"task.name": "copy_memory", "train.length": 30}, "is one of 10 ids, and the outputs are"),
        ({"task.name": "s3"}, "its targets are not the inputs of the next step"),
        ({"task.name": "adding", "model.predict": "mean"}, "no model that generates"),
    ],
)
def test_what_does_not_go_on_is_refused(fields, words, tmp_path, capsys):
    untrained(tmp_path, tiny(**fields))
    before = everything(tmp_path)
    status, out, err = run(capsys, f"--workdir={tmp_path}", "--generate=4", "--lengths=30")
    assert (status, out) == (2, "") and err.count("\n") == 1 and words in err
    assert everything(tmp_path) == before
