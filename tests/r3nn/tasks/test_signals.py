"""Chaotic series against plain integrators, and sounds against the pitch that a spectrum shows."""

import functools

import jax
import numpy as np
import pytest

from r3nn.tasks import TASKS, Batch, get_task
from r3nn.tasks._lorenz import lorenz_step
from tests.r3nn.tasks.drawn import rows


@functools.cache
def many(task, length: int, count: int = 200) -> Batch:
    """Long sequences, in numpy."""
    return jax.tree.map(np.asarray, task.sample(jax.random.key(1), count, length, length))


@pytest.mark.parametrize(
    "options", [{}, pytest.param({"ahead": 1, "washout": 40, "after": 7}, marks=pytest.mark.slow)]
)
def test_mackey_glass(options):
    """Euler's method in float64, a step at a time, from the same past."""
    task, keys = get_task("mackey_glass", **options), jax.random.split(jax.random.key(0), 3)
    lengths = np.array([9, 60, 23])
    batch = task.draw(keys, lengths, 60)
    for i, length in enumerate(lengths):
        x = np.float64(task.past(keys[i])).tolist()
        assert len(x) == 171 and min(x) >= 1.1 and max(x) < 1.3
        for _ in range(10 * (task.washout + length + task.ahead)):
            x.append(x[-1] + (0.2 * x[-171] / (1 + x[-171] ** 10) - 0.1 * x[-1]) / 10)
        series = np.tanh(np.array(x[171:][9::10][task.washout :]) - 1) + 0.0655
        np.testing.assert_allclose(batch.inputs[i, :length, 0], series[:length], atol=1e-4)
        np.testing.assert_allclose(batch.targets[i, :length, 0], series[task.ahead :], atol=1e-4)
        assert batch.mask[i].tolist() == [task.after <= t < length for t in range(60)]


def test_mackey_glass_as_published():
    """The mean is 0 in the long run, and to repeat the input scores what the source reports, 1.624."""
    x, y = many(get_task("mackey_glass", washout=3000), 1000)[:2]
    assert abs(x.mean()) < 2e-3
    assert np.sqrt(((x - y) ** 2).mean() / (y**2).mean()) == pytest.approx(1.624, abs=0.02)


def test_the_score_of_a_forecast_by_hand():
    """Targets 3 and 4, and one that does not count; 1 and 2 off."""
    batch = Batch(*np.float32([[[[3], [4], [9]]]] * 2), *np.array([[[True, True, False]]] * 2))
    task = TASKS["mackey_glass"]
    found = task.metrics(task.tally(batch.targets + np.float32([[1], [2], [5]]), batch))
    assert found == {"mse": pytest.approx(2.5), "nrmse": pytest.approx((5 / 25) ** 0.5)}


def test_lorenz():
    """The equations, by Runge and Kutta's method in float64."""

    def slope(state):
        u, v, w = state
        return np.array([10 * (v - u), u * (28 - w) - v, u * v - 8 * w / 3])

    mean, std = np.array([0, 0, 23.55]), np.array([7.92, 9.01, 8.63])
    for length, x, y, mask in rows(TASKS["lorenz"], count=6):
        assert x[1:] == y[:-1] and len(x) == length and all(mask)
        for state, after in zip(np.array(x) * std + mean, y, strict=True):
            a = slope(state)
            b = slope(state + 0.01 * a)
            c = slope(state + 0.01 * b)
            state = state + 0.02 / 6 * (a + 2 * b + 2 * c + slope(state + 0.02 * c))
            np.testing.assert_allclose(after, (state - mean) / std, atol=1e-5)


def test_lorenz_is_on_the_scale_that_is_said():
    x = many(TASKS["lorenz"], 600).inputs
    np.testing.assert_allclose(x.mean((0, 1)), 0, atol=0.06)
    np.testing.assert_allclose(x.std((0, 1)), 1, atol=0.03)
    np.testing.assert_allclose(x[:, 0].std(0), 1, atol=0.15)  # from the first step on


def test_a_step_of_lorenz_is_of_fourth_order():
    """Against many steps in its place: a tenth of the step, about 10^-5 of the error of one in all."""
    state = np.float32([1.0, 2.0, 20.0])
    with jax.enable_x64(True):
        fine, two = np.float64(state), np.float64(state)
        for _ in range(40):
            fine = lorenz_step(fine, 0.001)
        two = lorenz_step(lorenz_step(two))
        one = lorenz_step(np.float64(state), 0.04)
        assert 12 < np.abs(one - fine).max() / np.abs(two - fine).max() < 40


