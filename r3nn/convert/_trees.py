"""Converts params by name and by level: nested tuples from and to nested dicts and lists."""

from typing import Any

import jax
import jax.numpy as jnp

from r3nn.compose import Deep, DeepParams


def fields(params) -> dict[str, Any]:
    """Names the parts of a NamedTuple, or of a tuple by position: "0", "1" ..."""
    names = getattr(params, "_fields", map(str, range(len(params))))
    return dict(zip(names, params, strict=True))


def build(kind: type, parts):
    """Builds a tuple of class `kind` from its parts; undoes `fields`."""
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)


def to_dict(params):
    """Converts params to nested dicts named as in the NamedTuples, {"input": {"update": ...}}; None is left
    out."""
    if not isinstance(params, tuple):
        return params
    return {name: to_dict(value) for name, value in fields(params).items() if value is not None}


def from_dict(like, tree):
    """Undoes `to_dict`. like: params, or their shapes, of the same structure.

    Raises: ValueError for a name that is missing.
    """
    if not isinstance(like, tuple):
        return tree
    missing = [name for name, value in fields(like).items() if value is not None and name not in tree]
    if missing:
        raise ValueError(f"params {sorted(tree)} lack {', '.join(missing)}.")
    return build(type(like), (from_dict(value, tree.get(name)) for name, value in fields(like).items()))


def levels(cell: Deep, params: DeepParams) -> list:
    """Lists the inner cell's params at each of the L levels, whatever the tie: a set that serves several
    levels stands several times."""
    if params.rest is None:
        return [params.first] * cell.depth
    count = len(jax.tree.leaves(params.rest)[0])
    row = lambda l: jax.tree.map(lambda leaf: leaf[l % count], params.rest)
    return [params.first, *map(row, range(cell.depth - 1))]


def stack(each: list) -> DeepParams:
    """Undoes `levels`: makes params of deep(cell, len(each)) from those of every level, the first included.

    Raises: ValueError for no levels, and where levels 2 to L differ in structure or shape.
    """
    if not each:
        raise ValueError("each is empty: must be the params of one level or more.")
    first, *rest = each
    shapes = lambda params: (
        jax.tree.structure(params),
        [jnp.shape(leaf) for leaf in jax.tree.leaves(params)],
    )
    if any(shapes(params) != shapes(rest[0]) for params in rest[1:]):
        raise ValueError("levels 2 to L of a deep cell must agree in structure and shapes, H -> H each.")
    return DeepParams(first, jax.tree.map(lambda *leaves: jnp.stack(leaves), *rest) if rest else None)
