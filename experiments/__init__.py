"""Launches and inspects runs, by its programs. `experiments.load` reads what a run has learned."""

import os
from typing import Any


def load(
    workdir: str | os.PathLike, step: int | None = None, *, form: str = "pure", allow_code: bool = False
) -> tuple[Any, Any, Any]:
    """Reads (model, params, config) of a run, from a verified checkpoint.

        model, params, config = experiments.load("runs/quickstart")
        carry = model.start(params, (B,))
        carry, ys = model.chunk(params, carry, xs)          # xs [T, B, D] or ids [T, B] -> ys [T, B, O]

    Args:
      workdir: the folder that `experiments/train.py` wrote, or still writes.
      step: after which update; None: the best of those that were evaluated, or else the last.
      form: "pure": an r3nn.model.Model, or what the learner trained in its place, and a tree of arrays.
        "nnx": an r3nn.nnx.Functional and an nnx state; "linen": an r3nn.linen.R3NN and its variables.
      allow_code: whether the Python files from which the run took its cell or task, which config.json names,
        may be run. Read them first where the folder is not your own. One that has changed since the run
        began is used, with a sentence on stderr.

    A damaged checkpoint that would have come first is named on stderr. Parameters have the dtypes that the
    model has now, whatever x64 was when they were trained.

    Raises, in one sentence: errors.BadInput: no run there, no such checkpoint, none that is good, or code
    that may not be run. errors.NotRead: the system refuses to read; that says nothing against the checkpoint.
    """
    from experiments.saved.learned import load as read

    return read(workdir, step, form, allow_code)
