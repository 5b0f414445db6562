"""Defines the modes that solve for all time steps at once: linear recurrences by a prefix scan, others by
Newton."""
