"""Holds what scripts/bench.py measures. A case is a function with `@case`, in the file of its subject."""

from scripts.bench import kernels, long, machine, members, modes, networks, newton, programs, stacks, training
from scripts.bench.registry import CASES, Setup

__all__ = [
    "CASES",
    "Setup",
    "kernels",
    "long",
    "machine",
    "members",
    "modes",
    "networks",
    "newton",
    "programs",
    "stacks",
    "training",
]

#: in the order in which they run
ORDER = "gru lstm step r3nn r3nn-cores chunked linear bf16 newton million compile modes".split()
for name in (*ORDER, *(name for name in list(CASES) if name not in ORDER)):
    CASES[name] = CASES.pop(name)
