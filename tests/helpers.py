"""What several test files need."""

import dataclasses
import functools
import itertools
import random
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from r3nn import (
    chain,
    deep,
    delay,
    every_depth,
    feedback,
    layer_norm,
    norm,
    refine,
    residual,
    slow,
    unroll,
    zoneout,
)
from r3nn.cells import SLSTMState, elman, gru, lstm, mgu, ugrnn
from r3nn.time import _pick, _unroll
from r3nn.time.arrays.trees import batch_axes


def assert_close(actual, desired, rtol=1e-5, atol=1e-6):
    """Asserts that two pytrees have the same structure and shapes, and close values.

    NamedTuples must be of one type; None is a leaf, equal only to None; NaN equals nothing. Dtypes
    may differ (a float64 oracle); bfloat16 compares as float64. The message names the leaf.
    """
    actual, actual_structure = _flatten(actual)
    desired, desired_structure = _flatten(desired)
    assert actual_structure == desired_structure, (
        f"structures differ:\n actual  {actual_structure}\n desired {desired_structure}"
    )
    for (path, a), (_, d) in zip(actual, desired, strict=True):
        leaf = f"leaf {jax.tree_util.keystr(path) or '(the whole)'}"
        if a is None or d is None:
            assert a is d, f"{leaf}: actual {a}, desired {d}"
            continue
        a, d = _numbers(a), _numbers(d)
        assert a.shape == d.shape, f"{leaf}: actual shape {a.shape}, desired {d.shape}"
        np.testing.assert_allclose(a, d, rtol=rtol, atol=atol, equal_nan=False, err_msg=leaf)


def assert_same(tree, other):
    """Asserts that two pytrees hold the same bits."""
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def _flatten(tree):
    return jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda leaf: leaf is None)


def _numbers(leaf) -> np.ndarray:
    if isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    leaf = np.asarray(leaf)
    # numpy's own comparison does not know the small floats of ml_dtypes.
    return leaf if np.issubdtype(leaf.dtype, np.number) else leaf.astype(np.float64)


class Problem(NamedTuple):
    """Arguments of `unroll` beside the cell."""

    params: Any
    state: Any
    xs: Any
    mask: Any
    reset: Any


def problem(cell, T, batch, D, H, *, seed=0) -> Problem:
    """Random everything: no parameter, state or input is at a value where a slip could hide.

    Drawn by NumPy into the shapes that the cell declares: nothing compiles. float64 where x64 is on.
    """
    dtype = jnp.result_type(float)
    rng = np.random.default_rng(seed)
    fill = lambda leaf: jnp.asarray(0.6 * rng.normal(size=leaf.shape), dtype)
    init = functools.partial(cell.init, in_size=D, hidden_size=H, learn_initial=True, dtype=dtype)
    params = jax.eval_shape(init, jax.random.key(0))
    state = jax.eval_shape(lambda p: cell.initial_state(p, batch), params)
    mask, reset = rng.random((T, *batch)) < 0.75, rng.random((T, *batch)) < 0.2
    if T > 3 and 0 not in batch:  # a reset where there is no step, between steps, whichever the direction
        first = (slice(4), *(0 for _ in batch))
        mask[first], reset[first] = [True, False, False, True], [False, False, True, False]
    xs = rng.normal(size=(T, *batch, D)).astype(dtype)
    params, state = jax.tree.map(fill, params), jax.tree.map(fill, state)
    if isinstance(state, SLSTMState):  # its normaliser is a sum of exponentials
        state = state._replace(n=0.5 + abs(state.n))
    return Problem(params, state, xs, mask, reset)


def open_sizes(cell, p: Problem, sizes: str) -> Problem:
    """The shapes of a problem of one batch axis, with symbols for T and B, such as "T, b"."""
    T, b = export.symbolic_shape(sizes)
    params, *along = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), (p.params, *p[2:])
    )
    along = [leaf.update(shape=(T, b, *leaf.shape[2:])) for leaf in along]
    batched = lambda axis, s: jax.ShapeDtypeStruct((*s.shape[:axis], b, *s.shape[axis + 1 :]), s.dtype)
    return Problem(params, jax.tree.map(batched, batch_axes(cell, p.params), p.state), *along)


