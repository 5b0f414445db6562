"""Directions that tell classes apart, probes, and memory, where the answer is known."""

import numpy as np
import pytest

from r3nn.analysis import discriminant_axes, linear_capacity, probe_accuracy


def clouds(seed, rows=300):
    """Three classes that differ along a narrow direction, while another varies a hundred times as much."""
    draw = np.random.default_rng(seed)
    classes = draw.integers(0, 3, rows)
    states = draw.normal(size=(rows, 4)) * [10, 0.1, 0.1, 1]
    states[:, 1] += np.array([-1, 0, 1])[classes]
    states[:, 2] += np.array([0, 1, 0])[classes]
    return states, classes


def test_discriminant_axes():
    """They span the plane in which the classes lie, which no principal component of most variance does."""
    states, classes = clouds(0)
    found = discriminant_axes(states, classes, ridge=1e-9)
    assert found.axes.shape == (4, 2) and (found.share > 0.9).all()
    np.testing.assert_allclose(np.abs(found.axes[[0, 3]]), 0, atol=0.02)
    seen = (states - found.mean) @ found.axes
    centres = np.stack([seen[classes == one].mean(axis=0) for one in range(3)])
    nearest = np.linalg.norm(seen[:, None] - centres, axis=-1).argmin(axis=1)
    assert (nearest == classes).mean() > 0.99
    principal = np.linalg.svd(states - states.mean(axis=0))[2][0]
    assert abs(principal[0]) > 0.99


def test_probe():
    (states, classes), (others, answers) = clouds(0), clouds(1)
    assert probe_accuracy(states, classes + 5, others, answers + 5, ridge=1e-9) > 0.99
    shuffled = np.random.default_rng(2).permutation(classes)
    assert probe_accuracy(states, shuffled, others, answers) < 0.5


def test_capacity_of_a_cycle():
    """A cycle of N units with weight r holds N - 1 + r^(2N) past inputs. Rodan & Tino 2011."""
    N, r, T = 20, 0.9, 20_000
    draw = np.random.default_rng(0)
    inputs, state, states = draw.normal(size=T), np.zeros(N), np.zeros((T, N))
    for t in range(T):
        state = r * np.roll(state, 1)
        state[0] += inputs[t]
        states[t] = state
    found = linear_capacity(states, inputs, 60)
    assert found[1:].sum() == pytest.approx(N - 1 + r ** (2 * N), rel=0.01)
    assert (found[: N - 1] > 0.98).all() and found[N + 1] < 0.02
    with pytest.raises(ValueError, match="longest must be below T - n = 10, got 10"):
        linear_capacity(states[:30], inputs[:30], 10)
