"""Measures how much of its past a network's state holds, as far as a linear readout can tell."""

import numpy as np


def linear_capacity(states: np.ndarray, inputs: np.ndarray, longest: int, ridge: float = 0.0) -> np.ndarray:
    """Computes how well each past input can be read from the state by a linear readout: R^2 by lag.

    Their sum from lag 1 on is the linear memory capacity; with lag 0, it is at most the number of units.

    Args:
      states: [T, n], behind each step, of one long sequence.
      inputs: [T], independent numbers that were fed.
      longest: the longest lag.
      ridge: as a share of the mean variance of the states.

    Returns:
      float64 [longest + 1], from 0 to 1: entry k is of inputs[t - k] read from states[t].

    Source: Jaeger 2001, "Short Term Memory in Echo State Networks".
    """
    states, inputs = np.asarray(states, np.float64), np.asarray(inputs, np.float64)
    if not 0 <= longest < len(inputs) - states.shape[1]:
        raise ValueError(f"longest must be below T - n = {len(inputs) - states.shape[1]}, got {longest}.")
    x = states[longest:] - states[longest:].mean(axis=0)
    lagged = np.stack([inputs[longest - k : len(inputs) - k] for k in range(longest + 1)], axis=1)
    y = lagged - lagged.mean(axis=0)
    gram = x.T @ x
    gram += np.eye(len(gram)) * ridge * np.trace(gram) / len(gram)
    read = x.T @ y
    explained = np.einsum("nk,nk->k", read, np.linalg.lstsq(gram, read, rcond=None)[0])
    return np.clip(explained / np.maximum((y**2).sum(axis=0), 1e-300), 0, 1)
