"""Compositions as somebody writes them outside of r3nn, of what is public alone: they look at their own
fields, draw noise, have parameters of their own, and run in every mode that their parts allow."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.nn import sigmoid

from r3nn import CELLS, Cell, chain, deep, feedback, layer_norm, norm, recurrent_dropout, zoneout
from r3nn.cells import GatedCell, gru, lstm, ugrnn
from r3nn.compose import Composition, Noisy, Wrapper, run_part
from r3nn.time import bare, bernoulli, explain, fold, part
from tests.helpers import TanhReadout, assert_close, backward_loop, compiled, outcome, pad, problem

T, B, D, H = 6, 3, 2, 4

close = functools.partial(assert_close, rtol=1e-9, atol=1e-10)


def beside(vector, a):
    """A vector [H] of the rank of a [..., H]."""
    return lax.broadcast_to_rank(vector, a.ndim)


class PairParams(NamedTuple):
    """Of both cells; how much of the other each takes over [H], by its logit; of the noise, its scale [H]."""

    left: Any
    right: Any
    exchange: jax.Array
    scale: jax.Array


class PairState(NamedTuple):
    """Of both cells; what they agree upon [..., H]."""

    left: Any
    right: Any
    agreed: jax.Array


class PairInput(NamedTuple):
    """x for the right cell, what the left one makes of it, and the noise [..., H] or None."""

    x: Any
    left: Any
    drawn: jax.Array | None


@dataclasses.dataclass(frozen=True)
class Pair(Composition):
    """Two cells on the same x: the left one's step, then the right one's, whose x has the left one's output
    behind its own features. They agree on h = (1 - e) ⊙ l + e ⊙ r + d ⊙ scale ⊙ h_{t-1}, with e = σ(exchange)
    over the number of gates, and d ~ Bernoulli(rate) at each step; this is what they put out."""

    left: GatedCell
    right: Cell
    rate: float = 0.0

    def __post_init__(self):
        if not isinstance(self.left, GatedCell) or not callable(self.left.activation):
            raise TypeError(f"Pair takes a gated cell with an activation on the left, not {self.left}")

    @property
    def noisy(self):
        return self.rate > 0 or super().noisy

    def init(self, key, in_size, hidden_size, **options):
        left, right = jax.random.split(key)
        left = self.left.init(left, in_size, hidden_size, **options)
        right = self.right.init(right, in_size + hidden_size, hidden_size, **options)
        dtype = left.input[0].dtype
        return PairParams(left, right, jnp.zeros(hidden_size, dtype), jnp.ones(hidden_size, dtype))

    def initial_state(self, params, batch_shape=()):
        agreed = jnp.zeros((*batch_shape, *params.scale.shape), params.scale.dtype)
        left = self.left.initial_state(params.left, batch_shape)
        return PairState(left, self.right.initial_state(params.right, batch_shape), agreed)

    def prepare(self, params):
        return params._replace(left=self.left.prepare(params.left), right=self.right.prepare(params.right))

    def project(self, params, x):
        drawn = None
        if x is not bare(x) and self.rate:
            drawn = bernoulli(fold(x.step, 2), self.rate, len(params.scale), params.scale.dtype)
        return PairInput(x, self.left.project(params.left, part(self.left, x, 0)), drawn)

    def step(self, params, state, u, call=run_part):
        left = call(self.left, params.left, state.left, u.left)
        y = self.left.output(params.left, left, bare(u.x))
        own = self._for_right(u.x, y)
        right = call(self.right, params.right, state.right, self.right.project(params.right, own))
        e = beside(sigmoid(params.exchange), y) / len(self.left.gates._fields)  # looks at a field of its own
        agreed = (1 - e) * y + e * self.right.output(params.right, right, own)
        kept = self.rate if u.drawn is None else u.drawn
        return PairState(left, right, agreed + kept * beside(params.scale, y) * state.agreed)

    def _for_right(self, x, y):
        own = part(self.right, x, 1)
        value = jnp.concatenate([bare(own), y], axis=-1)
        return value if own is bare(own) else own._replace(x=value)

    def hidden(self, state):
        return state.agreed

    def in_size(self, params):
        return self.left.in_size(params.left)


class GainParams(NamedTuple):
    cell: Any
    gain: jax.Array


@dataclasses.dataclass(frozen=True)
class Gain(Wrapper):
    """The cell, its state multiplied behind each step by the tanh of what is learned."""

    own_params = True

    def __post_init__(self):
        if not isinstance(self.cell, GatedCell | Wrapper):
            raise TypeError(f"Gain takes a gated cell, not {self.cell}")

    def init(self, key, in_size, hidden_size, **options):
        cell = super().init(key, in_size, hidden_size, **options)
        return GainParams(cell, jnp.ones(hidden_size, options.get("dtype")))

    def step(self, params, state, u, call=run_part):
        assert isinstance(self.cell, GatedCell | Wrapper)
        return self.change(params, call(self.cell, params.cell, state, u))

    def change(self, params, state):
        return jax.tree.map(lambda leaf: beside(jnp.tanh(params.gain), leaf) * leaf, state)


@dataclasses.dataclass(frozen=True)
class Unasked(Gain):
    """Runs its cell itself."""

    def step(self, params, state, u):
        return self.change(params, self.cell.step(params.cell, state, u))


@dataclasses.dataclass(frozen=True)
class Twice(Gain):
    """Two inner steps for each one, in a loop."""

    def step(self, params, state, u, call=run_part):
        again = lambda state, _: (call(self.cell, params.cell, state, u), None)
        return self.change(params, lax.scan(again, state, length=2)[0])


@dataclasses.dataclass(frozen=True)
class Fast(Gain):
    """Fast weights: at each step the inner params are other ones, by what the state is."""

    def step(self, params, state, u, call=run_part):
        bias = beside(params.cell.recurrent_bias, state) * state[..., :1]
        return call(self.cell, params.cell._replace(recurrent_bias=bias), state, u)


@dataclasses.dataclass(frozen=True)
class Grainy(Noisy):
    """Gaussian noise behind each step, elementwise: the cell keeps its modes."""

    def draw(self, params, x):
        normal = lambda key: jax.random.normal(key, (H,))
        return jax.vmap(normal)(fold(x.step, 1).reshape(-1)).reshape(*x.step.shape, H).astype(x.x.dtype)

    def step(self, params, state, u, call=run_part):
        new = super().step(params, state, u, call)
        return new if u.drawn is None else new + 0.1 * u.drawn


#: each with the mode that "auto" picks
CELLS_OUTSIDE = {
    "pair": (Pair(gru, lstm, 0.4), "scan"),
    "pair of compositions": (Pair(lstm, deep(norm(zoneout(ugrnn, 0.3)), 2)), "scan"),
    "pair of pairs": (Pair(ugrnn, Pair(lstm, CELLS["indrnn"], 0.3), 0.2), "scan"),
    "inside ours": (feedback(chain(ugrnn, deep(Pair(lstm, zoneout(ugrnn, 0.3)), 2)), TanhReadout()), "scan"),
    "with an opaque part": (Pair(gru, layer_norm(gru), 0.4), "plain"),
    "wrapper": (Gain(Gain(lstm)), "scan"),
    "without call": (Unasked(gru), "scan"),
    "call in a loop": (Twice(gru), "scan"),
    "params of the state": (Fast(gru), "scan"),
    "structured and noisy": (Grainy(ugrnn), "scan"),
    "noisy, of a composition": (zoneout(Grainy(Gain(gru)), 0.3), "scan"),
    "dropout of a candidate": (recurrent_dropout(Gain(lstm), 0.3), "scan"),
}
IN_ALL_MODES = ("pair", "wrapper", "call in a loop", "params of the state")
ROWS = [(name, "scan") for name in CELLS_OUTSIDE]
ROWS += [(name, mode) for name in IN_ALL_MODES for mode in ("chunked", "newton", "auto")]
#: of each mode one, of parts with a structure and without; the others are products
AT_ONCE = {
    *(
        ("pair", "scan"),
        ("params of the state", "chunked"),
        ("wrapper", "newton"),
        ("call in a loop", "auto"),
    ),
    ("without call", "scan"),
}
MARKED = [pytest.param(*row, marks=[pytest.mark.slow] * (row not in AT_ONCE)) for row in ROWS]


@pytest.mark.parametrize("name, mode", MARKED)
def test_equal_plain(name, mode, x64):
    """Values and gradients, with noise, masks and resets, in both directions."""
    cell = CELLS_OUTSIDE[name][0]
    p = problem(cell, T, (B,), D, H)
    reverse = bool(ROWS.index((name, mode)) % 2)
    how = dict(mask=p.mask, reset=p.reset, reverse=reverse, key=jax.random.key(3))

    @compiled
    def run(params, state, xs):
        chunk = None if mode in ("newton", "auto") else 4
        in_mode = lambda mode, chunk: outcome(cell, params, state, xs, mode=mode, chunk=chunk, **how)
        return in_mode("plain", None), in_mode(mode, chunk)

    plain, other = run(p.params, p.state, pad(p.xs, p.mask))
    close(other, plain)


@pytest.mark.parametrize("name", CELLS_OUTSIDE)
def test_auto_picks(name):
    cell, mode = CELLS_OUTSIDE[name]
    (pick,) = explain(cell, problem(cell, T, (B,), D, H).params, None, jnp.zeros((T, B, D)))
    assert pick.mode == mode


def test_the_backward_loop_takes_each_part_by_its_structure():
    """One product a part for the states, one a gate for what the right cell reads of the left: no gate."""
    cell = Pair(gru, lstm, 0.4)
    body = backward_loop(cell, problem(cell, 24, (B,), D, H))
    products = [tuple(v.aval.shape for v in e.invars) for e in body if e.primitive.name == "dot_general"]
    inputs = [((B, H), (D + H, H))] * 4
    assert sorted(products) == sorted([((B, 3 * H), (H, 3 * H)), ((B, 4 * H), (H, 4 * H)), *inputs])
    assert not {"tanh", "logistic"} & {e.primitive.name for e in body}


def test_what_a_composition_refuses_it_refuses_itself():
    with pytest.raises(TypeError, match="Pair takes a gated cell with an activation on the left"):
        Pair(CELLS["mingru"], gru)
