"""Looks at the geometry of states: in which directions what has to be remembered can be told apart."""

from typing import NamedTuple

import numpy as np


class Discriminant(NamedTuple):
    """Holds the directions in which classes of states lie apart, as NumPy arrays.

    Attributes:
      axes: [n, k], columns of length 1, the most telling first.
      share: [k], of the variance along each axis that lies between the classes rather than within them, from
        0 to 1.
      mean: [n], of all states; states are seen on the axes as (states - mean) @ axes.
    """

    axes: np.ndarray
    share: np.ndarray
    mean: np.ndarray


def discriminant_axes(
    states: np.ndarray, classes: np.ndarray, k: int = 2, ridge: float = 1e-3
) -> Discriminant:
    """Finds the k directions along which classes differ most, compared with how each of them spreads.

    Principal components show what varies most, which need not be what is remembered: those of a network that
    multiplies permutations mix its six clouds of states, which these axes keep apart.

    Args:
      states: [N, n]. classes: int [N]. k: at most one less than there are classes.
      ridge: added to the spread within classes, as a share of the mean variance, where directions hold none.

    Source: Fisher 1936, "The use of multiple measurements in taxonomic problems"; Rao 1948 for many classes.
    """
    states, classes = np.asarray(states, np.float64), np.asarray(classes)
    mean, within, between = states.mean(axis=0), 0.0, 0.0
    for one in (kinds := np.unique(classes)):
        own = states[classes == one]
        rest, shift = own - own.mean(axis=0), own.mean(axis=0) - mean
        within, between = within + rest.T @ rest, between + len(own) * np.outer(shift, shift)
    eye = np.eye(states.shape[1]) * ridge * (np.trace(within + between) / states.shape[1] + 1e-300)
    root = np.linalg.cholesky(within + eye)
    halves = np.linalg.solve(root, np.linalg.solve(root, between).T)
    _, vectors = np.linalg.eigh((halves + halves.T) / 2)
    axes = np.linalg.solve(root.T, vectors[:, ::-1][:, : min(k, len(kinds) - 1)])
    axes /= np.linalg.norm(axes, axis=0)
    along = lambda scatter: np.einsum("nk,nm,mk->k", axes, scatter, axes)
    total = along(within) + along(between)
    return Discriminant(axes, along(between) / np.where(total > 0, total, 1), mean)


def probe_accuracy(
    states: np.ndarray, classes: np.ndarray, held_out: np.ndarray, held_out_classes: np.ndarray, ridge=1e-3
) -> float:
    """Returns the share of held-out states whose class a linear probe says: ridge regression on the classes'
    indicators, with an offset.

    What a linear probe reads, the network's own readout could; that it reads it does not say that it does.

    Args:
      states, held_out: [N, n], [M, n]. classes, held_out_classes: int [N], [M].
      ridge: as a share of the mean variance.
    """
    states, held_out = np.asarray(states, np.float64), np.asarray(held_out, np.float64)
    kinds, numbers = np.unique(classes, return_inverse=True)
    mean = states.mean(axis=0)
    x, y = states - mean, np.eye(len(kinds))[numbers]
    gram = x.T @ x
    eye = np.eye(len(gram)) * ridge * (np.trace(gram) / len(gram) + 1e-300)
    weights = np.linalg.solve(gram + eye, x.T @ (y - y.mean(axis=0)))
    said = kinds[np.argmax((held_out - mean) @ weights + y.mean(axis=0), axis=1)]
    return float(np.mean(said == np.asarray(held_out_classes)))
