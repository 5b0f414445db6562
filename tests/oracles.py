"""The equations again, as NumPy loops in float64 over one sequence at a time: no batch, no tricks.

Nothing here calls r3nn: its classes say what a composition is made of, its arrays hold the numbers. Vectors
are columns, as papers write them: W [H, D], so `W(p, gate) @ x`.
"""

import jax
import numpy as np

from r3nn import cells
from r3nn.compose import Chain, Deep, Feedback, FeedbackState
from r3nn.compose._deep import EveryDepth
from r3nn.compose._wrapper import Delay, DelayState, Norm, Residual


def σ(a):
    return 1 / (1 + np.exp(-a))


def W(p, gate):
    return getattr(p.input, gate).T


def U(p, gate):
    return getattr(p.recurrent, gate).T


def b(p, gate):
    return 0.0 if p.bias is None else getattr(p.bias, gate)


def b_(p):
    """The candidate's recurrent bias."""
    return 0.0 if p.recurrent_bias is None else p.recurrent_bias


# One step of each cell: (params, state, x) -> state.


def elman(p, h, x):
    """Elman 1990."""
    return np.tanh(W(p, "candidate") @ x + U(p, "candidate") @ h + b(p, "candidate"))


def ugrnn(p, h, x):
    """The article's (3.1.1) to (3.1.3), with its W·[h, x]: W_z, W_r [H, H + D]."""
    W_z = np.concatenate([U(p, "update"), W(p, "update")], axis=1)
    W_r = np.concatenate([U(p, "candidate"), W(p, "candidate")], axis=1)
    hx = np.concatenate([h, x])
    z = σ(W_z @ hx + b(p, "update"))
    candidate = np.tanh(W_r @ hx + b(p, "candidate"))
    return (1 - z) * h + z * candidate


def mgu(p, h, x):
    """Zhou et al. 2016, eq. 6."""
    f = σ(W(p, "forget") @ x + U(p, "forget") @ h + b(p, "forget"))
    candidate = np.tanh(W(p, "candidate") @ x + U(p, "candidate") @ (f * h) + b(p, "candidate"))
    return (1 - f) * h + f * candidate


def mgu_reset_after(p, h, x):
    """flax.linen.MGUCell."""
    f = σ(W(p, "forget") @ x + U(p, "forget") @ h + b(p, "forget"))
    n = np.tanh(W(p, "candidate") @ x + b(p, "candidate") + f * (U(p, "candidate") @ h + b_(p)))
    return (1 - f) * n + f * h


def gru(p, h, x):
    """Cho et al. 2014 in cuDNN's form."""
    r = σ(W(p, "reset") @ x + U(p, "reset") @ h + b(p, "reset"))
    z = σ(W(p, "update") @ x + U(p, "update") @ h + b(p, "update"))
    n = np.tanh(W(p, "candidate") @ x + b(p, "candidate") + r * (U(p, "candidate") @ h + b_(p)))
    return (1 - z) * n + z * h


def gru_reset_before(p, h, x):
    """Cho et al. 2014, eq. 5 to 8."""
    r = σ(W(p, "reset") @ x + U(p, "reset") @ h + b(p, "reset"))
    z = σ(W(p, "update") @ x + U(p, "update") @ h + b(p, "update"))
    n = np.tanh(W(p, "candidate") @ x + U(p, "candidate") @ (r * h) + b(p, "candidate"))
    return z * h + (1 - z) * n


def lstm(p, state, x):
    """Gers et al. 2000, without peepholes."""
    h, c = state
    i = σ(W(p, "input") @ x + U(p, "input") @ h + b(p, "input"))
    f = σ(W(p, "forget") @ x + U(p, "forget") @ h + b(p, "forget"))
    g = np.tanh(W(p, "cell") @ x + U(p, "cell") @ h + b(p, "cell"))
    o = σ(W(p, "output") @ x + U(p, "output") @ h + b(p, "output"))
    c = f * c + i * g
    return cells.LSTMState(o * np.tanh(c), c)


