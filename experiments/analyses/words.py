"""On which words does the network fail, and which attractors does it have under each token?"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.analyses.subject import Answer, DoesNotApply, Picture, Subject
from experiments.errors import BadInput
from experiments.evaluation import worst_words
from experiments.program import plots
from r3nn.analysis import attractors

STEPS = 1024  # of the words
STARTS = 128
TOKENS = 8  # whose attractors are counted
LONGEST_PERIOD = 60  # of a token's map on the machine's states


def failing(subject: Subject) -> Answer:
    """Searches the words on which the network answers otherwise than the task's machine."""
    task = subject.task
    try:
        with jax.enable_x64(False):
            found = worst_words.search(subject.learned, steps=STEPS, seed=0)
    except BadInput as error:
        raise DoesNotApply(str(error).removeprefix("--words=worst: ").rstrip(".")) from error
    families = found.families
    tried, wrong = (
        sum(getattr(family, name) for family in families.values()) for name in ("tried", "failing")
    )
    worst, periodic = found.shortest, families.get("periodic")
    if worst is None:
        said = f"on none of {tried:,} words of up to {STEPS:,} steps that were searched"
    else:
        share = f" ({periodic.failing:,} of {periodic.tried:,} words u v^n fail)" if periodic else ""
        said = f"on {worst_words.written(worst, task)}, at step {worst.step + 1:,}{share}"
    figure, (ax,) = plots.axes(width=7.5)
    names = list(families)
    ax.barh(names[::-1], [families[name].share for name in names[::-1]], color=plots.COLORS[0])
    plots.name(ax, f"{subject.label}: share of words that fail", "share of the words tried", "")
    arrays = {f"first_failing_step_{name}": np.asarray(family.first) for name, family in families.items()}
    picture = Picture("Which kinds of words fail, of those that chance never makes", figure)
    sure = (
        "the shortest failing word was replayed alone" if wrong else "a search proves nothing of other words"
    )
    numbers = {"tried": tried, "failing": wrong, **worst_words.as_json(found, task)}
    return Answer(said, sure, numbers, (picture,), arrays)


def under_tokens(subject: Subject) -> Answer:
    """Counts the attractors under each token, beside those that the machine needs.

    On the states that a token takes round cycles, the machine's map is a permutation; taken so often that
    this is the identity, each of these states needs an attractor of its own.
    """
    task = subject.task
    machine, body = task.automaton(), subject.model.body
    if machine is None:
        raise DoesNotApply("the task has no machine, which would say how many attractors a token needs")
    if len(machine.next[0]) > TOKENS:
        raise DoesNotApply(
            f"the task has {len(machine.next[0])} tokens, and more than {TOKENS} are not looked at"
        )
    if not all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(_start(subject))):
        raise DoesNotApply("the state holds counters, which never come to rest")
    ready, starts = body.prepare(subject.body_params), _visited(subject)
    inputs = subject.encoded(jnp.arange(len(machine.next[0])))

    @partial(jax.jit, static_argnums=1)
    def step(state, times, x):
        once = lambda state, _: (body.step(ready, state, body.project(ready, x)), None)
        return jax.lax.scan(once, state, None, times)[0]

    said, numbers, points = [], {}, {}
    for token, moves in enumerate(machine.next.T):
        needed, period = _recurrent(moves)
        name = task.decode(np.array([token]))
        if period > LONGEST_PERIOD:
            said.append(f"token {name} was not followed, as its states are back after {period:,} steps alone")
            continue
        found = attractors(
            lambda s, t=period, x=inputs[token]: step(s, t, x), starts, steps=max(4000 // period, 200)
        )
        numbers[name] = {"found": len(found.points), "needed": needed, "at_rest": int(found.reached.sum())}
        points[f"attractors_{token}"] = found.points
        points[f"eigenvalues_{token}"] = found.eigenvalues
        if len(found.points) != needed:
            many = "attractor" if len(found.points) == 1 else "attractors"
            said.append(f"token {name} has {len(found.points)} {many} and needs {needed}")
    figure, (ax,) = plots.axes(width=7.5)
    at = np.arange(len(numbers))
    for shift, which, color in ((-0.2, "needed", plots.PALE), (0.2, "found", plots.COLORS[0])):
        ax.bar(at + shift, [row[which] for row in numbers.values()], 0.4, color=color, label=which)
    ax.set_xticks(at, list(numbers))
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    plots.name(ax, f"{subject.label}: attractors under each token", "token, again and again", "attractors")
    answer = "; ".join(said) or "under each token there are as many attractors as the machine needs"
    sure = f"each from {STARTS} states that test sequences visit; at rest to 1e-6"
    picture = Picture(
        "A token with fewer attractors than the machine needs forgets, if it comes often enough", figure
    )
    return Answer(answer, sure, numbers, (picture,), points)


def _start(subject: Subject):
    return jax.eval_shape(lambda p: subject.model.body.initial_state(p, (1,)), subject.body_params)


def _visited(subject: Subject):
    """Takes STARTS states that test sequences visit, leaves [STARTS, ...]."""
    draw, (T, B) = np.random.default_rng(0), subject.xs.shape[:2]
    t, b = draw.integers(0, T, STARTS), draw.integers(0, B, STARTS)
    return jax.tree.map(lambda leaf: leaf[t, b], subject.states()[0])


def _recurrent(moves: np.ndarray) -> tuple[int, int]:
    """Returns (how many states lie on cycles of this map, after how many steps all of them are back)."""
    here = set(range(len(moves)))
    while (there := {int(moves[s]) for s in here if moves[s] >= 0}) != here:
        here = there
    lengths = set()
    for state in here:
        at, count = int(moves[state]), 1
        while at != state:
            at, count = int(moves[at]), count + 1
        lengths.add(count)
    return len(here), math.lcm(*lengths) if lengths else 1
