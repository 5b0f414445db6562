"""Defines two tasks of Deletang et al. 2023 about expressions with brackets, modulo 5: their value, and the
unknown in an equation."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from r3nn.tasks._kinds import Classification

_MOD = 5
_PLUS, _MINUS, _LEFT, _RIGHT, _TIMES = range(_MOD, _MOD + 5)  # ids; 0 to 4 are the digits
_X = _TIMES  # an equation has an x, and no *
_LITERALS = 16  # an item above it stands for an expression still to be written, of so many symbols more


@dataclasses.dataclass(frozen=True)
class ModularArithmeticBrackets(Classification):
    """What is the value of an expression with brackets, modulo 5?

    An expression of n symbols, drawn as in the source, is

        d               for n = 1        d ~ U{0 .. 4}
        -d, (d), (-d)   for n = 2, 3, 4
        (l o r)         for n >= 5       o ~ U{+, -, *},  l of U{1 .. n - 4} symbols, r of the others

    Inputs ids int32 [B, T]: the digits are 0 to 4, then + - ( ) * and the slot, =. Targets int32 [B, T] in
    [0, 5); the loss counts at the =. The source's n is the number of symbols before it: a sequence has n + 1
    steps.

    Example, length 9:

        x    (   -   2   *   (   4   )   )   =
        y    -   -   -   -   -   -   -   -   2      -2 * 4 = -8

    Baseline: a value is 0 more often than others, by 3 * 0: the likeliest one is right with a chance of .2
    for up to four symbols, .253 for five, .291 for 39, .315 for 399. It is computed from the grammar.

    Source: Deletang et al. 2023, "Neural Networks and the Chomsky Hierarchy".
    """

    vocab = 11
    out_size = _MOD
    min_length = 2

    def counted(self, max_length: int) -> int:
        """Counts the last step."""
        return 1

    def steps(self, n: int) -> int:
        """Counts n symbols and the slot."""
        return n + 1

    def answer(self, symbols: jax.Array, n: jax.Array) -> jax.Array:
        """Returns the value of the first n symbols, int32 []."""
        return values(symbols)[n - 1]

    def example(self, key, length, max_length):
        """Does what `Task.example` says."""
        n, t = length - 1, jnp.arange(max_length, dtype=jnp.int32)
        symbols = expression(key, n, max_length, 3)
        inputs = jnp.where(t < n, symbols, self.vocab - 1)
        return inputs, jnp.full(max_length, self.answer(symbols, n)), t == n

    def decode(self, ids: np.ndarray) -> str:
        """Does what `Task.decode` says."""
        return "".join("01234+-()*="[i] for i in ids)

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses the likeliest value; see the class."""
        share = _shares(length)[length - 1]
        return {
            "cross_entropy": float(-(share * np.log(share)).sum()),
            "accuracy": float(share.max()),
            "sequence_accuracy": float(share.max()),
        }


