"""Transforms of cells again: NumPy, one sequence, with noise drawn from keys by the public `jax.random`.

Where there is noise, x is a `Noisy`: the input, and the keys of the step and of the segment. A transform
draws from its keys folded by 1, 2, ...; its inner cell, part i of a chain and level l of a deep cell get them
folded by 0, i and l. Nothing here calls r3nn: its classes say what a composition is made of.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from r3nn import cells
from r3nn.compose import SlowState
from r3nn.compose._layer_norm import LayerNorm
from r3nn.compose._recurrent_dropout import RecurrentDropout
from r3nn.compose._refine import Refine
from r3nn.compose._slow import Slow
from r3nn.compose._state_noise import StateNoise
from r3nn.compose._variational_dropout import VariationalDropout
from r3nn.compose._zoneout import Zoneout
from tests import oracles
from tests.cell_oracles import U, W, b, b_, σ

ALL = (LayerNorm, RecurrentDropout, Refine, Slow, StateNoise, VariationalDropout, Zoneout)


class Noisy(NamedTuple):
    """What r3nn's `Keyed` is: an input [D], and two keys."""

    x: Any
    step: Any
    sequence: Any


def part(x, i):
    """What part i gets."""
    if not isinstance(x, Noisy):
        return x
    return Noisy(x.x, jax.random.fold_in(x.step, i), jax.random.fold_in(x.sequence, i))


def bare(x):
    return x.x if isinstance(x, Noisy) else x


def put(x, value):
    return x._replace(x=value) if isinstance(x, Noisy) else value


def draw(key, i, probability, size):
    """1 with this probability, else 0."""
    return np.asarray(jax.random.uniform(jax.random.fold_in(key, i), (size,), np.float32)) < probability


def inputs(xs, reset, key):
    """One sequence's xs [T, D] with its keys; a segment is numbered by its first step in time."""
    if key is None:
        return xs
    of_step, of_sequence = jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)
    starts = [0 if reset is None else max([0, *np.flatnonzero(reset[: t + 1])]) for t in range(len(xs))]
    fold = lambda key, number: jax.random.fold_in(key, int(number))
    steps = enumerate(zip(xs, starts, strict=True))
    return [Noisy(x, fold(of_step, t), fold(of_sequence, start)) for t, (x, start) in steps]


def step(cell, p, state, x):
    """state_{t-1} -> state_t."""
    match cell:
        case Zoneout():
            new = oracles.step(cell.cell, p, state, part(x, 0))
            if not isinstance(new, tuple):
                return zoned(cell.h, 1, state, new, x)
            return type(new)(zoned(cell.h, 1, state.h, new.h, x), zoned(cell.c, 2, state.c, new.c, x))
        case StateNoise():
            new = oracles.step(cell.cell, p, state, part(x, 0))
            return noised(cell.sigma, new, x) if isinstance(x, Noisy) else new
        case Refine():
            for _ in range(cell.n):
                state = oracles.step(cell.cell, p, state, x)
            return state
    return dropped(cell, p, state, x)


def zoned(rate, i, old, new, x):
    """d ⊙ old + (1 - d) ⊙ new, d the expectation without noise."""
    d = draw(x.step, i, rate, len(old)) if isinstance(x, Noisy) else rate
    return d * old + (1 - d) * new


def noised(sigma, new, x):
    """new + sigma e, e of each array of the state from a key of its own."""
    arrays = new if isinstance(new, tuple) else (new,)
    key = lambda i: jax.random.fold_in(x.step, i)
    e = [np.asarray(jax.random.normal(key(i), a.shape, np.float32)) for i, a in enumerate(arrays, 1)]
    sums = [a + sigma * e for a, e in zip(arrays, e, strict=True)]
    return type(new)(*sums) if isinstance(new, tuple) else sums[0]


def mask(key, i, rate, size):
    return draw(key, i, np.float32(1 - rate), size) / (1 - rate)


