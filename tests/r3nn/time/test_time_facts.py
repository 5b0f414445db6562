"""A cell that declares what it does not keep is refused by the name of the fact."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from r3nn import CELLS, chain, zoneout
from r3nn.cells import GatedCell
from r3nn.time import CellError, check_facts


class Gates(NamedTuple):
    candidate: jax.Array


@dataclasses.dataclass(frozen=True)
class Leaky(GatedCell):
    gates = Gates
    bounds = (-1.0, 1.0)

    def core(self, params, state, u, r):
        return 0.9 * state + 0.1 * self.activation(u.candidate + r.candidate)


@dataclasses.dataclass(frozen=True)
class Growing(Leaky):
    def core(self, params, state, u, r):
        return state + 0.1 * self.activation(u.candidate + r.candidate)


@dataclasses.dataclass(frozen=True)
class Mixing(Leaky):
    bounds = None

    def core(self, params, state, u, r):
        return super().core(params, state, u, r) - jnp.mean(state, axis=-1, keepdims=True)


@dataclasses.dataclass(frozen=True)
class Bent(Leaky):
    affine = True


@dataclasses.dataclass(frozen=True)
class Scaled(Leaky):
    """Reads more than h @ w."""

    def recur(self, params, state, u):
        return jax.tree.map(lambda r: 2 * r, super().recur(params, state, u))


@dataclasses.dataclass(frozen=True)
class Unknown(Leaky):
    recurrence = "tridiagonal"


WRONG = [
    (
        Growing(),
        r"Growing.bounds are \(-1.0, 1.0\), but a step from states within them gives one from -1.1 to 1",
    ),
    (
        Mixing(),
        "Mixing.recurrence is 'dense': core must be elementwise over batch and units, but uses reduce_sum",
    ),
    (Bent(), "Bent.affine is True, but its step is not affine in the state: say affine = False"),
    (Scaled(), "Scaled.recurrence is 'dense', but its recur gives other numbers than that says"),
    (Unknown(), "Unknown.recurrence is 'tridiagonal': must be one of dense, heads, multiplicative"),
]


@pytest.mark.parametrize("cell, sentence", WRONG, ids=lambda value: type(value).__name__)
def test_a_wrong_fact_is_named(cell, sentence):
    with pytest.raises(CellError, match=sentence):
        check_facts(cell)


@pytest.mark.parametrize(
    "cell", [*CELLS.values(), Leaky(), zoneout(CELLS["gru"], 0.3), chain(*CELLS.values())]
)
def test_ours_are_right(cell):
    check_facts(cell)
