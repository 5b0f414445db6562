"""What a run saves in its folder, and how that is read again: config, log, checkpoints, what was learned."""
