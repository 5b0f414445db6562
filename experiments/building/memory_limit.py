"""Checks whether a run fits into the memory that there is."""

import os

from experiments.errors import BadInput


def machine_memory() -> int:
    """Counts the bytes of memory that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check_memory(needed: int, there: int, what: str, smaller: str = "smaller sizes") -> None:
    """Raises BadInput where `what` takes so many bytes, and these are more than there are.

    smaller: what to take instead.
    """
    if needed > there:
        raise BadInput(
            f"config: {what} take about {needed / 2**30:,.0f} GiB, and there are {there / 2**30:,.0f} GiB; "
            f"take {smaller}."
        )
