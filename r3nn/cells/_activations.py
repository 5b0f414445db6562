"""The activations that have names, and the field of the cells that holds one."""

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
    """The field `activation` of a cell; in the text of a call, "gru(activation=relu)", it is a name."""
    return dataclasses.field(default=default, kw_only=True, metadata={"names": ACTIVATIONS})


def name_of(activation) -> str | None:
    """The name of an activation; None: it has none here."""
    return next((name for name, known in ACTIVATIONS.items() if known is activation), None)


def shown(activation) -> str:
    """How a sentence calls an activation."""
    return name_of(activation) or getattr(activation, "__name__", repr(activation))
