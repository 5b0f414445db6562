"""Generates freely: a model goes on by itself behind prompts of test data, each output its next input.

That makes sense where a task continues its sequences: where each target is the input of the next step. No
task has to say so: the sizes must fit (of ids, as many classes as ids; of values, O = D), and the data must.

Of a chaotic signal, one with a Lyapunov exponent, many free runs are judged: by how long they follow the true
signal, and by how fast nearby ones diverge.
"""

import dataclasses
import itertools
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.errors import BadInput
from experiments.program import plots
from experiments.saved.learned import Learned
from r3nn import training
from r3nn.analysis import lyapunov_exponents, running_free, valid_steps
from r3nn.tasks import Task

SEQUENCES = 3  # shown
CHAOTIC = 100  # free runs of a chaotic signal
NOT = "--generate: the run's task does not continue its sequences: "


class Prompts(NamedTuple):
    """Holds test sequences of T steps, as NumPy arrays."""

    inputs: np.ndarray  # [B, T, D], or ids [B, T]
    lengths: np.ndarray  # int [B], steps of the prompts
    true: np.ndarray | None  # what follows in truth, [B, N, D] or [B, N]; None where the task ends there

    def last(self, row: int, steps: int) -> np.ndarray:
        """Returns the last steps of a prompt, so many at most."""
        return self.inputs[row, : self.lengths[row]][-steps:]


def prompts(learned: Learned, count: int, seed: int) -> Prompts:
    """Draws prompts of the trained length, with the `count` steps behind them where the task's sequences are
    so long.

    Raises: BadInput where nothing can go on.
    """
    learner, arrays = learned.experiment.learner, learned.experiment.arrays
    model = getattr(learner, "model", None)
    able = isinstance(learner, training.Supervised) and hasattr(model, "generate")
    if not able or getattr(model, "predict", "every") == "mean":
        raise BadInput("--generate: there is no model that generates: one on a task, not of predict=mean.")
    _check_sizes(learner.task)
    rows = np.arange(SEQUENCES if learner.task.lyapunov is None else CHAOTIC, dtype=np.int32)
    draw = lambda long: long.draw("test", seed, 0, rows, training.Carry(), arrays).batch
    try:
        batch, known = draw(dataclasses.replace(learner, length=learner.length + count)), count
    except ValueError:  # its sequences are not that long
        batch, known = draw(learner), 0
    inputs, targets, _, valid = map(np.asarray, batch)
    both = valid[:, 1:]
    if not np.allclose(inputs[:, 1:][both], targets[:, :-1][both], 1e-5, 1e-6):
        raise BadInput(f"{NOT}its targets are not the inputs of the next step.")
    lengths = np.maximum(valid.sum(1) - known, 1)
    true = [row[n - 1 : n - 1 + count] for row, n in zip(targets, lengths, strict=True)]
    return Prompts(inputs, lengths, np.array(true) if known else None)


def _check_sizes(task: Task) -> None:
    """Raises BadInput where an output cannot be an input."""
    kind, size = ("regression", task.in_size) if task.vocab is None else ("classification", task.vocab)
    if (task.kind, task.out_size) != (kind, size):
        one = f"has {size} values" if task.vocab is None else f"is one of {size} ids"
        what = f"the outputs are those of a {task.kind}, {task.out_size} wide"
        raise BadInput(f"{NOT}an input {one}, and {what}.")


@partial(jax.jit, static_argnums=(0, 5))
def free(model, params, inputs, lengths, key, count: int):
    """Generates what follows the prompts, [B, count, ...]. Classes are drawn by the key from softmax(y)."""
    xs, rows = jnp.swapaxes(inputs, 0, 1), jnp.arange(len(inputs))
    before = jnp.arange(len(xs))[:, None] < lengths - 1  # generation begins with the last step of a prompt
    carry, _ = model.chunk(params, model.start(params, rows.shape), xs, before)
    return jnp.swapaxes(model.generate(params, carry, inputs[rows, lengths - 1], count, key)[1], 0, 1)


