"""Defines `chain`, one cell behind another within a time step."""

import dataclasses

import jax

from r3nn._lookup import FieldError
from r3nn.cells import Cell
from r3nn.cells._base import check_cell, check_key
from r3nn.cells._composition import Composition, prepare_part, run_part
from r3nn.time._noise import bare, part, put


@dataclasses.dataclass(frozen=True)
class Chain(Composition):
    """In each time step x_t -> cells[0] -> h_t^0 -> cells[1] -> ... : each cell's output is the next one's
    input.

    params and state are tuples, one entry a cell.
    """

    cells: tuple[Cell, ...]

    def init(self, key, in_size, hidden_size, **options):
        """Draws independently for each cell; the options go to all of them.

        hidden_size: one for all cells, or a list with that of each. Raises: ValueError for a list of another
        length, TypeError for what is no PRNG key.
        """
        check_key(key)
        count = len(self.cells)
        hidden = hidden_size if isinstance(hidden_size, (list, tuple)) else [hidden_size] * count
        if len(hidden) != count:
            raise FieldError(
                "hidden_size", f"hidden_size={hidden_size}: must be one for all, or a list of {count}."
            )
        keys, sizes = jax.random.split(key, count), (in_size, *hidden[:-1])
        return tuple(cell.init(k, d, h, **options) for cell, k, d, h in self._each(keys, sizes, hidden))

    def _each(self, *parts):
        return zip(self.cells, *parts, strict=True)

    def initial_state(self, params, batch_shape=()):
        """Returns a tuple with the initial state of each cell."""
        return tuple(cell.initial_state(p, batch_shape) for cell, p in self._each(params))

    def prepare(self, params, call=prepare_part):
        """Prepares the params of each cell."""
        return tuple(call(cell, p) for cell, p in self._each(params))

    def project(self, params, x):
        """Returns x, and what the first cell projects; the others' inputs arise within the step."""
        return x, self.cells[0].project(params[0], part(self.cells[0], x, 0))

    def step(self, params, state, u, call=run_part):
        """Steps each cell in turn."""
        x, u = u
        states = []
        for i, (cell, p, s) in enumerate(self._each(params, state)):
            own = part(cell, x, i)
            s = call(cell, p, s, cell.project(p, own) if i else u)
            x = put(x, cell.output(p, s, own))
            states.append(s)
        return tuple(states)

    def hidden(self, state):
        """Reads h of the last cell's state."""
        return self.cells[-1].hidden(state[-1])

    def output(self, params, state, x):
        """Returns the output of the last cell, each cell before it giving the next one's x."""
        for i, (cell, p, s) in enumerate(self._each(params, state)):
            x = put(x, cell.output(p, s, part(cell, x, i)))
        return bare(x)

    def in_size(self, params):
        """Returns the width of the first cell's inputs."""
        return self.cells[0].in_size(params[0])

    def unroll_parts(self, run, params, state, xs):
        """Runs all time steps of each cell in turn."""
        states = []
        for i, (cell, p, s) in enumerate(self._each(params, state)):
            s, ys = run(cell, p, s, part(cell, xs, i))
            xs = put(xs, ys)
            states.append(s)
        return tuple(states), bare(xs)


def chain(*cells: Cell) -> Cell:
    """Puts cells one behind another within a time step, e.g. the article's f below g: chain(f, deep(g, L)).

    Raises: ValueError without a cell, TypeError for what is none.
    """
    if not cells:
        raise ValueError("chain(): at least one cell is needed.")
    for cell in cells:
        check_cell(cell)
    return Chain(tuple(cells))