SAMPLES = 4096


def pitches(sound: np.ndarray) -> np.ndarray:
    """The frequency at each sample of a tone without noise, in cycles a sample: from the phase of its
    positive frequencies."""
    spectrum = np.fft.fft(sound)
    spectrum[len(sound) // 2 :] = 0
    return np.diff(np.unwrap(np.angle(np.fft.ifft(spectrum)))) / (2 * np.pi)


def test_sounds():
    """Of a sound without noise the pitch is seen, and its course is that of the class alone."""
    batch = many(get_task("sounds", noise=0), SAMPLES, 64)
    assert {*batch.targets[:, -1].tolist()} == {*range(8)}
    u = np.linspace(0, 1, 4001)
    up, low, high = np.abs(2 * u - 1), u < 0.5, u >= 0.5
    wanted = np.array([u, 1 - u, 1 - up, up, high, low, np.floor(6 * u) % 2, np.floor(24 * u) % 2])
    for x, y in zip(batch.inputs[..., 0], batch.targets[:, -1], strict=True):
        there = np.flatnonzero(x)
        begin, end = there[0], there[-1] + 1
        assert (
            begin <= SAMPLES / 4 and end >= SAMPLES * 3 / 4 and np.abs(x).max() == pytest.approx(1, abs=0.01)
        )
        pitch = np.median(np.lib.stride_tricks.sliding_window_view(pitches(x[begin:end]), 65), axis=1)
        place = np.linspace(0, 4000, len(pitch)).astype(int)[100:-100]
        pitch = pitch[100:-100]
        low = np.quantile(pitch, 0.03)
        assert 0.009 < low < 0.033
        error = [np.abs(pitch / low - 1 - curve[place]).mean() for curve in wanted]
        assert np.argmin(error) == y


def test_sounds_in_frames():
    """The same samples, so many to a step, in noise of the size that is said."""
    plain, steps = many(get_task("sounds", noise=0), SAMPLES, 64), SAMPLES // 16
    assert get_task("sounds", frame=16).steps(SAMPLES) == steps == get_task("sounds", frame=16).steps(4081)
    for noise in (0, 3.0):
        framed = many(get_task("sounds", frame=16, noise=noise), steps, 64)
        np.testing.assert_array_equal(framed.targets[:, -1], plain.targets[:, -1])
        difference = framed.inputs - plain.inputs.reshape(64, steps, 16)
        assert difference.std() == pytest.approx(noise, rel=0.01, abs=1e-4)


@pytest.mark.slow
def test_what_a_linear_softmax_knows():
    """Of the logarithms of the mean spectrum, of those of eight parts of the sound, and of raw samples."""
    count = 2000
    train, test = (get_task("sounds").sample(jax.random.key(k), count, SAMPLES, SAMPLES) for k in (0, 1))

    def spectra(batch, parts):
        frames = np.asarray(batch.inputs).reshape(count, parts, -1, 256) * np.hanning(256)
        return np.log(np.square(np.abs(np.fft.rfft(frames)))[..., :32].mean(2)).reshape(count, -1)

    def accuracy(of):
        x, other = of(train), of(test)
        mean, std = x.mean(0), x.std(0)
        x, other = (np.c_[(part - mean) / std, np.ones(count)] for part in (x, other))
        y, weights = np.asarray(train.targets)[:, -1], np.zeros((x.shape[1], 8))
        for _ in range(300):
            chance = np.exp(x @ weights)
            chance /= chance.sum(1, keepdims=True)
            weights -= 0.3 / count * x.T @ (chance - np.eye(8)[y])
        return ((other @ weights).argmax(1) == np.asarray(test.targets)[:, -1]).mean()

    mean, parts = (accuracy(lambda batch, parts=parts: spectra(batch, parts)) for parts in (1, 8))
    raw = accuracy(lambda batch: np.asarray(batch.inputs)[:, ::16, 0])
    print(f"accuracy from the mean spectrum {mean:.3f}, from eight {parts:.3f}, from raw samples {raw:.3f}")
    assert 0.15 < mean < 0.5 and mean < parts < 0.8 and raw < 0.2


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("mackey_glass", {"ahead": 0}, "ahead must be an integer at least 1, got 0"),
        ("mackey_glass", {"after": -1}, "after must be an integer at least 0, got -1"),
        ("sounds", {"frame": 0}, "frame must be an integer at least 1, got 0"),
        ("sounds", {"noise": -1.0}, "noise must be a number at least 0, got -1.0"),
    ],
)
def test_wrong_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        get_task(name, **options)
