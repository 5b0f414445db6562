"""Holds what all modes read and write: trees of arrays over time, their flags and precision."""
