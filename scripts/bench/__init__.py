"""What scripts/bench.py measures. A case is a function with `@case`, in the file of its subject."""

from scripts.bench import kernels, long, members, modes, networks, newton, programs, training
from scripts.bench.registry import CASES, Setup

__all__ = [
    "CASES",
    "Setup",
    "kernels",
    "long",
    "members",
    "modes",
    "networks",
    "newton",
    "programs",
    "training",
]

#: in the order in which they run
ORDER = ("gru", "lstm", "step", "r3nn", "chunked", "linear", "bf16", "newton", "million", "compile", "modes")
for name in (*ORDER, *(name for name in list(CASES) if name not in ORDER)):
    CASES[name] = CASES.pop(name)
