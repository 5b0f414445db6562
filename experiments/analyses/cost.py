"""What does the network cost, and how did its training go?"""

import math
import time

import jax
import jax.numpy as jnp
import numpy as np

from experiments.analyses.subject import Answer, DoesNotApply, Picture, Subject
from experiments.program import plots
from experiments.saved.metrics_log import read_lines
from experiments.saved.workdir import Workdir
from r3nn.analysis import matmul_flops

BATCHES = (1, 8, 64)
STEPS = 200


def cost(subject: Subject) -> Answer:
    """Counts what a step costs, and measures how long it takes."""
    experiment = subject.learned.experiment
    model, params = experiment.learner.model, subject.learned.params
    state = jax.eval_shape(lambda p: model.start(p, ()), params)
    numbers = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state))
    like = subject.batch.inputs
    flops = {}
    seconds = {}
    with jax.enable_x64(False):
        for size in BATCHES:
            xs = jnp.zeros(
                (STEPS, size, *like.shape[2:]), jnp.float32 if like.dtype.kind == "f" else jnp.int32
            )
            run = jax.jit(lambda p, xs, size=size: model.chunk(p, model.start(p, (size,)), xs)[1])
            flops[size] = matmul_flops(run, params, xs) / STEPS / size
            jax.block_until_ready(run(params, xs))
            times = []
            for _ in range(5):
                began = time.perf_counter()
                jax.block_until_ready(run(params, xs))
                times.append(time.perf_counter() - began)
            seconds[size] = float(np.median(times)) / STEPS
    figure, (ax,) = plots.axes(width=7.5)
    plots.curve(ax, BATCHES, [1e6 * seconds[size] for size in BATCHES], marker="o")
    ax.set_xscale("log", base=2)
    ax.set_xticks(BATCHES, [f"{size}" for size in BATCHES])
    plots.name(
        ax, f"{subject.label}: a step forward", "sequences side by side", "time of a step (microseconds)"
    )
    answer = (
        f"{experiment.parameters:,} parameters, a state of {numbers:,} numbers a sequence, {flops[1]:,.0f} "
        f"floating-point operations in matrix products a step"
    )
    device = jax.devices()[0].device_kind
    sure = f"counted; a step takes {1e6 * seconds[1]:.1f} microseconds alone on this {device} (median of 5)"
    found = {
        "parameters": experiment.parameters,
        "state": numbers,
        "flops_a_step": flops[1],
        "seconds_a_step": {str(size): value for size, value in seconds.items()},
        "device": device,
    }
    picture = Picture("What a step costs, forward, by how many sequences go side by side", figure)
    return Answer(answer, sure, found, (picture,), {"seconds": np.array(list(seconds.values()))})


def training(subject: Subject, workdir: str) -> Answer:
    """Reads from the log how the training went."""
    lines = [line for line in read_lines(Workdir(workdir).metrics) if line["kind"] == "train"]
    lines = [line for line in lines if isinstance(line.get("loss"), float)]
    if len(lines) < 2:
        raise DoesNotApply("the log holds fewer than two losses")
    updates, loss = (np.array([line[name] for line in lines]) for name in ("update", "loss"))
    norm = np.array([line.get("grad_norm") or np.nan for line in lines])
    clip = subject.learned.experiment.config.optimizer.clip
    clipped = float(np.nanmean(norm > clip)) if clip else None
    figure, (left, right) = plots.axes(2, width=5)
    plots.curve(left, updates, loss)
    plots.log_values(left, loss)
    plots.name(left, f"{subject.label}: loss", "update", "training loss")
    plots.curve(right, updates, norm)
    plots.log_values(right, norm)
    plots.name(right, "norm of the gradient", "update", "norm")
    least = int(loss.argmin())
    part = (
        "" if clipped is None else f"; {clipped:.0%} of the logged gradients were longer than clip={clip:g}"
    )
    answer = f"the loss fell from {loss[0]:.3g} to {loss[least]:.3g} at update {updates[least]:,}{part}"
    sure = f"{len(lines)} lines of the log, means over the updates between them"
    numbers = {"first_loss": float(loss[0]), "least_loss": float(loss[least]), "clipped": clipped}
    picture = Picture("Loss and gradient over training", figure)
    return Answer(answer, sure, numbers, (picture,), {"update": updates, "loss": loss, "grad_norm": norm})
