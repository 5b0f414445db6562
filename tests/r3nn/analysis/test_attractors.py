"""Attractors and fixed points of maps whose points are known."""

import jax
import jax.numpy as jnp
import numpy as np

from r3nn.analysis import attractors, fixed_points

STARTS = jax.random.normal(jax.random.key(0), (40, 2))


def test_two_wells_and_the_saddle_between():
    """s <- tanh(2 s), by each of two numbers scaled: stable at +-.9575 times (1, 0), a saddle at 0."""
    step = lambda s: jnp.stack([jnp.tanh(2 * s[0]), 0.5 * s[1]])
    found = attractors(step, STARTS, steps=300)
    assert len(found.points) == 2 and found.reached.sum() == found.starts == 40
    np.testing.assert_allclose(np.sort(found.points[:, 0]), [-0.957504, 0.957504], atol=1e-5)
    np.testing.assert_allclose(np.abs(found.eigenvalues), 2 * [[0.5, 2 * (1 - 0.957504**2)]], atol=1e-4)
    points = fixed_points(step, STARTS)
    assert len(points.points) == 3
    saddle = points.eigenvalues[np.abs(points.points[:, 0]).argmin()]
    np.testing.assert_allclose(np.abs(saddle), [2, 0.5], atol=1e-5)


def test_a_cycle_is_no_rest_and_twice_the_map_has_its_points():
    """A parity that is kept: under token 1 the state changes sign, so that two steps have two attractors."""
    flip = lambda state: {"h": -jnp.tanh(2 * state["h"])}
    starts = {"h": STARTS[:, :1]}
    assert len(attractors(flip, starts, steps=300).points) == 0
    assert len(attractors(lambda s: flip(flip(s)), starts, steps=300).points) == 2
