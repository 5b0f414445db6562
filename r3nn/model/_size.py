"""Measures how large a model is, and finds the model of a size."""

from collections.abc import Callable

import jax

from r3nn._lookup import check_int
from r3nn.model._model import Model


def count_params(model: Model) -> int:
    """Counts the trained numbers, without making any."""
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def fit_hidden_size(make: Callable[[int], Model], params: int) -> int:
    """Finds the hidden size for which make(hidden_size) comes nearest to `params` parameters.

    For comparisons of cells at equal parameters. Raises: ValueError for params below 1.
    """
    check_int("params", params, 1)
    size = lambda hidden: count_params(make(hidden))
    high = 1
    while size(high) < params:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) < params else (low, middle)
    return high if low == 0 or size(high) - params < params - size(low) else low
