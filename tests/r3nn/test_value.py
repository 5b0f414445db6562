"""What may be a static argument of `jax.jit`: values are equal where all their fields are."""

import copy
import dataclasses
import pickle

import jax
import jax.numpy as jnp
import pytest

import r3nn
from r3nn import training
from r3nn.cells import CELLS
from r3nn.encoders import Embedding, Identity, Linear, OneHot, Readout
from r3nn.model import build
from r3nn.tasks import TASKS
from r3nn.time import Newton

VALUES = [
    *(CELLS[name] for name in ("elman", "lru", "mingru")),
    *(r3nn.chain(CELLS["gru"]), r3nn.deep(CELLS["gru"], 2), r3nn.zoneout(CELLS["lstm"], 0.1)),
    *(CELLS["gru"].reads, r3nn.heads(CELLS["gru"], 2).reads),
    *(Identity(2), Linear(2, 3), OneHot(2), Embedding(2, 3), Readout(2)),
    *(Newton(), r3nn.time.Linear()),
    *(TASKS["adding"], TASKS["s3"]),
    *(build(in_size=2, out_size=1), training.Spec(None, batch=2, updates=1)),
]


@pytest.mark.parametrize("how", ["bare", "eq=False"])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_subclass_is_a_frozen_dataclass_itself(value, how):
    """Or else values of it compare equal that differ in what the class above does not know."""
    kind = lambda: type("Mine", (type(value),), {"__annotations__": {"more": int}, "more": 0})
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
    unequal = kind() if how == "bare" else dataclasses.dataclass(frozen=True, eq=False, kw_only=True)(kind())
    with pytest.raises(TypeError, match=r"Mine is no frozen .* write @dataclasses.dataclass\(frozen=True\)"):
        unequal(**fields)
    mine = dataclasses.dataclass(frozen=True, kw_only=True)(kind())
    one, other = mine(**fields), mine(**fields, more=1)
    assert one != other and one == mine(**fields) == copy.copy(one) and hash(one) == hash(mine(**fields))


def test_a_program_is_that_of_its_cell():
    """Of two cells that differ in a number; also behind pickle, which calls no constructor."""
    program = jax.jit(r3nn.unroll, static_argnums=0)
    lem = CELLS["lem"]
    params, xs = lem.init(jax.random.key(0), 2, 3), jnp.ones((4, 2))
    cells = lem, pickle.loads(pickle.dumps(dataclasses.replace(lem, dt=0.1)))
    ys = [program(cell, params, None, xs)[1] for cell in cells]
    assert jnp.abs(ys[0] - ys[1]).max() > 1e-3
