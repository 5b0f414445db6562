"""Defines `state_noise`, which adds Gaussian noise to a cell's state at each step."""

import dataclasses
import math
import numbers

import jax

from r3nn.cells import Cell
from r3nn.cells._composition import Composition, run_part
from r3nn.compose._noisy import Noisy, innermost, state_shape
from r3nn.time._noise import fold, normal


@dataclasses.dataclass(frozen=True)
class StateNoise(Noisy):
    """Adds noise to the state s̃_t that the cell's step makes, drawn anew at each step for each unit:

        s_t = s̃_t + sigma e_t,   e_t ~ N(0, 1)

    Each array of the state, such as the h and the c of an lstm, has noise of its own. Without keys it is the
    cell itself. The noise is added elementwise, so the cell keeps all its modes; but s_t leaves the box that
    the cell's own state stays in, so there are no `bounds`.
    Source: Jim, Giles & Horne 1996, "An analysis of noise in recurrent neural networks", additive noise.
    """

    bounds = None
    sigma: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        number = isinstance(self.sigma, numbers.Real) and not isinstance(self.sigma, bool)
        if not (number and math.isfinite(self.sigma) and self.sigma >= 0):
            raise ValueError(f"state_noise sigma must be a finite number at least 0, got {self.sigma!r}.")
        if isinstance(innermost(self.cell), Composition):
            raise TypeError(_of_a_single_cell(self.cell))

    def initial_state(self, params, batch_shape=()):
        """Returns the inner cell's. Raises: TypeError where it holds more than a state, such as a clock."""
        state = super().initial_state(params, batch_shape)
        if jax.tree.structure(state) != jax.tree.structure(state_shape(self.cell, params)):
            raise TypeError(_of_a_single_cell(self.cell))
        return state

    def draw(self, params, x):
        """Draws e_t, a tree such as the state, [*batch, ...]; leaf i from the step's key folded by 1 + i."""
        if not self.sigma:
            return None
        leaves, tree = jax.tree.flatten(state_shape(self.cell, params))
        draws = [normal(fold(x.step, 1 + i), leaf.shape, leaf.dtype) for i, leaf in enumerate(leaves)]
        return jax.tree.unflatten(tree, draws)

    def step(self, params, state, u, call=run_part):
        """Adds the noise to what the inner cell's step gives."""
        new = super().step(params, state, u, call)
        return new if u.drawn is None else jax.tree.map(lambda s, e: s + self.sigma * e, new, u.drawn)


def _of_a_single_cell(cell: Cell) -> str:
    name = type(cell).__name__
    return f"state_noise takes a single cell, whose state is all that its step carries: put it inside {name}."


def state_noise(cell: Cell, sigma: float) -> StateNoise:
    """Adds Gaussian noise of standard deviation sigma to the cell's state at each step.

    Raises: ValueError unless sigma is a finite number at least 0, TypeError for what is no cell, or for a
      composition of several; when run, TypeError around `slow` and `delay`, which go around the noise.
    """
    return StateNoise(cell, sigma)
