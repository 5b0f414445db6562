"""Defines the linear recurrent unit: complex, diagonal, linear."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from r3nn import initializers
from r3nn._lookup import FieldError
from r3nn._serialize import serializable
from r3nn.cells._base import Array, Cell, along, check_sizes


@serializable
class Complex(NamedTuple):
    """Holds a complex array as a pair of real ones."""

    re: Array
    im: Array


@serializable
class LRUParams(NamedTuple):
    """Holds ν and θ, γ by its logarithm, B, C and D of the paper; after `prepare`, λ, and B scaled by γ."""

    log_decay: Array | None  # ν^log, [H]
    log_phase: Array | None  # θ^log, [H]
    log_scale: Array | None  # γ^log, [H]
    input: Complex  # B, [D, H]
    output: Complex  # C, [H, H]
    skip: Array  # D, [D, H]
    initial: Complex | None  # the learned state before the first step, or None for zeros
    eigenvalue: Complex | None  # λ, [H], of prepared params


@dataclasses.dataclass(frozen=True)
class LRU(Cell):
    """λ = exp(-exp(ν^log) + i exp(θ^log)),  |λ| < 1
    s_t = λ ⊙ s_{t-1} + exp(γ^log) ⊙ (B x_t)
    y_t = Re(C s_t) + D x_t

    No gate, and linear: what nonlinear cells are compared with. Complex numbers are pairs (re, im) of
    reals; s has H of them. λ starts uniform in the ring r_min <= |λ| <= r_max of the complex plane, with
    phases up to max_phase; γ = √(1 - |λ|²), which makes s as large as B x.
    Source: Orvieto et al. 2023, "Resurrecting recurrent neural networks for long sequences", arXiv
    2303.06349: sections 3.1 to 3.4; start of λ: lemma 3.2.
    """

    recurrence = "none"
    affine = True

    def init(
        self,
        key,
        in_size,
        hidden_size,
        *,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 2 * math.pi,
        learn_initial: bool = False,
        dtype=jnp.float32,
    ) -> LRUParams:
        """Draws fresh parameters. Raises: ValueError for sizes below 1, unless 0 <= r_min < r_max <= 1."""
        check_sizes(key, in_size, hidden_size)
        if not 0 <= r_min < r_max <= 1:
            raise FieldError("r_min", f"r_min={r_min}, r_max={r_max}: must be 0 <= r_min < r_max <= 1.")
        modulus, phase, b, c, d = jax.random.split(key, 5)
        inside = jax.random.uniform(modulus, (hidden_size,), dtype, minval=r_min**2, maxval=r_max**2)
        inside = jnp.clip(inside, 1e-8, 1 - 1e-6 if dtype != jnp.bfloat16 else 0.99)
        angle = jax.random.uniform(phase, (hidden_size,), dtype, minval=1e-4, maxval=1.0) * max_phase
        zeros = jnp.zeros(hidden_size, dtype)
        return LRUParams(
            log_decay=jnp.log(-0.5 * jnp.log(inside)),
            log_phase=jnp.log(angle),
            log_scale=0.5 * jnp.log1p(-inside),
            input=_normal(b, (in_size, hidden_size), (2 * in_size) ** -0.5, dtype),
            output=_normal(c, (hidden_size, hidden_size), hidden_size**-0.5, dtype),
            skip=initializers.lecun_normal(d, (in_size, hidden_size), dtype),
            initial=Complex(zeros, zeros) if learn_initial else None,
            eigenvalue=None,
        )

    def initial_state(self, params, batch_shape=()) -> Complex:
        """Returns zeros [*batch_shape, H], or the learned state broadcast to the batch."""
        shape = (*batch_shape, params.input.re.shape[1])
        if params.initial is None:
            return Complex(*(jnp.zeros(shape, params.input.re.dtype) for _ in Complex._fields))
        return jax.tree.map(lambda s: jnp.broadcast_to(s, shape), params.initial)

    def prepare(self, params):
        """Computes λ from its logarithms, and multiplies γ into B."""
        modulus, phase = jnp.exp(-jnp.exp(params.log_decay)), jnp.exp(params.log_phase)
        scaled = jax.tree.map(lambda b: b * along(jnp.exp(params.log_scale), b), params.input)
        λ = Complex(modulus * jnp.cos(phase), modulus * jnp.sin(phase))
        nothing = dict.fromkeys(("log_decay", "log_phase", "log_scale"))
        return params._replace(input=scaled, eigenvalue=λ, **nothing)

    def project(self, params, x):
        """Computes γ ⊙ (B x): [..., D] -> a pair of [..., H]."""
        return Complex(x @ params.input.re, x @ params.input.im)

    def recur(self, params, state, u):
        """Returns (): the cell has no recurrent product."""
        return ()

    def core(self, params, state, u, r):
        """Takes λ ⊙ s + u, elementwise."""
        λ, s = jax.tree.map(along, params.eigenvalue, state), state
        return Complex(λ.re * s.re - λ.im * s.im + u.re, λ.re * s.im + λ.im * s.re + u.im)

    def hidden(self, state):
        """Returns the real part of s, [..., H]."""
        return state.re

    def output(self, params, state, x):
        """Computes Re(C s) + D x, [..., H]."""
        return state.re @ params.output.re - state.im @ params.output.im + x @ params.skip

    def in_size(self, params):
        """Returns D, the width of the inputs that these params take."""
        return params.input.re.shape[0]


def _normal(key, shape, std, dtype) -> Complex:
    return Complex(*(std * jax.random.normal(k, shape, dtype) for k in jax.random.split(key)))


lru = LRU()
