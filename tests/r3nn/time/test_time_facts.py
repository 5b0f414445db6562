"""A cell that declares what it does not keep is refused by the name of the fact."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from r3nn import CELLS, Cell, chain, recurrent_dropout, residual, unroll, zoneout
from r3nn.cells import GatedCell
from r3nn.compose import Composition, Wrapper, run_part
from r3nn.time import CellError, check_facts, explain
from tests.helpers import assert_close


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


@dataclasses.dataclass(frozen=True)
class Halved(Leaky):
    """Says how it steps twice, in two ways."""

    def step(self, params, state, u):
        return 0.5 * super().step(params, state, u)


@dataclasses.dataclass(frozen=True)
class Permuted(Leaky):
    bounds = None

    def core(self, params, state, u, r):
        pairs = super().core(params, state, u, r).reshape(*state.shape[:-1], 2, 2)
        return jnp.swapaxes(pairs, -1, -2).reshape(state.shape)


@dataclasses.dataclass(frozen=True)
class Signed(type(CELLS["mingru"])):
    """Affine wherever it has a derivative."""

    def core(self, params, state, u, r):
        return super().core(params, state, u, r) + jnp.sign(state)


WRONG = [
    (Halved(), "Halved.recurrence is 'dense', but it has a step of its own"),
    (Permuted(), "Permuted.recurrence is 'dense': core must be elementwise over .*, but uses transpose"),
    (Signed(), "Signed.affine is True, but a step from a mean of two states is not the mean of the steps"),
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


@dataclasses.dataclass(frozen=True)
class Centred(Wrapper):
    """Mixes units behind the step."""

    elementwise = True

    def step(self, params, state, u, call=run_part):
        new = call(self.cell, params, state, u)
        return new - jnp.mean(new, axis=-1, keepdims=True)


@pytest.mark.parametrize("name", ["gru", "indrnn", "mingru"])
def test_a_wrapper_that_mixes_units_is_named(name):
    sentence = "Centred.elementwise is True, but what Centred.step does around its cell must be elementwise"
    with pytest.raises(CellError, match=sentence):
        check_facts(Centred(CELLS[name]))


def test_newton_does_not_trust_a_recurrence_by_units():
    cell = Centred(CELLS["diagonal_gru"])
    params = cell.init(jax.random.key(0), 3, 4)
    with pytest.raises(ValueError, match="must be elementwise"):
        unroll(cell, params, None, jnp.ones((5, 2, 3)), mode="newton")


@dataclasses.dataclass(frozen=True)
class Both(Composition):
    """Two cells on the same x, whose outputs are added. No array of its state is named as hidden."""

    one: Cell
    other: Cell

    def init(self, key, in_size, hidden_size, **options):
        return tuple(cell.init(key, in_size, hidden_size, **options) for cell in (self.one, self.other))

    def initial_state(self, params, batch_shape=()):
        return self.one.initial_state(params[0], batch_shape), self.other.initial_state(
            params[1], batch_shape
        )

    def project(self, params, x):
        return self.one.project(params[0], x), self.other.project(params[1], x)

    def step(self, params, state, u, call=run_part):
        return call(self.one, params[0], state[0], u[0]), call(self.other, params[1], state[1], u[1])

    def output(self, params, state, x):
        return self.one.output(params[0], state[0], x) + self.other.output(params[1], state[1], x)


@pytest.mark.parametrize("mode", ["scan", "chunked"])
def test_a_composition_need_not_choose_a_hidden_array(mode):
    cell, xs = Both(CELLS["gru"], CELLS["lstm"]), jax.random.normal(jax.random.key(1), (5, 2, 3))
    params = cell.init(jax.random.key(0), 3, 4)
    gradient = jax.grad(lambda params, mode: unroll(cell, params, None, xs, mode=mode)[1].sum())
    assert_close(gradient(params, mode), gradient(params, "plain"), 1e-4, 1e-5)
    assert explain(cell, params, None, xs, mode=mode)[0].mode == mode


def test_a_structured_cell_with_a_step_of_its_own_takes_that_step_in_every_mode():
    params, xs = Halved().init(jax.random.key(0), 3, 4), jax.random.normal(jax.random.key(1), (5, 2, 3))
    ys = lambda mode: unroll(Halved(), params, None, xs, mode=mode)[1]
    assert_close(ys("scan"), ys("plain"), 1e-5, 1e-6)


@pytest.mark.parametrize("name", ["mgu", "cornn", "gru_reset_before"])
def test_auto_picks_for_an_opaque_cell_what_it_picks_for_it_in_a_wrapper(name):
    xs = jnp.zeros((5, 2, 4))
    for cell in (CELLS[name], residual(CELLS[name]), recurrent_dropout(CELLS[name], 0.3)):
        params = jax.eval_shape(lambda key, cell=cell: cell.init(key, 4, 4), jax.random.key(0))
        assert explain(cell, params, None, xs)[0].mode == "scan"


def test_blocks_are_smaller_where_memory_is_given():
    params = CELLS["gru"].init(jax.random.key(0), 2, 16)
    (pick,) = explain(CELLS["gru"], params, None, jnp.zeros((2000, 2, 2)), mode="scan", memory=3_000_000)
    assert pick.bytes <= 3_000_000 and pick.chunk < 2000
