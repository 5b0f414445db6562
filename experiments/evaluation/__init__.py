"""Measures what was learned: long sequences in chunks, intervals, and free-running generation."""
