"""The outputs of all levels, for predictions at every depth."""

import dataclasses

import jax.numpy as jnp

from r3nn.compose._deep import Deep
from r3nn.compose._stacked import stack
from r3nn.compose._wrapper import Wrapper


@dataclasses.dataclass(frozen=True)
class EveryDepth(Wrapper):
    """A `Deep` whose output is that of all its levels, [L, ..., H]."""

    def output(self, params, state, x):
        """[L, ..., H]."""
        return self.cell.outputs(params, state, x)

    def sweep(self, run, params, state, xs):
        """As the inner cell; outputs [T, L, ...]."""
        swept = self.cell.sweep_levels(run, params, state, xs)
        if swept is None:
            return None
        state, _, outputs, first = swept
        return state, jnp.moveaxis(stack(first, outputs), 0, 1)


def every_depth(cell: Deep) -> EveryDepth:
    """The deep cell with the outputs of all its levels, [L, ..., H].

    Raises: TypeError for a cell that is not `deep(...)`.
    """
    if not isinstance(cell, Deep):
        raise TypeError(f"every_depth({cell}): takes a deep(...) cell")
    return EveryDepth(cell)
