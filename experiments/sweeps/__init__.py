"""Runs sweeps, for experiments/sweep.py.

Its modules are: what is tried (plan), who runs it (slots, worker, supervise), where it is recorded (study),
what came of it (outcomes, report, figures_*). Of runs they know what they are handed (trainer); of
experiments they import errors and program alone.
"""
