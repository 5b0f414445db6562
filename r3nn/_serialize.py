"""Registers params and states for `jax.export`: a program that takes or returns a NamedTuple can be
serialized, and read by another process that has imported r3nn, once the class is registered by name."""

from jax import export


def serializable(cls: type) -> type:
    """Registers a NamedTuple class of r3nn, as a decorator; its name is part of what is written."""
    return export.register_namedtuple_serialization(cls, serialized_name=f"r3nn.{cls.__name__}")
