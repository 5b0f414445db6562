"""A cell of a user's that is at fault is named: class, method, what came and what was expected."""

import dataclasses
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from r3nn import chain, deep, feedback, unroll, with_output, zoneout
from r3nn.cells import Cell, GatedCell, gru

T, B, D, H = 11, 3, 2, 5


class LeakyGates(NamedTuple):
    candidate: jax.Array


@dataclasses.dataclass(frozen=True)
class Leaky(GatedCell):
    gates = LeakyGates

    def core(self, params, state, u, r):
        return state + 0.1 * jnp.tanh(u.candidate + r.candidate)


#: what a cell of a user's has instead, and what is said of it where it runs on xs [11, 3, 2] with H = 5
FAULTS = {
    "Gate": (
        {"core": lambda self, params, state, u, r: jnp.tanh(u.update)},
        r"Gate\.core asks for gate 'update'; its gates are candidate",
    ),
    "Field": (
        {"project": lambda self, params, x: x @ params.weight},
        r"Field\.project asks for 'weight' of GatedParams, which has input, recurrent, bias,",
    ),
    "Shape": (
        {"core": lambda self, params, state, u, r: jnp.tanh(u.candidate)[..., :-1]},
        r"Shape\.core gives float32\[3,4\] for a state float32\[3,5\]",
    ),
    "Kind": (
        {"step": lambda self, params, state, u: (state, state)},
        r"Kind\.step gives \(float32\[3,5\], float32\[3,5\]\) for a state float32\[3,5\]",
    ),
    "Dtype": (
        {"core": lambda self, params, state, u, r: state.astype(jnp.bfloat16)},
        r"Dtype\.core gives bfloat16\[3,5\] for a state float32\[3,5\]",
    ),
    "Nothing": ({"core": lambda self, params, state, u, r: None}, r"Nothing\.core returned None"),
    "Width": (
        {"project": lambda self, params, x: x @ params.input.candidate.T},
        r"Width\.project: dot_general .* got \(2,\) and \(5,\)",
    ),
    "Key": ({"core": lambda self, params, state, u, r: {}["z"]}, r"Key\.core: KeyError: 'z'"),
    "Batch": (
        {"initial_state": lambda self, params, batch_shape=(): jnp.zeros(5)},
        r"Batch\.initial_state gives float32\[5\] for a batch of \(3,\)",
    ),
    "Unwritten": ({"core": Cell.core}, r"Unwritten\.core is not written"),
    "Output": (
        {"output": lambda self, params, state, x: state.h},
        r"Output\.output: AttributeError: .* no attribute h",
    ),
}


@pytest.mark.parametrize("inside", [lambda cell: cell, lambda cell: chain(gru, zoneout(cell, 0.1))])
@pytest.mark.parametrize("name", FAULTS)
def test_a_cell_at_fault_is_named(name, inside):
    """By its class and method, also inside a composition; with params that are its own."""
    instead, message = FAULTS[name]
    cell = inside(dataclasses.dataclass(frozen=True)(type(name, (Leaky,), instead))())
    params = jax.eval_shape(partial(inside(Leaky()).init, in_size=D, hidden_size=H), jax.random.key(0))
    with pytest.raises(TypeError, match=message):
        jax.eval_shape(partial(unroll, cell), params, None, np.ones((T, B, D), np.float32))


def test_a_cell_that_is_not_at_fault_is_not_blamed():
    """For other params, and for an output's function that fails."""
    xs = np.ones((T, B, D), np.float32)
    with pytest.raises(TypeError, match=r"params or state are not those of Leaky\("):
        unroll(Leaky(), {"candidate": xs}, None, xs)
    cell = with_output(Leaky(), lambda extra, y, rest: y.no)
    params = jax.eval_shape(partial(cell.init, in_size=D, hidden_size=H), jax.random.key(0))
    with pytest.raises(AttributeError, match="no attribute no"):
        jax.eval_shape(partial(unroll, cell), params, None, xs)


@pytest.mark.parametrize(
    "make",
    [
        lambda: unroll(Leaky, None, None, np.ones((T, B, D))),
        lambda: deep(Leaky, 2),
        lambda: chain(gru, Leaky),
        lambda: feedback(gru, type("Leaky", (), {})),
    ],
)
def test_a_class_in_place_of_its_value(make):
    with pytest.raises(TypeError, match=r"did you mean Leaky\(\)\?$"):
        make()


def test_a_cell_without_gates():
    with pytest.raises(TypeError, match=r"Elsewhere\.gates is None: must be a NamedTuple class"):
        dataclasses.dataclass(frozen=True)(type("Elsewhere", (GatedCell,), {}))().init(
            jax.random.key(0), D, H
        )