def drawn(init):
    """Random parameters in the shapes of init(key). By NumPy: to compile `init` takes a second."""
    draw = np.random.default_rng(0)
    fill = lambda leaf: draw.normal(0, 0.5, leaf.shape).astype(leaf.dtype)
    return jax.tree.map(fill, jax.eval_shape(init, jax.random.key(0)))


def pad(xs, mask):
    """NaN where there is no step."""
    return np.where(mask[..., None], xs, np.nan).astype(xs.dtype)


def compiled(function, **options):
    """`jax.jit` without LLVM's optimisations: a test compiles for seconds and computes for milliseconds."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0}, **options)


def outcome(cell, params, state, xs, *, keep=None, **how):
    """(final state, outputs) of `unroll`, and gradients wrt (params, state, xs) of a number made of them.

    keep: whether recurrent products are kept, however wide; None: as `unroll` would."""

    def loss(params, state, xs):
        run = unroll if keep is None else functools.partial(_keeping, keep)
        values = run(cell, params, state, xs, **how)
        return number(values), values

    gradients, values = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(params, state, xs)
    return values, gradients


def _keeping(keep, cell, params, state, xs, *, mask=None, reset=None, **how):
    usual = dict(reverse=False, mode="auto", chunk=None, memory=None, compute=None)
    return _unroll._unroll(cell, params, state, xs, mask, reset, None, usual | how | {"keep": keep})


def number(tree):
    """A number that every component of a tree moves, each by an amount and curvature of its own."""

    def of_leaf(leaf):
        weights = jnp.cos(jnp.arange(leaf.size, dtype=leaf.dtype)).reshape(leaf.shape)
        return jnp.sum(weights * (leaf + jnp.sin(leaf)))

    return sum(map(of_leaf, jax.tree.leaves(tree)))


@dataclasses.dataclass(frozen=True)
class TanhReadout:
    """p of `feedback`: y = tanh(h @ W)."""

    size: int = 2

    def init(self, key, in_size):
        return jax.random.normal(key, (in_size, self.size))

    def fed(self, params, output):
        return jnp.tanh(output @ params)


#: what the combinators make, each in a few settings; "square" where inputs need the hidden width
COMPOSITIONS = {
    "chain": chain(lstm, gru),
    "deep": deep(gru, 3),
    "deep, tied": deep(ugrnn, 5, tie="all"),
    "deep, cycle": deep(mgu, 6, tie=2),
    "deep, full, square": deep(lstm, 5, tie="full"),
    "deep of deep": deep(deep(gru, 2), 2),
    "deep, stepwise, square": deep(residual(elman), 3, order="stepwise"),
    "deep of residual of norm, square": deep(residual(norm(elman, "layer")), 5),
    "norm": norm(ugrnn, "rms"),
    "every depth": every_depth(deep(ugrnn, 3)),
    "delay": chain(elman, deep(delay(residual(ugrnn)), 2)),
    "R3NN": feedback(chain(elman, deep(ugrnn, 2, tie="full")), TanhReadout()),
    "feedback of residual": feedback(chain(mgu, residual(lstm)), TanhReadout(3)),
    "R5NN": feedback(chain(refine(elman, 2), slow(deep(ugrnn, 2, tie="full"), 2)), TanhReadout()),
    "slow of refine": slow(refine(every_depth(deep(gru, 2)), 2), 3),
    "wavefront": every_depth(deep(lstm, 3, order="wavefront")),
    "wavefront of slow, tied": chain(
        layer_norm(gru), deep(slow(residual(ugrnn), 2), 3, tie="all", order="wavefront")
    ),
    "zoneout of layer norm": zoneout(layer_norm(lstm), 0.3, 0.4),
}


#: cells that stand for all others where a test is dear: each way to read the state, kind of state, prepare
REPRESENTATIVES = (
    "gru",
    "lstm",
    "slstm",
    "scornn",
    "mugrnn",
    "diagonal_lstm",
    "lru",
    "gru_reset_before",
    "m2rnn",
)


#: cells with a gradient of their own, not that of their values, which steps from one number to another
STRAIGHT_THROUGH = ("pd_ssm",)


def unless_slow(names, at_once):
    """Names as parameters of a test, those not in `at_once` only with -m slow."""
    return [name if name in at_once else pytest.param(name, marks=pytest.mark.slow) for name in names]


def in_size(name: str, D: int, H: int) -> int:
    """The input width at which to test a row of CELLS or COMPOSITIONS."""
    return H if "square" in name else D


def pairwise(needed=lambda row: True, **axes) -> list[dict]:
    """Rows, name -> value, in which every pair of values of two axes occurs; few, and always the same.

    needed: whether a pair, as a row of two names, must occur."""
    names, chance = list(axes), random.Random(0)
    pairs = lambda row: set(itertools.combinations(enumerate(row), 2))
    missing = set().union(*map(pairs, itertools.product(*map(range, map(len, axes.values())))))
    missing = {pair for pair in missing if needed({names[i]: axes[names[i]][at] for i, at in pair})}
    rows = []
    while missing:
        seeds = [dict(pair) for pair in chance.sample(sorted(missing), min(40, len(missing)))]
        complete = lambda seed: tuple(
            seed.get(i, chance.randrange(len(axes[name]))) for i, name in enumerate(names)
        )
        row = max(map(complete, seeds), key=lambda row: len(missing & pairs(row)))
        missing -= pairs(row)
        rows.append({name: axes[name][i] for name, i in zip(names, row, strict=True)})
    return rows


def product(**axes) -> list[dict]:
    """All rows."""
    return [dict(zip(axes, row, strict=True)) for row in itertools.product(*axes.values())]


def in_blocks(cell, mode, chunk) -> dict:
    """chunk=, for a mode that goes by blocks of steps; `unroll` refuses it elsewhere."""
    return {} if _pick._at_once(cell, mode) else {"chunk": chunk}


def equations(jaxpr):
    """All equations of a jaxpr and of those inside it."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in inside(equation):
            yield from equations(inner)


