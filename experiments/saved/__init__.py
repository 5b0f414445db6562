"""Saves what a run leaves in its folder, and reads it again: config, log, checkpoints, what was learned."""
