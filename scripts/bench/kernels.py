"""Measures `linear_scan` on its own."""

import jax
import jax.numpy as jnp
from jax import lax

import r3nn
from scripts.bench.contest import contest, gradient
from scripts.bench.modes import with_bytes
from scripts.bench.registry import Bar, case

TREE, LOOP = "AD of associative_scan", "AD of lax.scan"


def associative(a, b):
    """Computes s_t = a_t ⊙ s_{t-1} + b_t by jax.lax.associative_scan."""
    combine = lambda left, right: (left[0] * right[0], right[0] * left[1] + right[1])
    return lax.associative_scan(combine, (a, b))[1]


def loop(a, b):
    """Computes the same by jax.lax.scan."""

    def step(s, at):
        s = at[0] * s + at[1]
        return s, s

    return lax.scan(step, jnp.zeros_like(b[0]), (a, b))[1]


def stateful(scan):
    """Wraps a scan, so that it returns its states, and again as outputs."""
    return lambda a, b: (scan(a, b),) * 2


@case(bars={TREE: Bar(least=3), LOOP: Bar(least=1), f"{TREE}'s temporary bytes": Bar(least=3)})
def linear(setup):
    """linear_scan, gradients for a and b, against JAX's differentiation of its two scans."""
    batch, length, hidden = setup.cut(8, 8192, 256)
    a_key, b_key = jax.random.split(jax.random.key(0))
    a = jax.random.uniform(a_key, (length, batch, hidden), minval=0.8)
    b = jax.random.normal(b_key, (length, batch, hidden))
    contenders = [
        gradient("r3nn", stateful(r3nn.linear_scan), a),
        gradient(TREE, stateful(associative), a),
        gradient(LOOP, stateful(loop), a),
    ]
    yield with_bytes(
        contest(f"linear_scan ({batch}, {length}, {hidden})", contenders, b, hidden, setup), TREE
    )
