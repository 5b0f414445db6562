"""Writes numbers for people to read."""

import math

TINY = 1e-12  # what is smaller is told from 0 by no measurement of ours


def about(value: float) -> str:
    """Writes a number with four digits.

    "about 0" stands for what no measurement tells from it, such as a chance of 1e-50, "unknown" for NaN.
    """
    if math.isnan(value):
        return "unknown"
    return "about 0" if 0 < abs(value) < TINY else f"{value:.4g}"