def backward_loop(cell, p) -> list:
    """The equations of one step of the backward loop of "scan", for a problem of 24 steps."""
    run = functools.partial(outcome, cell, mode="scan", chunk=6)
    _, blocks = scans(jax.make_jaxpr(run)(p.params, p.state, p.xs).jaxpr)
    (steps,) = scans(blocks.params["jaxpr"].jaxpr)
    return list(equations(steps.params["jaxpr"].jaxpr))


def inside(equation):
    """The jaxprs among an equation's parameters."""
    for leaf in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
        if hasattr(leaf, "eqns"):
            yield getattr(leaf, "jaxpr", leaf)


def scans(jaxpr) -> list:
    """The outermost scans of a jaxpr, looking through calls but not into loops."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            found.append(equation)
        else:
            found += [scan for inner in inside(equation) for scan in scans(inner)]
    return found


def inner_loops(text: str) -> list[tuple[dict[str, str], list[str]]]:
    """Of a compiled program's text, for each loop that has none in it: all its instructions, by name, with
    those of the computations that it calls; and the names of what it hands on to its next round."""
    computations = {}
    for line in text.splitlines():
        if match := re.match(r"(?:ENTRY )?%([\w.-]+) \(.*\{$", line):
            lines = computations[match[1]] = []
        elif match := re.match(r"\s+(?:ROOT )?(%[\w.-]+) = ", line):
            lines.append((match[1], line))

    def all_of(name):
        yield from computations[name]
        for _, line in computations[name]:
            for inner in re.findall(r"(?:calls|to_apply|body)=%([\w.-]+)", line):
                yield from all_of(inner)

    bodies = {name: dict(all_of(name)) for name in re.findall(r"body=%([\w.-]+)", text)}
    return [
        (lines, re.findall(r"%[\w.-]+", computations[name][-1][1].split(" tuple(")[1]))
        for name, lines in bodies.items()
        if not any(" while(" in line for line in lines.values())
    ]
