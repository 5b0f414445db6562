"""The deferred gradient: weight gradients formed behind the loop over time (README.md derives it)."""
