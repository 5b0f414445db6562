"""Draws the figures of runs: the loss of one, the curves of many, a metric against length."""
