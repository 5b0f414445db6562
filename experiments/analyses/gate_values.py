"""What do the gates do, and does it matter that they are soft?"""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.analyses.subject import Answer, DoesNotApply, Picture, Subject
from experiments.program import plots
from r3nn.analysis import gates


def binary(subject: Subject) -> Answer:
    """Collects the values of each gate, and rounds them to 0 and 1 to see what that does to the metric."""
    body, params = subject.model.body, subject.body_params

    @jax.jit
    def run(xs):
        outputs, soft = gates(body, params, xs)
        hard, _ = gates(body, params, xs, lambda name, value: jnp.round(value))
        return outputs, hard, [part.values for part in soft]

    outputs, hard, values = run(subject.xs)
    found = {
        f"{name}, part {number}" if len(values) > 1 else name: np.asarray(value, np.float32)
        for number, part in enumerate(values, 1)
        for name, value in part.items()
    }
    if not found:
        raise DoesNotApply("its step has no logistic function, which would be a gate")
    metric = subject.task.metric
    before, after = subject.metrics(outputs)[metric], subject.metrics(hard)[metric]
    rows = {}
    for name, value in found.items():
        kept = value if subject.mask is None or value.shape[1] == 1 else value[subject.mask]
        rows[name] = {
            "below_0.05": float((kept < 0.05).mean()),
            "above_0.95": float((kept > 0.95).mean()),
            "median": float(np.median(kept)),
        }
    open_shut = ", ".join(f"{name} {row['below_0.05'] + row['above_0.95']:.0%}" for name, row in rows.items())
    figure, (ax,) = plots.axes(width=7.5)
    edges = np.linspace(-12, 12, 61)
    for (name, value), color in zip(found.items(), np.resize(plots.COLORS, len(found)), strict=True):
        odds = np.log(np.clip(value, 1e-7, 1 - 1e-7) / (1 - np.clip(value, 1e-7, 1 - 1e-7)))
        shares, _ = np.histogram(odds, edges, density=True)
        plots.curve(ax, (edges[1:] + edges[:-1]) / 2, shares, color=color, label=name)
    ax.legend(frameon=False)
    plots.name(ax, f"{subject.label}: gates", "log odds of a gate: 0 is half open, 3 is 95 % open", "density")
    answer = f"rounded to 0 and 1, they take the {metric.replace('_', ' ')} from {before:.4g} to {after:.4g}"
    sure = f"{subject.xs.shape[1]} test sequences; within 5 % of open or shut: {open_shut}"
    numbers = {"metric": metric, "soft": before, "rounded": after, "gates": rows}
    picture = Picture("How open the gates are: at the sides a gate is as good as binary", figure)
    arrays = {name.replace(", ", "_").replace(" ", "_"): value for name, value in found.items()}
    return Answer(answer, sure, numbers, (picture,), arrays)
