"""Lists the activations that have names, and makes the field of a cell that holds one."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

ACTIVATIONS: dict[str, Callable] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "sigmoid": jax.nn.sigmoid,
    "identity": jax.nn.identity,
}


def activation_field(default: Callable):
    """Makes the field `activation` of a cell. In the text of a call, "gru(activation=relu)", it is a name."""
    return dataclasses.field(default=default, kw_only=True, metadata={"names": ACTIVATIONS})


def name_of(activation) -> str | None:
    """Returns the name of an activation, or None where it has none here."""
    return next((name for name, known in ACTIVATIONS.items() if known is activation), None)


def shown(activation) -> str:
    """Returns what an error sentence calls an activation: its name here, or else its function's."""
    return name_of(activation) or getattr(activation, "__name__", repr(activation))