@dataclasses.dataclass(frozen=True)
class SolveEquation(Classification):
    """Which digit is the x in an expression whose value is known, modulo 5?

    The expression is one of `modular_arithmetic_brackets` without *, so that there is always one answer. One
    of its digits, any, is replaced by the x; behind it stand = and its value.

    Inputs ids int32 [B, T]: the digits are 0 to 4, then + - ( ) x = and the slot. Targets int32 [B, T] in
    [0, 5); the loss counts at the slot. The source's n is the number of symbols of the equation, = and value
    too: a sequence has n + 1 steps.

    Example, length 11, with _ for the slot:

        x    (   -   x   +   (   4   )   )   =   2   _
        y    -   -   -   -   -   -   -   -   -   -   2      -2 + 4 = 2

    Baseline: each digit of an expression is uniform: cross-entropy ln 5, accuracy 1/5.

    Source: Deletang et al. 2023, "Neural Networks and the Chomsky Hierarchy".
    """

    vocab = 12
    out_size = _MOD
    min_length = 4

    def counted(self, max_length: int) -> int:
        """Counts the last step."""
        return 1

    def steps(self, n: int) -> int:
        """Counts n symbols and the slot."""
        return n + 1

    def answer(self, symbols: jax.Array, n: jax.Array) -> jax.Array:
        """Returns the digit x of an equation of n symbols, int32 []: the one that makes it true."""
        value = symbols[n - 1]
        digits = jnp.arange(_MOD, dtype=jnp.int32)
        tried = jax.vmap(lambda digit: values(jnp.where(symbols == _X, digit, symbols))[n - 3])(digits)
        return jnp.argmax(tried == value).astype(jnp.int32)

    def example(self, key, length, max_length):
        """Does what `Task.example` says."""
        n, t = length - 3, jnp.arange(max_length, dtype=jnp.int32)
        write, choose = jax.random.split(key)
        symbols = expression(write, n, max_length, 2)
        chance = jax.random.uniform(choose, (max_length,), jnp.float32)
        unknown = jnp.argmax(jnp.where((t < n) & (symbols < _MOD), chance, -1)).astype(jnp.int32)
        rest = jnp.where(t == n, _X + 1, jnp.where(t == n + 1, values(symbols)[n - 1], _X + 2))
        inputs = jnp.where(t < n, jnp.where(t == unknown, _X, symbols), rest)
        return inputs, jnp.full(max_length, symbols[unknown]), t == n + 2

    def decode(self, ids: np.ndarray) -> str:
        """Does what `Task.decode` says."""
        return "".join("01234+-()x=_"[i] for i in ids)

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses any digit, whatever the length; see the class."""
        del length
        return {"cross_entropy": math.log(_MOD), "accuracy": 1 / _MOD, "sequence_accuracy": 1 / _MOD}


def expression(key: jax.Array, n: jax.Array, count: int, operators: int) -> jax.Array:
    """Draws an expression of n symbols, int32 [count]; behind them stands 0.

    A stack holds what is still to be written, symbols and expressions, the next on top. Each step takes one
    off, writes a symbol, and puts back what is left of an expression.

    operators: how many of +, - and * there may be.
    """
    lengths, signs, digits = jax.random.split(key, 3)
    lengths = jax.random.uniform(lengths, (count,), jnp.float32)
    signs = jax.random.randint(signs, (count,), 0, operators, jnp.int32)
    signs = jnp.array([_PLUS, _MINUS, _TIMES], jnp.int32)[signs]
    digits = jax.random.randint(digits, (count,), 0, _MOD, jnp.int32)

    def step(carry, drawn):
        stack, height = carry
        chance, sign, digit = drawn
        item = jnp.where(height > 0, stack[jnp.maximum(height - 1, 0)], 0)
        size = item - _LITERALS  # of an expression; not positive for a symbol
        left = jnp.minimum(1 + (chance * (size - 4).astype(jnp.float32)).astype(jnp.int32), size - 4)
        pair = jnp.stack([jnp.int32(_RIGHT), _LITERALS + size - 3 - left, sign, _LITERALS + left])
        bracketed = jnp.stack([jnp.int32(_RIGHT), item - 2, *2 * [jnp.int32(0)]])
        negative = jnp.full(4, _LITERALS + 1)
        put = jnp.where(size >= 5, pair, jnp.where(size >= 3, bracketed, negative))
        puts = jnp.where(size >= 5, 4, jnp.where(size >= 3, 2, jnp.where(size == 2, 1, 0)))
        opened = jnp.where(size == 2, _MINUS, jnp.where(size == 1, digit, item))
        symbol = jnp.where(size >= 3, _LEFT, opened)
        below = jnp.maximum(height - 1, 0)
        return (lax.dynamic_update_slice(stack, put, (below,)), below + puts), symbol

    stack = jnp.zeros(count + 4, jnp.int32).at[0].set(_LITERALS + n)
    return lax.scan(step, (stack, jnp.int32(1)), (lengths, signs, digits))[1]


def values(symbols: jax.Array) -> jax.Array:
    """Returns the value of the innermost open bracket, so far, behind each symbol, int32 [N].

    A stack holds, for each bracket that is open around it, the total so far, the operator that waits for its
    second operand, and the sign in front of that.
    """

    def step(carry, symbol):
        stack, height, total, operator, sign = carry  # operator: 0 for none, then + - *
        digit, opens, closes = symbol < _MOD, symbol == _LEFT, symbol == _RIGHT
        around = stack[jnp.maximum(height - 1, 0)]
        operand = jnp.where(closes, total, symbol)
        total_, operator_, sign_ = (
            jnp.where(closes, there, here)
            for there, here in [
                (around % _MOD, total),
                (around // _MOD % 4, operator),
                (jnp.where(around >= 4 * _MOD, _MOD - 1, 1), sign),
            ]
        )
        operand = operand * sign_
        result = jnp.stack([operand, total_ + operand, total_ - operand, total_ * operand])[operator_] % _MOD
        binary = jnp.where(symbol == _PLUS, 1, jnp.where(symbol == _MINUS, 2, 3))
        waits = operator > 0
        frame = total + _MOD * operator + jnp.where(sign == 1, 0, 4 * _MOD)
        stack = jnp.where(opens, stack.at[height].set(frame), stack)
        height = height + jnp.where(opens, 1, jnp.where(closes, -1, 0))
        ended = digit | closes
        fresh = lambda after, opened, otherwise: jnp.where(ended, after, jnp.where(opens, opened, otherwise))
        total = fresh(result, 0, total)
        sign = fresh(1, 1, jnp.where(waits, _MOD - sign, sign))  # a - in front of an operand
        operator = fresh(0, 1, jnp.where(waits, operator, binary))
        return (stack, jnp.maximum(height, 0), total, operator, sign), total

    zero, one = jnp.int32(0), jnp.int32(1)
    stack = jnp.zeros(len(symbols) + 1, jnp.int32)
    return lax.scan(step, (stack, zero, zero, one, one), symbols)[1]


@functools.cache
def _shares(length: int) -> np.ndarray:
    """Returns the chances of the values of expressions of 0 .. length - 1 symbols, float64 [length, 5]."""
    value = np.arange(_MOD)
    results = [
        (value[:, None] + value) % _MOD,
        (value[:, None] - value) % _MOD,
        np.outer(value, value) % _MOD,
    ]
    shares = np.full((max(length, 5), _MOD), 1 / _MOD)
    for n in range(5, length):
        joint = shares[1 : n - 3].T @ shares[n - 4 : 0 : -1] / (n - 4)
        shares[n] = sum(np.bincount(r.ravel(), joint.ravel(), _MOD) for r in results) / 3
    return shares