STEPS = {
    cells.elman: elman,
    cells.ugrnn: ugrnn,
    cells.mgu: mgu,
    cells.mgu_reset_after: mgu_reset_after,
    cells.gru: gru,
    cells.gru_reset_before: gru_reset_before,
    cells.lstm: lstm,
}


# Compositions: a step, an output and a first state, each by the definition.


def step(cell, p, state, x):
    """state_{t-1} -> state_t."""
    match cell:
        case Chain(parts):
            states = []
            for part, p_i, s in zip(parts, p, state, strict=True):
                states.append(step(part, p_i, s, x))
                x = output(part, p_i, states[-1], x)
            return tuple(states)
        case Deep():  # (3.2.2)
            levels = []
            for l in range(cell.depth):
                p_l = level_params(cell, p, l)
                levels.append(step(cell.cell, p_l, take(state, l), x))
                x = output(cell.cell, p_l, levels[-1], x)
            return stack(levels)
        case Feedback():
            x = np.concatenate([x, state.fed])
            inner = step(cell.cell, p.cell, state.cell, x)
            y = output(cell.cell, p.cell, inner, x)
            return FeedbackState(inner, y, np.tanh(y @ p.readout))
        case EveryDepth() | Residual():
            return step(cell.cell, p, state, x)
        case Norm():
            return step(cell.cell, p.cell, state, normalize(cell, p, x))
        case Delay():  # f(h_{t-1}, x_{t-1})
            return DelayState(step(cell.cell, p, state.cell, state.waiting), state.waiting, x)
    return STEPS[cell](p, state, x)


def output(cell, p, state, x):
    """y_t from state_t and x_t."""
    match cell:
        case Chain(parts):
            for part, p_i, s in zip(parts, p, state, strict=True):
                x = output(part, p_i, s, x)
            return x
        case Deep():
            return outputs(cell, p, state, x)[-1]
        case EveryDepth():
            return outputs(cell.cell, p, state, x)
        case Feedback():
            return state.output
        case Residual():
            return output(cell.cell, p, state, x) + x
        case Norm():
            return output(cell.cell, p.cell, state, normalize(cell, p, x))
        case Delay():
            return output(cell.cell, p, state.cell, state.used)
    return state.h if cell is cells.lstm else state


def outputs(deep, p, state, x):
    """[L, H]"""
    ys = []
    for l in range(deep.depth):
        x = output(deep.cell, level_params(deep, p, l), take(state, l), x)
        ys.append(x)
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
            return tuple(initial(part, p_i, size, hidden_size) for part, p_i, size in each)
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
    if p.initial is not None:
        return p.initial
    zeros = np.zeros(hidden_size)
    return cells.LSTMState(zeros, zeros) if cell is cells.lstm else zeros


# Time.


def unroll(cell, p, state, xs, *, mask=None, reset=None, reverse=False):
    """One sequence xs [T, D], flags [T] -> (final state, outputs [T, ...]): what every mode must equal.

    state=None: the initial one. A masked step repeats the last output; before the first step of a
    segment there is none, and the output is that of the segment's first state without an input.
    """
    length, in_size = xs.shape
    first = initial(cell, p, in_size, hidden_size(cell, p))
    state = first if state is None else state
    y, ys = None, [None] * length
    for t in reversed(range(length)) if reverse else range(length):
        if reset is not None and (reset[t] if not reverse else t + 1 < length and reset[t + 1]):
            state, y = first, None
        if mask is None or mask[t]:
            state = step(cell, p, state, xs[t])
            y = output(cell, p, state, xs[t])
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
    return p.recurrent[0].shape[0]


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
    return take(state, index)


def take(tree, index):
    """leaf[index] for each leaf."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def stack(trees):
    """Leaf by leaf along a new first axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
