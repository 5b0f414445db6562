"""Runs Flax's RNN by `unroll`."""

import jax
import jax.numpy as jnp
from flax import nnx

from r3nn._batch_major import Options, Step, check_flax_cell, overrides, refuse_noise, run, step_shape
from r3nn._changed import changed
from r3nn._literals import Mode
from r3nn._lookup import check_choice
from r3nn.nnx._cell import Cell
from r3nn.nnx._flax_cells import from_flax
from r3nn.time import MODES


class RNN(nnx.RNN):
    """Runs a cell as `flax.nnx.RNN` does, with its constructor, call and variables, by `r3nn.unroll`: the
    same numbers.

    cell: a `Cell`, or one of Flax's. Params of Flax's GRUCell, SimpleCell, LSTMCell, OptimizedLSTMCell are
    mapped onto our cells at each call, carries in and out keep Flax's form; any other cell of Flax, and a
    subclass of `Cell` with a call or a carry of its own, runs as the bare function that it is, which may
    change its carry alone. mode: as in `unroll`. Of the other options, `unroll`, `state_axes` and
    `broadcast_rngs` concern Flax's own scan and have no effect.
    """

    def __init__(self, cell: nnx.RNNCellBase, *, mode: Mode = "auto", **options):
        check_flax_cell(cell, "nnx.Cell({}, in_features, hidden_features, rngs=...)")
        check_choice("mode", mode, MODES)
        super().__init__(cell, **options)
        self.mode = mode

    def __call__(
        self,
        inputs: jax.Array,
        initial_carry=None,
        seq_lengths=None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        rngs=None,
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
          seq_lengths: int [*batch]: steps from there on are padding. The carry is that of the last valid
            step (of length 0: the initial one). Flax computes on in the padding; here what stands there is
            the output before it in the direction of the run: the last valid one, or the initial state's
            where reversed.
          return_carry, time_major, reverse, keep_order: as in Flax; None: as constructed.
          rngs: for a cell of Flax with a random carry_init.
          mask, reset: bool [*batch, T] ([T, *batch] where time_major), as in `unroll`; reset not for cells
            that run as bare functions.
          key, deterministic: of the noise, as in a call of `Cell`, but for all of the sequences.

        Raises: ValueError, TypeError: shapes, dtypes or names that do not fit, a step that changes variables,
          noise without key or stream; in one sentence.
        """
        step, features = _step(self.cell, key, deterministic), self.cell.num_feature_axes
        given = Options(seq_lengths, time_major, reverse, keep_order, mask, reset, mode)
        options = given.filled(self)
        if step.bare:
            shape = step_shape(inputs, features, options.time_major)
            if initial_carry is None:
                # From a clone, so that this module stays as it is: it may be a closure of jax.jit.
                rngs = nnx.clone(self.rngs) if rngs is None else rngs
                initial_carry = self.cell.initialize_carry(shape, rngs)
            _check_variables(self.cell, initial_carry, jax.ShapeDtypeStruct(shape, jnp.result_type(inputs)))
        carry, outputs = run(step, initial_carry, inputs, features, options)
        return_carry = self.return_carry if return_carry is None else return_carry
        return (carry, outputs) if return_carry else outputs


def _step(cell: nnx.RNNCellBase, key, deterministic) -> Step:
    if isinstance(cell, Cell) and not overrides(cell, Cell):
        return Step(cell.value, cell.params, cell.noise_key(key, deterministic))
    try:
        return Step(*from_flax(cell), mapped=True)
    except ValueError:
        refuse_noise(cell, key, deterministic)
        graphdef, params, others = nnx.split(cell, nnx.Param, ...)
        # Copied: Flax lets nobody change the variables of one trace within another, even to what they are.
        return Step(lambda params, *given: nnx.merge(graphdef, params, others, copy=True)(*given), params)


def _check_variables(cell: nnx.RNNCellBase, carry, x) -> None:
    """Raises ValueError, by name, for a variable or an array of the cell that a step changes."""
    graphdef, state = nnx.split(cell)

    def step(state, carry, x):
        module = nnx.merge(graphdef, state)
        module(carry, x)
        return nnx.state(module)

    if names := changed(step, state, carry, x):
        raise ValueError(
            f"a step of {type(cell).__name__} changes {', '.join(names)}: "
            "r3nn.nnx.RNN cannot carry that from step to step; flax.nnx.RNN can."
        )
