"""The equations again, as NumPy loops in float64 over one sequence at a time: no batch, no tricks.

Nothing here calls r3nn: its classes say what a composition is made of, its arrays hold the numbers. The cells
themselves are in cell_oracles.py, transforms in transform_oracles.py, with what x is where there is noise.
"""

import jax
import numpy as np

from r3nn.compose import Chain, Deep, Feedback, FeedbackState
from r3nn.compose._delay import Delay, DelayState
from r3nn.compose._every_depth import EveryDepth
from r3nn.compose._norm import Norm
from r3nn.compose._residual import Residual
from tests import cell_oracles, transform_oracles
from tests.transform_oracles import bare, part, put

# Compositions: a step, an output and a first state, each by the definition.


def step(cell, p, state, x):
    """state_{t-1} -> state_t."""
    match cell:
        case Chain(parts):
            states = []
            for i, (cell_i, p_i, s) in enumerate(zip(parts, p, state, strict=True)):
                states.append(step(cell_i, p_i, s, part(x, i)))
                x = put(x, output(cell_i, p_i, states[-1], part(x, i)))
            return tuple(states)
        case Deep():  # (3.2.2)
            levels = []
            for l in range(cell.depth):
                p_l = level_params(cell, p, l)
                levels.append(step(cell.cell, p_l, take(state, l), part(x, l)))
                x = put(x, output(cell.cell, p_l, levels[-1], part(x, l)))
            return stack(levels)
        case Feedback():
            x = put(x, np.concatenate([bare(x), state.fed]))
            inner = step(cell.cell, p.cell, state.cell, x)
            y = output(cell.cell, p.cell, inner, x)
            return FeedbackState(inner, y, np.tanh(y @ p.readout))
        case EveryDepth() | Residual():
            return step(cell.cell, p, state, x)
        case Norm():
            return step(cell.cell, p.cell, state, put(x, normalize(cell, p, bare(x))))
        case Delay():  # f(h_{t-1}, x_{t-1})
            new = step(cell.cell, p, state.cell, put(x, state.waiting))
            return DelayState(new, state.waiting, bare(x))
    if isinstance(cell, transform_oracles.ALL):
        return transform_oracles.step(cell, p, state, x)
    return cell_oracles.step(cell, p, state, bare(x))


def output(cell, p, state, x):
    """y_t from state_t and x_t."""
    match cell:
        case Chain(parts):
            for i, (cell_i, p_i, s) in enumerate(zip(parts, p, state, strict=True)):
                x = put(x, output(cell_i, p_i, s, part(x, i)))
            return bare(x)
        case Deep():
            return outputs(cell, p, state, x)[-1]
        case EveryDepth():
            return outputs(cell.cell, p, state, x)
        case Feedback():
            return state.output
        case Residual():
            return output(cell.cell, p, state, x) + bare(x)
        case Norm():
            return output(cell.cell, p.cell, state, put(x, normalize(cell, p, bare(x))))
        case Delay():
            return output(cell.cell, p, state.cell, put(x, state.used))
    if isinstance(cell, transform_oracles.ALL):
        return transform_oracles.output(cell, p, state, x)
    return cell_oracles.output(cell, p, state, bare(x))


def outputs(deep, p, state, x):
    """[L, H]"""
    ys = []
    for l in range(deep.depth):
        y = output(deep.cell, level_params(deep, p, l), take(state, l), part(x, l))
        x = put(x, y)
        ys.append(y)
    return np.stack(ys)


def level_params(deep, p, l):
    """θ of level l, counted from 0."""
    if l == 0 or deep.tie == "full":
        return p.first
    row = {"none": l - 1, "all": 0}.get(deep.tie)
    return take(p.rest, (l - 1) % deep.tie if row is None else row)


def normalize(norm, p, x):
    """LayerNorm or RMSNorm."""
    if norm.kind == "layer":
        return p.scale * (x - x.mean()) / np.sqrt(x.var() + 1e-6) + p.shift
    return p.scale * x / np.sqrt((x**2).mean() + 1e-6)


