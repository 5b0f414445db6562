"""From a checked config to an experiment: its learner, its sizes, and whether it fits."""
