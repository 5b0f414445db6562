"""Says in words where numbers stopped being finite."""

import jax
import numpy as np

from experiments.building.experiment import Experiment
from experiments.processes import exchange
from experiments.saved.leaves import flatten
from r3nn import training

_diagnose = jax.jit(training.diagnose, static_argnums=0)


def blame(experiment: Experiment, state: training.TrainState, arrays) -> str:
    """Names the update that `state` is frozen before, and the place in it: its batch follows from (seed,
    step)."""
    finite = exchange.gathered(_diagnose(experiment.spec, experiment.hparams, state, arrays))
    return (
        f"update {int(finite.step) + 1}: the loss or a gradient is not finite: "
        f"{_where(finite)}. The state before it is saved; a smaller config.optimizer.lr "
        "or config.optimizer.clip may help."
    )


def _where(finite: training.Finite) -> str:
    for name, good in finite.looked.items():
        wrong = ~np.asarray(good)  # [B, T, L]
        if wrong.any():
            t = int(wrong.any((0, 2)).argmax())
            depth = int(wrong[:, t].any(0).argmax()) + 1
            steps, rows = wrong.shape[1], int(wrong.any((1, 2)).sum())
            time = f"time step {t + 1} of {steps}" if steps > 1 else "the last time step"
            return f"{name} first at {time}, depth {depth}, in {rows} of {len(wrong)} sequences"
    parameters = [name for name, good in flatten(finite.gradients).items() if not good]
    if parameters:
        more = f" and of {len(parameters) - 2} more" if len(parameters) > 2 else ""
        before = f"{' and '.join(finite.looked)} are, " if finite.looked else ""
        return f"{before}the gradients of {', '.join(parameters[:2])}{more} are not"
    return "gradients are, the loss or their norm is not"
