"""Can what has to be remembered be read from the state, and how much noise on it is tolerated?"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from experiments.analyses.subject import Answer, DoesNotApply, Picture, Subject
from experiments.program import plots
from r3nn import training
from r3nn.analysis import discriminant_axes, probe_accuracy

CLASSES = 64  # of what has to be remembered, at most
POINTS = 4000
NOISE = (0.01, 0.03, 0.1, 0.3, 1.0)


def clouds(subject: Subject) -> Answer:
    """Reads what has to be remembered off the state, by a linear probe, and shows it."""
    states, classes = _flat_states(subject), _remembered(subject)
    order = np.random.default_rng(0).permutation(len(states))[: 3 * POINTS]
    states, classes = states[order], classes[order]
    half = len(states) // 2
    right = probe_accuracy(states[:half], classes[:half], states[half:], classes[half:])
    commonest = float(np.mean(classes[half:] == np.bincount(classes[:half]).argmax()))
    found = discriminant_axes(states[:half], classes[:half])
    seen = (states[half:] - found.mean) @ found.axes
    if seen.shape[1] == 1:
        seen = np.column_stack([seen, np.random.default_rng(0).uniform(-0.5, 0.5, len(seen))])
    figure, (ax,) = plots.axes(width=6.5, height=5)
    for number, one in enumerate(np.unique(classes)):
        there = classes[half:] == one
        color, marker = plots.COLORS[number % len(plots.COLORS)], "osv^Dx"[number // len(plots.COLORS) % 6]
        ax.scatter(*seen[there].T, s=6, color=color, marker=marker, alpha=0.5, linewidths=0, label=f"{one}")
    if len(np.unique(classes)) <= 12:
        ax.legend(frameon=False, markerscale=2, ncols=2)
    second = "second axis" if found.axes.shape[1] > 1 else "spread at random"
    plots.name(
        ax, f"{subject.label}: states, by what has to be remembered", "first discriminant axis", second
    )
    picture = Picture("Held-out states where classes lie most apart", figure, scatter=True)
    answer = (
        f"a linear probe reads it from {right:.1%} of held-out states; the commonest class is {commonest:.1%}"
    )
    sure = f"{half:,} held-out states; what a probe reads, the network need not use"
    numbers = {"probe": right, "commonest": commonest, "between_share": found.share.tolist()}
    return Answer(answer, sure, numbers, (picture,), {"seen": seen, "classes": classes[half:]})


def _flat_states(subject: Subject) -> np.ndarray:
    """Returns the states at the steps that exist, [N, n]."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(subject.states()[0]) if leaf.dtype == jnp.float64]
    states = np.concatenate([leaf.reshape(*leaf.shape[:2], -1) for leaf in leaves], axis=2)
    return states.reshape(-1, states.shape[2]) if subject.mask is None else states[subject.mask]


def _remembered(subject: Subject) -> np.ndarray:
    """Returns what has to be remembered at the steps that exist, int [N]. Raises: DoesNotApply."""
    latent, machine = subject.task.latent(subject.batch), subject.task.automaton()
    if latent is None and machine is None:
        raise DoesNotApply("the task does not name what has to be remembered")
    if latent is None:
        latent = np.zeros(subject.batch.inputs.shape, int)
        for row, word in enumerate(np.asarray(subject.batch.inputs)):
            state = machine.start
            for t, token in enumerate(word):
                state = max(machine.next[state, token], 0)
                latent[row, t] = state
    latent = np.asarray(latent)
    if latent.ndim > 2 or not np.issubdtype(latent.dtype, np.integer) or len(np.unique(latent)) > CLASSES:
        raise DoesNotApply(f"what has to be remembered are numbers, or more than {CLASSES} classes")
    latent = latent.T
    return latent.reshape(-1) if subject.mask is None else latent[subject.mask]


def noise(subject: Subject) -> Answer:
    """Adds Gaussian noise to the state at each step, and sees what is left of the metric."""
    body, params, task = subject.model.body, subject.body_params, subject.task
    ready, key = body.prepare(params), training.stream(0, training.NOISE)

    @jax.jit
    def run(xs, sigma):
        def step(state, now):
            x, key = now
            state = body.step(ready, state, body.project(ready, x))
            leaves, tree = jax.tree.flatten(state)
            keys = jax.random.split(key, len(leaves))
            noisy = lambda leaf, key: leaf + sigma * jax.random.normal(key, leaf.shape, leaf.dtype)
            leaves = [
                noisy(leaf, key) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
                for leaf, key in zip(leaves, keys, strict=True)
            ]
            state = jax.tree.unflatten(tree, leaves)
            return state, body.output(ready, state, x)

        keys = jax.random.split(key, len(xs))
        return jax.lax.scan(step, body.initial_state(params, xs.shape[1:2]), (xs, keys))[1]

    metric = task.metric
    trivial = task.baseline(subject.batch.mask.shape[1]).get(
        metric, 0.0 if metric in task.fractions else None
    )
    if trivial is None:
        raise DoesNotApply(f"the task has no trivial {metric}, from which a gain would be judged")
    values = [subject.metrics(run(subject.xs, sigma))[metric] for sigma in (0.0, *NOISE)]
    figure, (ax,) = plots.axes(width=7.5)
    plots.curve(ax, NOISE, values[1:], marker="o")
    plots.level(ax, values[0], "none", plots.DOTTED)
    plots.level(ax, trivial, "trivial", plots.DASHED)
    ax.set_xscale("log")
    word = metric.replace("_", " ")
    plots.name(
        ax, f"{subject.label}: noise on the state", "standard deviation of the noise, at each step", word
    )
    borne, half = _borne(values, trivial), f"half of the gain in {word} from {trivial:.4g} to {values[0]:.4g}"
    answer = (
        f"noise up to {borne:g} at each step leaves {half}"
        if borne
        else f"noise of {NOISE[0]:g} at each step already takes {half}"
    )
    numbers = {"metric": metric, "noise": [0.0, *NOISE], "values": values, "trivial": trivial}
    picture = Picture("How much noise on the state the answers tolerate", figure)
    sure = (
        f"{subject.xs.shape[1]} test sequences, one draw of the noise; states of a tanh lie between -1 and 1"
    )
    return Answer(answer, sure, numbers, (picture,), {"values": np.array(values)})


def _borne(values: list[float], trivial: float) -> float:
    """Returns the largest noise up to which half of the gain over the trivial guess is left; 0: none."""
    gain = abs(values[0] - trivial)
    enough = lambda pair: abs(pair[1] - values[0]) <= gain / 2
    borne = itertools.takewhile(enough, zip(NOISE, values[1:], strict=True))
    return max((sigma for sigma, _ in borne), default=0.0)