def dropped(cell, p, state, x, m_h=1.0, m=1.0):
    """With the h that is read times m_h, and the candidate times m."""
    h = state[0] if isinstance(state, tuple) else state
    match cell:
        case VariationalDropout():
            if isinstance(x, Noisy) and cell.recurrent_rate:
                m_h = mask(x.sequence, 2, cell.recurrent_rate, len(h))
            return dropped(cell.cell, p, state, masked(cell, x), m_h, m)
        case RecurrentDropout():
            if isinstance(x, Noisy):
                m = mask(x.step, 1, cell.rate, len(h))
            return dropped(cell.cell, p, state, part(x, 0), m_h, m)
        case LayerNorm():
            return GATED[cell.cell](p.cell, state, bare(x), m_h, m, p)
        case Slow():
            if state.wait > 0.5:
                return state._replace(wait=state.wait - 1)
            new = dropped(cell.cell, p, state.cell, x, m_h, m)
            return SlowState(new, oracles.output(cell.cell, p, new, x), cell.k - 1.0)
    if cell in GATED:
        return GATED[cell](p, state, bare(x), m_h, m)
    return oracles.step(cell, p, state, x)


def masked(cell, x):
    """The input of a cell under variational dropout."""
    if not isinstance(x, Noisy):
        return x
    m = mask(x.sequence, 1, cell.rate, len(x.x)) if cell.rate else 1.0
    return part(put(x, x.x * m), 0)


def LN(a, scale):
    return scale * (a - a.mean()) / np.sqrt(a.var() + 1e-5)


def sums(p, h, x, norm):
    """gate -> (W x + b, U h), normalised where asked for."""
    on = lambda a, scales, gate: a if norm is None else LN(a, getattr(scales, gate))
    of_input, of_h = (None, None) if norm is None else (norm.input, norm.recurrent)

    def of(gate):
        return on(W(p, gate) @ x, of_input, gate) + b(p, gate), on(U(p, gate) @ h, of_h, gate)

    return of


def lstm(p, state, x, m_h, m, norm=None):
    of = sums(p, state.h * m_h, x, norm)
    i, f, o = (σ(sum(of(gate))) for gate in ("input", "forget", "output"))
    c = f * state.c + i * (m * np.tanh(sum(of("cell"))))
    shown = c if norm is None else LN(c, norm.memory.scale) + norm.memory.shift
    return cells.LSTMState(o * np.tanh(shown), c)


def gru(p, h, x, m_h, m, norm=None):
    of = sums(p, h * m_h, x, norm)
    r, z = (σ(sum(of(gate))) for gate in ("reset", "update"))
    of_x, of_h = of("candidate")
    return (1 - z) * (m * np.tanh(of_x + r * (of_h + b_(p)))) + z * h


def ugrnn(p, h, x, m_h, m, norm=None):
    of = sums(p, h * m_h, x, norm)
    z = σ(sum(of("update")))
    return (1 - z) * h + z * (m * np.tanh(sum(of("candidate"))))


GATED = {cells.lstm: lstm, cells.gru: gru, cells.ugrnn: ugrnn}


def output(cell, p, state, x):
    """y_t from state_t and x_t."""
    match cell:
        case Slow():
            return state.output
        case VariationalDropout():
            return oracles.output(cell.cell, p, state, masked(cell, x))
        case LayerNorm():
            return oracles.output(cell.cell, p.cell, state, x)
        case Refine():
            return oracles.output(cell.cell, p, state, x)
    return oracles.output(cell.cell, p, state, part(x, 0))


def initial(cell, p, in_size, hidden_size):
    """The state before the first step."""
    inner = oracles.initial(cell.cell, p.cell if isinstance(cell, LayerNorm) else p, in_size, hidden_size)
    if not isinstance(cell, Slow):
        return inner
    return SlowState(inner, 0 * oracles.output(cell.cell, p, inner, np.zeros(in_size)), 0.0)


def entry(cell, state, index):
    """The state of one sequence of a batch."""
    if not isinstance(cell, Slow):
        return oracles.entry(cell.cell, state, index)
    rows = index if isinstance(index, tuple) else (index,)
    inner = oracles.entry(cell.cell, state.cell, index)
    return SlowState(inner, state.output[..., *rows, :], state.wait[index])
