"""Runs Flax's RNN by `unroll`."""

import jax
import jax.numpy as jnp
from flax import errors
from flax import linen as nn

from r3nn._batch_major import Options, Step, check_flax_cell, overrides, refuse_noise, run, step_shape
from r3nn._changed import changed
from r3nn._literals import Mode
from r3nn._lookup import check_choice
from r3nn.linen._cell import Cell
from r3nn.linen._flax_cells import from_flax
from r3nn.linen._noise import noise_key
from r3nn.time import MODES


class RNN(nn.RNN):
    """Runs a cell as `flax.linen.RNN` does, with its constructor, call and variables, by `r3nn.unroll`: the
    same numbers.

    cell: a `Cell`, or one of Flax's. Params of Flax's GRUCell, SimpleCell, LSTMCell, OptimizedLSTMCell,
    MGUCell are mapped onto our cells at each call, carries in and out keep Flax's form; any other cell of
    Flax, and a subclass of `Cell` with a call or a carry of its own, runs as the bare function that it is,
    which may change its carry alone and draw from no stream. mode: as in `unroll`. Of the other fields,
    `unroll`, `variable_axes`, `variable_broadcast`, `variable_carry` and `split_rngs` concern Flax's own
    scan and have no effect.
    """

    mode: Mode = "auto"

    def __post_init__(self):
        check_flax_cell(self.cell, "linen.Cell({}, features)")
        check_choice("mode", self.mode, MODES)
        super().__post_init__()

    def __call__(
        self,
        inputs: jax.Array,
        *,
        initial_carry=None,
        init_key=None,
        seq_lengths=None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        mask=None,
        reset=None,
        mode: Mode | None = None,
        key=None,
        deterministic: bool | None = None,
    ):
        """Runs inputs [*batch, T, D] -> outputs [*batch, T, H], or (carry, outputs) where return_carry.

        Args:
          inputs: floats; integers are cast to the dtype of the params, unless the cell runs as a bare one.
          initial_carry: in the form of the cell's; None: its initial carry.
          init_key: for a cell of Flax with a random carry_init; None: key 0.
          seq_lengths: int [*batch]: steps from there on are padding. The carry is that of the last valid
            step (of length 0: the initial one). Flax computes on in the padding; here what stands there is
            the output before it in the direction of the run: the last valid one, or the initial state's
            where reversed.
          return_carry, time_major, reverse, keep_order: as in Flax; None: as constructed.
          mask, reset: bool [*batch, T] ([T, *batch] where time_major), as in `unroll`; reset not for cells
            that run as bare functions.
          key, deterministic: of the noise, as in a call of `Cell`, but for all of the sequences.

        Raises: ValueError, TypeError: shapes, dtypes or names that do not fit, a step that changes variables;
          in one sentence. flax.errors.InvalidRngError: noise without key or stream.
        """
        features = self.cell.num_feature_axes
        given = Options(seq_lengths, time_major, reverse, keep_order, mask, reset, mode)
        options = given.filled(self)
        shape = step_shape(inputs, features, options.time_major)
        step = _step(self.cell, shape, jnp.result_type(inputs), key, deterministic)
        if step.bare:
            if initial_carry is None:
                init_key = jax.random.key(0) if init_key is None else init_key
                initial_carry = self.cell.initialize_carry(init_key, shape)
            _check_variables(self.cell, initial_carry, jax.ShapeDtypeStruct(shape, jnp.result_type(inputs)))
        carry, outputs = run(step, initial_carry, inputs, features, options)
        return_carry = self.return_carry if return_carry is None else return_carry
        return (carry, outputs) if return_carry else outputs


def _step(cell: nn.RNNCellBase, shape: tuple[int, ...], dtype, key, deterministic) -> Step:
    if isinstance(cell, Cell) and not overrides(cell, Cell):
        params = cell.params(shape[-1])
        return Step(cell.cell, params, noise_key(cell, cell.cell.noisy, key, deterministic))
    if cell.is_initializing():  # one step makes the variables
        cell(cell.initialize_carry(jax.random.key(0), shape), jnp.zeros(shape, dtype))
    try:
        return Step(*from_flax(cell, cell.variables), mapped=True)
    except ValueError:
        refuse_noise(cell, key, deterministic)
        unbound, variables = cell.unbind()
        return Step(unbound.apply, dict(variables))


def _check_variables(cell: nn.RNNCellBase, carry, x) -> None:
    """Raises ValueError for variables that a step changes, by name, and for noise that it draws."""
    unbound, variables = cell.unbind()
    mutable = {name: variables[name] for name in variables if cell.is_mutable_collection(name)}

    def step(mutable, carry, x):
        return unbound.apply({**variables, **mutable}, carry, x, mutable=list(mutable))[1]

    name, there = type(cell).__name__, "r3nn.linen.RNN cannot {} step to step; flax.linen.RNN can"
    try:
        names = changed(step, mutable, carry, x)
    except errors.InvalidRngError as error:
        raise ValueError(f"a step of {name} draws noise: {there.format('hand streams from')}.") from error
    if names:
        raise ValueError(f"a step of {name} changes {', '.join(names)}: {there.format('carry that from')}.")
