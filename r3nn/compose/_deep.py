"""Defines `deep`, the recursion over depth."""

import dataclasses
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from r3nn._literals import Order, Tie
from r3nn._lookup import FieldError, check_choice, check_int
from r3nn._serialize import serializable
from r3nn.cells import Cell
from r3nn.cells._base import Array, Params, check_cell, check_key
from r3nn.cells._composition import Composition, prepare_part, run_part
from r3nn.compose._stacked import apart, stack, stack_all, take, unstack
from r3nn.compose._wavefront import wavefront
from r3nn.time._noise import bare, part, put

ORDERS = ("auto", "stepwise", "layerwise", "wavefront")
TIES = ("none", "all", "full")
# Up to so many levels are written out; more are a loop, of so many at a time within a time step. There, a
# loop slices the parameters at every step, and JAX differentiates it: a third more time, twice the memory.
# Over all time steps, it copies what each level leaves to its gradient: a third more memory, up to a tenth
# more time (bench.py --cases=depth).
TOGETHER = 4


@serializable
class DeepParams(NamedTuple):
    """Holds `first`, the params of level 1, in_size -> H, and `rest`, those of levels 2 to L, H -> H, each
    leaf stacked [n, ...], or None.

    n is depth - 1 untied, 1 where all are tied, k in a cycle of k.
    """

    first: Params
    rest: Params | None


