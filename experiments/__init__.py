"""Programs that launch and inspect runs. `experiments.load` reads what a run has learned."""

import os
from typing import Any


def load(workdir: str | os.PathLike, step: int | None = None) -> tuple[Any, Any, Any]:
    """(model, params, config) of a run, from a verified checkpoint.

        model, params, config = experiments.load("runs/quickstart")
        carry = model.start(params, (B,))
        carry, ys = model.chunk(params, carry, xs)          # xs [T, B, D] or ids [T, B] -> ys [T, B, O]

    Args:
      workdir: the folder that `experiments/train.py` wrote, or still writes.
      step: after which update; None: the best of those that were evaluated, or else the last.

    Raises: errors.BadInput, in one sentence: no run there, no such checkpoint, none that is good.
    """
    from experiments._load import load as read  # late, so that importing this package stays cheap

    return read(workdir, step)
