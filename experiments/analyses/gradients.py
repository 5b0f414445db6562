"""How far do gradients reach, and do nearby states diverge or converge?"""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.analyses.subject import Answer, DoesNotApply, Picture, Subject
from experiments.program import plots
from r3nn.analysis import cell_exponents, decay, gradient_flow

EXPONENTS = 8
TOKENS = 8  # of which each is fed alone


def reach(subject: Subject) -> Answer:
    """Measures |dy_T/ds_t| against the lag, at each part."""
    body = subject.model.body
    flows = gradient_flow(body, subject.body_params, subject.common)
    back = np.array([np.asarray(flow.size)[::-1] for flow in flows])
    found = [decay(flow.size) for flow in flows]
    T = back.shape[1]
    horizons = [f"more than {T - 1:,}" if one.horizon is None else f"{one.horizon:,}" for one in found]
    figure, (ax,) = plots.axes(width=7.5)
    for number, (row, color) in enumerate(zip(back, np.resize(plots.COLORS, len(back)), strict=True), 1):
        row = np.where(row > 0, row, np.nan)
        plots.curve(ax, range(T), row, color=color, label=f"part {number}")
    ax.set_yscale("log")
    if len(back) > 1:
        ax.legend(frameon=False)
    plots.name(
        ax, f"{subject.label}: a gradient against its lag", "lag (steps back from the end)", "|dy_T / ds_t|"
    )
    numbers = {"parts": [{**one._asdict()} for one in found]}
    alike, parts = len(set(horizons)) == 1, len(found)
    said = f"{horizons[0] if alike else ', '.join(horizons)} steps"
    said += "" if parts == 1 else f" at {'each of' if alike else 'the'} {parts} parts of a step"
    answer = f"they fall to 1/1000 after {said}, their logarithm by {found[0].rate:.4f} a step"
    of = f"{subject.xs.shape[1]} test sequences of {T:,} steps, in float64"
    sure = f"standard error {found[0].error:.4f}; {of}"
    picture = Picture("How much of the end depends on the state so many steps before it", figure)
    return Answer(answer, sure, numbers, (picture,), {"size_by_lag": back})


def divergence(subject: Subject) -> Answer:
    """Computes Lyapunov exponents along test sequences, and under each token alone."""
    body, xs = subject.model.body, subject.common
    T = len(xs)
    if T < 20:
        raise DoesNotApply(f"the sequences are of {T} steps, too few for a rate")
    measure = jax.jit(lambda xs: cell_exponents(body, subject.body_params, xs, EXPONENTS, warmup=T // 5))
    along = measure(xs[:, :8])
    numbers = {"exponents": along.exponents.tolist(), "errors": along.error.tolist()}
    arrays = {"along_data": np.asarray(along.each)}
    said = f"the largest exponent along test sequences is {along.exponents[0]:.4f} nats a step"
    vocab = subject.task.vocab
    if vocab is not None and vocab <= TOKENS:
        ids = jnp.broadcast_to(jnp.arange(vocab), (T, vocab))
        alone = measure(subject.encoded(ids))
        arrays["under_tokens"] = np.asarray(alone.each)
        names = [subject.task.decode(np.array([token])) for token in range(vocab)]
        numbers["under_tokens"] = dict(zip(names, alone.each[:, 0].tolist(), strict=True))
        each = ", ".join(f"{name}: {value:.3f}" for name, value in numbers["under_tokens"].items())
        said += f"; under one token alone, {each}"
    apart = "they diverge: a small difference grows" if along.exponents[0] > 0 else "they converge"
    figure, (ax,) = plots.axes(width=7.5)
    at = np.arange(1, len(along.exponents) + 1)
    ax.errorbar(
        at, along.exponents, 2 * np.nan_to_num(along.error), fmt="o", color=plots.COLORS[0], capsize=3
    )
    plots.level(ax, 0, "0", plots.DASHED)
    plots.name(ax, f"{subject.label}: Lyapunov exponents", "number, from the largest", "nats a step")
    picture = Picture("Above 0 differences between nearby states grow, below it they fade", figure)
    but = "a negative exponent does not say that answers are right"
    sure = f"standard error {along.error[0]:.4f} over sequences; {but}"
    return Answer(f"{apart}; {said}", sure, numbers, (picture,), arrays)
