"""The engine of experiments/sweep.py: what is tried (plan), who runs it (slots, worker, supervise), where it
is recorded (study)."""