def initial(cell, p, in_size, hidden_size):
    """The state before the first step: zeros, or what was learned."""
    match cell:
        case Chain(parts):
            sizes = [in_size] + [hidden_size] * (len(parts) - 1)
            each = zip(parts, p, sizes, strict=True)
            return tuple(initial(cell_i, p_i, size, hidden_size) for cell_i, p_i, size in each)
        case Deep():
            sizes = [in_size] + [hidden_size] * (cell.depth - 1)
            return stack(
                [initial(cell.cell, level_params(cell, p, l), n, hidden_size) for l, n in enumerate(sizes)]
            )
        case Feedback():
            fed = np.zeros(p.readout.shape[1])
            inner = initial(cell.cell, p.cell, in_size + fed.size, hidden_size)
            return FeedbackState(inner, np.zeros(hidden_size), fed)
        case EveryDepth() | Residual():
            return initial(cell.cell, p, in_size, hidden_size)
        case Norm():
            return initial(cell.cell, p.cell, in_size, hidden_size)
        case Delay():
            nothing = np.zeros(in_size)
            return DelayState(initial(cell.cell, p, in_size, hidden_size), nothing, nothing)
    if isinstance(cell, transform_oracles.ALL):
        return transform_oracles.initial(cell, p, in_size, hidden_size)
    return cell_oracles.initial(cell, p)


# Time.


def unroll(cell, p, state, xs, *, mask=None, reset=None, reverse=False, key=None):
    """One sequence xs [T, D], flags [T] -> (final state, outputs [T, ...]): what every mode must equal.

    state=None: the initial one. A masked step repeats the last output; before the first step of a
    segment there is none, and the output is that of the segment's first state without an input.
    """
    length, in_size = xs.shape
    first = initial(cell, p, in_size, hidden_size(cell, p))
    state = first if state is None else state
    y, ys, given = None, [None] * length, transform_oracles.inputs(xs, reset, key)
    for t in reversed(range(length)) if reverse else range(length):
        if reset is not None and (reset[t] if not reverse else t + 1 < length and reset[t + 1]):
            state, y = first, None
        if mask is None or mask[t]:
            state = step(cell, p, state, given[t])
            y = output(cell, p, state, given[t])
        elif y is None:
            y = output(cell, p, state, np.zeros(in_size))
        ys[t] = y
    return state, np.array(ys)


def hidden_size(cell, p):
    """H"""
    match cell:
        case Chain(parts):
            return hidden_size(parts[0], p[0])
        case Deep():
            return hidden_size(cell.cell, p.first)
        case Feedback() | Norm():
            return hidden_size(cell.cell, p.cell)
        case EveryDepth() | Residual() | Delay():
            return hidden_size(cell.cell, p)
        case transform_oracles.LayerNorm():
            return hidden_size(cell.cell, p.cell)
    if isinstance(cell, transform_oracles.ALL):
        return hidden_size(cell.cell, p)
    return cell_oracles.hidden_size(cell, p)


def entry(cell, state, index):
    """The state of one sequence of a batch: `index` has an int for each batch axis."""
    match cell:
        case Chain(parts):
            return tuple(entry(part, s, index) for part, s in zip(parts, state, strict=True))
        case Deep():  # [L, *batch, H]
            return stack([entry(cell.cell, take(state, l), index) for l in range(cell.depth)])
        case EveryDepth() | Residual() | Norm():
            return entry(cell.cell, state, index)
        case Delay() | Feedback():
            return type(state)(entry(cell.cell, state.cell, index), *(leaf[index] for leaf in state[1:]))
    transform = isinstance(cell, transform_oracles.ALL)
    return transform_oracles.entry(cell, state, index) if transform else take(state, index)


def take(tree, index):
    """leaf[index] for each leaf."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def stack(trees):
    """Leaf by leaf along a new first axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
