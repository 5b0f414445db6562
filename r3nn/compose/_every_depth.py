"""Defines `every_depth`, which puts out all levels, for predictions at every depth."""

import dataclasses

import jax.numpy as jnp

from r3nn.compose._deep import Deep
from r3nn.compose._stacked import stack
from r3nn.compose._wrapper import Wrapper


@dataclasses.dataclass(frozen=True)
class EveryDepth(Wrapper):
    """Wraps a `Deep`, and puts out the outputs of all its levels, [L, ..., H]."""

    def output(self, params, state, x):
        """Returns the outputs of all levels, [L, ..., H]."""
        return self.cell.outputs(params, state, x)

    def unroll_parts(self, run, params, state, xs):
        """Runs all time steps as the inner cell does; outputs are [T, L, ...]."""
        unrolled = self.cell.unroll_levels(run, params, state, xs)
        if unrolled is None:
            return None
        state, _, outputs, first = unrolled
        return state, jnp.moveaxis(stack(first, outputs), 0, 1)


def every_depth(cell: Deep) -> EveryDepth:
    """Returns the deep cell with the outputs of all its levels, [L, ..., H], in place of its output.

    Raises: TypeError for a cell that is not `deep(...)`.
    """
    if not isinstance(cell, Deep):
        raise TypeError(f"every_depth({cell}): takes a deep(...) cell.")
    return EveryDepth(cell)
