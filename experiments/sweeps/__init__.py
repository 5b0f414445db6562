"""The engine of experiments/sweep.py: what is tried (plan), who runs it (slots, worker, supervise), where it
is recorded (study), what came of it (outcomes, report, figures_*).

Of runs it knows what it is handed (trainer); of experiments it imports errors and program alone.
"""
