"""Solves many steps of time at once: linear recurrences, and Newton's method for the others."""