@dataclasses.dataclass(frozen=True)
class Deep(Composition):
    """h_t^l = g(h_{t-1}^l, h_t^{l-1}; θ_l) for l = 1 .. L, with h_t^0 the input          (3.2.2)

    State: the cell's, each leaf stacked [L, ...]. Depth is a `lax.scan`, so compile time does not grow with
    it (beyond four levels), and a tied depth can change at test time. Three orders of the same sum:
    *stepwise* (for each time step, all depths: the article's procedure, and the reference), *layerwise* (for
    each depth, all of time: every mode over time applies) and *wavefront* (level l at time step τ - l, all
    levels at once: T + L - 1 sequential steps rather than T L, for devices that a single level leaves idle).
    """

    cell: Cell
    depth: int
    tie: Tie | int = "none"
    order: Order = "auto"

    def __post_init__(self):
        check_cell(self.cell)
        check_int("depth", self.depth, 1)
        check_choice("order", self.order, ORDERS)
        if isinstance(self.tie, str):
            check_choice("tie", self.tie, (*TIES, "a cycle length (int)"))
        else:
            check_int("tie (a cycle)", self.tie, 1)

    def init(self, key, in_size, hidden_size, **options):
        """Draws each set of parameters independently; many of them in a loop, which is compiled once.

        Raises: ValueError where tie="full" meets in_size != hidden_size.
        """
        check_key(key)
        first_key, rest_key = jax.random.split(key)
        first = self.cell.init(first_key, in_size, hidden_size, **options)
        if self.tie == "full":
            if in_size != hidden_size:
                must = f"in_size={in_size} must equal hidden_size={hidden_size}, as one θ serves all."
                raise FieldError("tie", f"tie='full': {must}")
            return DeepParams(first, None)
        count = {"none": self.depth - 1, "all": 1}.get(self.tie, self.tie)
        count = min(count, self.depth - 1)
        if not count:
            return DeepParams(first, None)
        level = lambda key: self.cell.init(key, hidden_size, hidden_size, **options)
        keys = jax.random.split(rest_key, count)
        if count < TOGETHER:
            return DeepParams(first, stack_all(list(map(level, keys))))
        return DeepParams(first, lax.map(level, keys))

    def levels(self, params: DeepParams):
        """Returns (params of levels 2 to L, None), with an entry for each level; or (None, params), one set
        for all of them. The former are stacked [L-1, ...], or a list where levels are written out and
        prepared."""
        if self.tie == "full":
            return None, params.first
        if isinstance(params.rest, list):
            return [params.rest[i % len(params.rest)] for i in range(self.depth - 1)], None
        count = self._sets(params)
        if count == 1 and self.depth > 2:
            return None, take(params.rest, 0)
        if count == self.depth - 1:
            return params.rest, None
        return take(params.rest, jnp.arange(self.depth - 1) % count), None

    def _sets(self, params: DeepParams) -> int:
        """Counts the sets of params of levels 2 to L. Raises: ValueError where the depth needs another
        number."""
        count = 0 if params.rest is None else len(jax.tree.leaves(params.rest)[0])
        if self.tie == "none" and count != self.depth - 1:
            raise ValueError(f"depth={self.depth}: these params have {count + 1} untied levels.")
        if self.tie != "full" and not count and self.depth > 1:
            raise ValueError(f"depth={self.depth}: these params have a first level only.")
        return count

    @property
    def written_out(self) -> bool:
        """Says whether the levels of a step are written out, rather than a loop."""
        return self.depth <= TOGETHER

    @property
    def in_turn(self) -> bool:
        """Says whether `step` runs the levels through `call`, which it does unless they are a loop."""
        return super().in_turn and self.written_out

    def _over_depth(self, body, carry, params, per_level, together=1):
        """Runs body(carry, params of a level, entry of per_level) -> (carry, out) over levels 2 to L."""
        stacked, shared = self.levels(params)
        if shared is not None and self.written_out:
            stacked = [shared] * (self.depth - 1)
        if isinstance(stacked, list):
            outs = []
            for own, entry in zip(stacked, apart(per_level, self.depth - 1), strict=True):
                carry, out = body(carry, own, entry)
                outs.append(out)
            return carry, stack_all(outs)

        def level(carry, inputs):
            own, entry = inputs
            return body(carry, shared if own is None else own, entry)

        unroll = min(together, self.depth - 1)
        return lax.scan(level, carry, (stacked, per_level), length=self.depth - 1, unroll=unroll)

    def _numbers(self):
        """Numbers levels 2 to L, counted from 0; None where no level draws noise and so needs one."""
        return jnp.arange(1, self.depth) if self.noisy else None

    def _of_level(self, x, l):
        return part(self.cell, x, l)

    def initial_state(self, params, batch_shape=()):
        """Returns the levels' initial states, stacked [L, ...]."""
        first = self.cell.initial_state(params.first, batch_shape)
        if self.depth == 1:
            return stack(first, None)
        stacked, shared = self.levels(params)
        initial = lambda own: self.cell.initial_state(shared if own is None else own, batch_shape)
        if isinstance(stacked, list):
            return stack(first, stack_all(list(map(initial, stacked))))
        return stack(first, jax.vmap(initial, axis_size=self.depth - 1)(stacked))

    def prepare(self, params, call=prepare_part):
        """Prepares the params of each level; those of few levels become a list."""
        count = self._sets(params)
        prepared = self.prepare_stacked(params, call)
        few = count and self.written_out
        return prepared._replace(rest=apart(prepared.rest, count)) if few else prepared

    def prepare_stacked(self, params, call=prepare_part):
        """Prepares the params of each level, and leaves them stacked."""
        of_level = partial(call, self.cell)
        rest = params.rest if params.rest is None else jax.vmap(of_level)(params.rest)
        return DeepParams(of_level(params.first), rest)

    def project(self, params, x):
        """Returns x, and what the first level projects; the others' inputs arise within the step."""
        return x, self.cell.project(params.first, self._of_level(x, 0))

    def step(self, params, state, u, call=run_part):
        """Takes (3.2.2) for all levels in turn: the stepwise order."""
        x, u = u
        first, rest = unstack(state)
        first = call(self.cell, params.first, first, u)
        if self.depth == 1:
            return stack(first, None)

        def level(y, p, entry):
            s, l = entry
            own = self._of_level(put(x, y), l)
            s = call(self.cell, p, s, self.cell.project(p, own))
            return self.cell.output(p, s, own), s

        y = self.cell.output(params.first, first, self._of_level(x, 0))
        levels = rest, self._numbers()
        return stack(first, self._over_depth(level, y, params, levels, TOGETHER)[1])

    def hidden(self, state):
        """Returns h of the deepest level, [..., H]."""
        return self.cell.hidden(take(state, -1))

    def outputs(self, params, state, x) -> Array:
        """Returns the outputs of all levels, [L, ..., H], for the predictions at every depth of (3.2.3)."""
        first, rest = unstack(state)
        y = self.cell.output(params.first, first, self._of_level(x, 0))
        if self.depth == 1:
            return y[None]

        def level(y, p, entry):
            s, l = entry
            y = self.cell.output(p, s, self._of_level(put(x, y), l))
            return y, y

        return stack(y, self._over_depth(level, y, params, (rest, self._numbers()))[1])

    def output(self, params, state, x):
        """Returns the output of the deepest level, [..., H]."""
        return self.outputs(params, state, x)[-1]

    def in_size(self, params):
        """Returns the width of the first level's inputs."""
        return self.cell.in_size(params.first)

    def unroll_parts(self, run, params, state, xs):
        """Runs all time steps of each level in turn: the layerwise order, or as a wavefront."""
        unrolled = self.unroll_levels(run, params, state, xs)
        return unrolled and (unrolled[0], unrolled[1])

    def unroll_levels(self, run, params, state, xs):
        """Does as `unroll_parts` -> (final state, deepest outputs [T, ...], outputs of levels 2 to L [L-1, T,
        ...], of level 1 [T, ...])."""
        if self.order == "stepwise":
            return None
        if self.order == "wavefront" and self.depth > 1 and bare(xs).shape[0] != 0:
            state, ys = wavefront(self, run, params, state, xs)
            return state, ys[:, -1], jnp.moveaxis(ys[:, 1:], 1, 0), ys[:, 0]

        def level(ys, p, entry):
            s, l = entry
            s, ys = run(self.cell, p, s, self._of_level(put(xs, ys), l))
            return ys, (s, ys)

        together = self.depth if self.written_out else 1
        if self._uniform(params, state, xs):
            entries = state, jnp.arange(self.depth) if self.noisy else None
            levels = stack(params.first, params.rest), entries
            body = lambda ys, own: level(ys, *own)
            deepest, (state, outputs) = lax.scan(body, bare(xs), levels, unroll=together)
            return state, deepest, outputs[1:], outputs[0]
        first, rest = unstack(state)
        first, ys = run(self.cell, params.first, first, self._of_level(xs, 0))
        if self.depth == 1:
            return stack(first, None), ys, None, ys
        deepest, (rest, outputs) = self._over_depth(level, ys, params, (rest, self._numbers()), together)
        return stack(first, rest), deepest, outputs, ys

    def _uniform(self, params, state, xs) -> bool:
        """Says whether level 1 is as the others in all shapes: one loop then runs them all, compiled once."""
        if self.tie != "none" or self.depth < 3:
            return False
        first = jax.tree.map(jnp.shape, params.first)
        x = jax.ShapeDtypeStruct(bare(xs).shape[1:], bare(xs).dtype)
        one = lambda p, s, x: self.cell.output(p, take(s, 0), x)
        if first != jax.tree.map(lambda leaf: leaf.shape[1:], params.rest):
            return False
        y = jax.eval_shape(one, params.first, state, x)
        return (y.shape, y.dtype) == (x.shape, x.dtype)


def deep(cell: Cell, depth: int, *, tie: Tie | int = "none", order: Order = "auto") -> Deep:
    """Runs the cell over `depth` levels, the first included: (3.2.2).

    Args:
      cell: g.
      depth: L, at least 1.
      tie: "none" (parameters of its own for each level), "all" (one set for levels 2 to L), an int k
        (levels 2 to L use k sets in turn), "full" (one set for all levels; the input has width H).
      order: "stepwise", "layerwise", "wavefront" (same numbers), or "auto" (layerwise). Mode "plain" is
        stepwise always.

    Raises: ValueError for a depth below 1 or an unknown tie or order, TypeError for what is no cell.
    """
    return Deep(cell, depth, tie, order)
