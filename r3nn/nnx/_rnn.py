"""Flax's RNN, run by `unroll`."""

import jax
from flax import nnx

from r3nn._batch_major import Options, Step, run, step_shape
from r3nn._names import check_choice
from r3nn.cells import Cell as CellValue
from r3nn.nnx._cell import Cell
from r3nn.nnx._flax_cells import from_flax
from r3nn.time import MODES


class RNN(nnx.RNN):
    """`flax.nnx.RNN`, with its constructor, call and variables, run by `r3nn.unroll`: the same numbers.

    cell: a `Cell`, or one of Flax's. Params of Flax's GRUCell, SimpleCell, LSTMCell, OptimizedLSTMCell are
    mapped onto our cells at each call, carries in and out keep Flax's form; any other cell of Flax runs
    as the bare function that it is. mode: as in `unroll`. Of the other options, `unroll`, `state_axes` and
    `broadcast_rngs` concern Flax's own scan and have no effect.
    """

    def __init__(self, cell: nnx.RNNCellBase, *, mode: str = "auto", **options):
        check_choice("mode", mode, MODES)
        super().__init__(cell, **options)
        self.mode = mode

    def __call__(
        self,
        inputs: jax.Array,
        *,
        initial_carry=None,
        seq_lengths=None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        rngs=None,
        mask=None,
        reset=None,
        mode: str | None = None,
    ):
        """Outputs [*batch, T, H] of inputs [*batch, T, D]; (carry, outputs) where return_carry, as in Flax.

        Args:
          initial_carry: in the form of the cell's; None: its initial carry.
          seq_lengths: int [*batch]: steps from there on are padding. The carry is that of the last valid
            step (of length 0: the initial one). Flax computes on in the padding; here what stands there is
            the output before it in the direction of the run: the last valid one, or the initial state's
            where reversed.
          return_carry, time_major, reverse, keep_order: as in Flax; None: as constructed.
          rngs: for a cell of Flax with a random carry_init.
          mask, reset: bool [*batch, T] ([T, *batch] where time_major), as in `unroll`; reset not for cells
            that run as bare functions.

        Raises: ValueError, TypeError: shapes, dtypes or names that do not fit, in one sentence.
        """
        step, features = _step(self.cell), self.cell.num_feature_axes
        given = Options(seq_lengths, time_major, reverse, keep_order, mask, reset, mode)
        options = given.filled(self)
        if initial_carry is None and not isinstance(step.cell, CellValue):
            # From a clone, so that this module stays as it is: it may be a closure of jax.jit.
            rngs = nnx.clone(self.rngs) if rngs is None else rngs
            shape = step_shape(inputs, features, options.time_major)
            initial_carry = self.cell.initialize_carry(shape, rngs)
        carry, outputs = run(step, initial_carry, inputs, features, options)
        return_carry = self.return_carry if return_carry is None else return_carry
        return (carry, outputs) if return_carry else outputs


def _step(cell: nnx.RNNCellBase) -> Step:
    if isinstance(cell, Cell):
        return Step(cell.value, cell.params, mapped=False)
    try:
        return Step(*from_flax(cell), mapped=True)
    except ValueError:
        return Step(*_function(cell), mapped=False)


def _function(cell: nnx.RNNCellBase):
    graphdef, params, others = nnx.split(cell, nnx.Param, ...)
    if jax.tree.leaves(others):
        raise ValueError(
            f"{type(cell).__name__} has variables that are not nnx.Param: "
            "r3nn.nnx.RNN cannot carry them from step to step; flax.nnx.RNN can"
        )
    return lambda params, carry, x: nnx.merge(graphdef, params, others)(carry, x), params
