"""Builds an experiment from a checked config: its learner, its sizes, and whether it fits."""
