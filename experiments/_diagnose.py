"""Where numbers stopped being finite, in words."""

import jax
import numpy as np

from experiments import _processes
from experiments._build import Experiment
from experiments._checkpoint import flatten
from r3nn import training

_diagnose = jax.jit(training.diagnose, static_argnums=0)


def blame(experiment: Experiment, state: training.TrainState) -> str:
    """The update that `state` is frozen before, and where in it: its batch follows from (seed, step)."""
    finite = _processes.gathered(_diagnose(experiment.spec, experiment.hparams, state))
    return (
        f"update {int(finite.step) + 1}: the loss or a gradient is not finite: "
        f"{_where(finite, experiment.spec)}. The state before it is saved; a smaller config.optimizer.lr "
        "or config.optimizer.clip may help."
    )


def _where(finite: training.Finite, spec: training.Spec) -> str:
    wrong = ~np.asarray(finite.predictions)  # [L, B, T]
    if wrong.any():
        t = int(wrong.any((0, 1)).argmax())
        depth = int(wrong[:, :, t].any(1).argmax()) + 1
        steps = f"{wrong.shape[2]}{' of the piece' if spec.tbptt else ''}"
        time = "the last time step" if spec.predict_last else f"time step {t + 1} of {steps}"
        rows = int(wrong.any((0, 2)).sum())
        return f"predictions first at {time}, depth {depth}, in {rows} of {wrong.shape[1]} sequences"
    parameters = [name for name, good in flatten(finite.gradients).items() if not good]
    if parameters:
        more = f" and of {len(parameters) - 2} more" if len(parameters) > 2 else ""
        return f"predictions are, the gradients of {', '.join(parameters[:2])}{more} are not"
    return "predictions and gradients are, their loss or norm is not"