def run(learned: Learned, given: Prompts, count: int, seed: int) -> tuple[dict[str, Any], Figure | None]:
    """Returns (what was generated, for JSON; of values also a figure), and prints the ids, or the error of
    the values, and what the free runs of a chaotic signal are like."""
    task, model = learned.experiment.learner.task, learned.experiment.learner.model
    key = training.stream(seed, training.NOISE)
    found = np.asarray(free(model, learned.params, given.inputs, given.lengths, key, count))
    prompt = [given.last(row, count) for row in range(SEQUENCES)]
    parts = {"prompt": prompt, "generated": found, "true": given.true}
    if given.true is None:
        del parts["true"]
    report = {name: [_listed(row) for row in rows[:SEQUENCES]] for name, rows in parts.items()}
    if task.vocab is None:
        if given.true is not None:
            report["mse"] = _listed(np.square(np.float64(found) - given.true).mean())
            print(f"mse of the {count:,} steps behind each prompt: {report['mse']}")
        if task.lyapunov is not None:
            report |= _chaos(learned, given, found)
        return report, _figure(given, found)
    for row, (name, rows) in itertools.product(range(SEQUENCES), parts.items()):
        print(f"\n{name} {row + 1}:\n{task.decode(rows[row])}")
    return report, None


@partial(jax.jit, static_argnums=(0, 3))
def exponents(model, params, inputs, count: int):
    """Measures the largest exponent of free runs of so many steps behind prompts of one length, [B]; a fifth
    more go before."""

    def one(xs):
        step, state = running_free(model, params, xs)
        return lyapunov_exponents(
            lambda state, _: step(state), state, count + count // 5, 1, warmup=count // 5
        )[0]

    return jax.vmap(one)(inputs)


def _chaos(learned: Learned, given: Prompts, found: np.ndarray) -> dict[str, Any]:
    """Judges free runs of a chaotic signal, prints what they are like, and returns it for JSON."""
    task, model = learned.experiment.learner.task, learned.experiment.learner.model
    inputs = given.inputs[:, : given.lengths[0]]
    exponent = np.asarray(exponents(model, learned.params, inputs, found.shape[1])).mean()
    print(
        f"largest Lyapunov exponent of the free runs, nats a step: {exponent:.5f}; true: {task.lyapunov:.5f}"
    )
    report = {"lyapunov": {"found": _listed(exponent), "true": task.lyapunov}}
    if given.true is None:
        return report
    times = np.asarray(valid_steps(found, given.true)) * task.lyapunov
    low, middle, high = np.quantile(times, (0.25, 0.5, 0.75))
    print(
        f"they follow the true signal for {middle:.2f} Lyapunov times (median of {len(times)}; half of them "
        f"{low:.2f} to {high:.2f})"
    )
    return {**report, "valid_time": {"median": middle, "quartiles": [low, high], "each": _listed(times)}}


def _listed(numbers: np.ndarray):
    """Converts numbers for JSON, which has no NaN."""
    return np.where(np.isfinite(numbers), numbers, None).tolist()


def _figure(given: Prompts, found: np.ndarray) -> Figure:
    """Draws a panel for each sequence: the end of its prompt, then the true signal and the free run."""
    figure, panels = plots.axes(SEQUENCES, width=5.0, height=3.4)
    for row, ax in enumerate(panels):
        known, end = given.last(row, found.shape[1]), given.lengths[row]
        begin, ahead = end - len(known), np.arange(end, end + found.shape[1])
        plots.mark(ax, begin, end - 1, "prompt")
        known = known if given.true is None else np.concatenate([known, given.true[row]])
        for true, run, color in zip(known.T, found[row].T, plots.COLORS, strict=False):
            plots.curve(ax, begin + np.arange(len(true)), true, color=plots.PALE, linewidth=1.2, label="true")
            plots.curve(ax, ahead, run, color=color, linewidth=1.4, label="free run")
        plots.name(ax, f"test sequence {row + 1}", "time (steps)", "value")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles[:2], labels[:2], loc="outside lower center", ncols=2, frameon=False)
    return figure
