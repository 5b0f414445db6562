"""Whether a run fits into the memory that there is."""

import os

from experiments.errors import BadInput


def machine_memory() -> int:
    """Counts the bytes of memory that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check_memory(needed: int, there: int, what: str) -> None:
    """Raises BadInput where so many bytes, the least that `what` takes, are more than there are."""
    if needed > there:
        raise BadInput(
            f"config: {what} take {needed / 2**30:,.0f} GiB or more, and there are {there / 2**30:,.0f} GiB; "
            "take smaller sizes."
        )
