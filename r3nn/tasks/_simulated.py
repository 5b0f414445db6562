"""Measures trivial baselines where nobody has a formula: by draws that are always the same."""

import numpy as np

_DRAWN, _NUMBERS = 16_384, 2**25  # sequences, at most; numbers in all, so that long sequences are fewer
_FEWEST = 1024
_ALIKE = 0.02  # shares that differ by less are taken for the same: chance makes as much


def drawn(length: int) -> int:
    """Returns how many sequences to draw: 16,384, or fewer where they are longer than 2,048 steps."""
    return max(_FEWEST, min(_DRAWN, _NUMBERS // length))


def guessed(targets: np.ndarray, asked: np.ndarray, classes: int) -> dict[str, float]:
    """Computes the metrics of answering, at each step, with the shares that the classes have there; the guess
    is the most frequent class, the first of those that are as frequent as far as chance lets one see.

    targets: classes, integers [N, T]. asked: bool [N, T], where they count.
    """
    counts = np.stack([((targets == c) & asked).sum(axis=0) for c in range(classes)])  # [O, T]
    share = counts / np.maximum(counts.sum(axis=0), 1)
    guess = (share > share.max(axis=0) - _ALIKE).argmax(axis=0)
    right = (targets == guess) & asked
    return {
        "cross_entropy": float(-(counts * np.log(np.where(share > 0, share, 1))).sum() / counts.sum()),
        "accuracy": float(right.sum() / asked.sum()),
        "sequence_accuracy": float((right | ~asked).all(axis=1).mean()),
    }
