"""Defines stack manipulation: what is on a stack after a series of pushes and pops?"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from r3nn.tasks._slots import Slots, take

_POP, _PUSH, _END = 2, 3, 2  # tokens POP and PUSH 0 of the inputs; class END of the targets


@dataclasses.dataclass(frozen=True)
class StackManipulation(Slots):
    """Reads a stack from its bottom, then actions on it, and writes what is left, from the top.

        x = b_1 .. b_s  a_1 .. a_{n-s}  _ .. _        s ~ U{1 .. n},  b ~ U{0, 1},
        y =         - .. -              top .. END    a ~ U{POP, PUSH 0, PUSH 1}

    A POP of an empty stack does nothing. Inputs ids int32 [B, T]: the bits 0 and 1, POP, PUSH 0, PUSH 1 and
    the slot are 0 to 5. Targets int32 [B, T] of three classes, 0, 1 and END = 2. Behind n symbols come n + 1
    slots, and the loss counts at them up to END. The source's n is the number of symbols: a sequence has
    2n + 1 steps.

    Example, length 11, with P for POP, p and q for PUSH 0 and PUSH 1, _ for the slot:

        x    0   1   P   q   q   _   _   _   _   _   _
        y    -   -   -   -   -   1   1   0   E   -   -      0 1, 0, 0 1, 0 1 1

    Baseline: bits are fair, and END comes with the chance of that height, which is computed from the walk:
    for each slot the likeliest of the three is guessed.

    Differs from the source, where s < n.
    Source: Deletang et al. 2023, "Neural Networks and the Chomsky Hierarchy".
    """

    vocab = 6
    out_size = 3
    min_length = 3
    letters = "01Ppq_"

    def steps(self, n):
        """Counts n symbols and n + 1 slots."""
        return 2 * n + 1

    def size(self, length):
        """Does what `Slots.size` says."""
        return (length - 1) // 2

    def symbols(self, key, n, count):
        """Does what `Slots.symbols` says."""
        height, bits, actions = jax.random.split(key, 3)
        height = jax.random.randint(height, (), 1, n + 1, jnp.int32)
        bits = jax.random.randint(bits, (count,), 0, 2, jnp.int32)
        actions = jax.random.randint(actions, (count,), _POP, _PUSH + 2, jnp.int32)
        return jnp.where(jnp.arange(count, dtype=jnp.int32) < height, bits, actions)

    def answer(self, symbols, n, count):
        """Does what `Slots.answer` says."""

        def step(carry, now):
            stack, height = carry
            symbol, t = now
            pops = symbol == _POP
            bit = jnp.where(symbol >= _PUSH, symbol - _PUSH, symbol)
            stack = jnp.where(pops, stack, stack.at[height].set(bit))
            height = jnp.where(t < n, jnp.maximum(height + jnp.where(pops, -1, 1), 0), height)
            return (stack, height), None

        start = jnp.zeros(len(symbols) + 1, jnp.int32), jnp.int32(0)
        (stack, height), _ = lax.scan(step, start, (symbols, jnp.arange(len(symbols), dtype=jnp.int32)))
        place = jnp.arange(count, dtype=jnp.int32)
        return jnp.where(place < height, take(stack, height - 1 - place), _END), height + 1

    def latent(self, batch):
        """Returns the height of the stack after each symbol, int32 [B, T]."""
        move = jnp.where(batch.inputs == _POP, -1, jnp.where(batch.inputs == self.vocab - 1, 0, 1))
        step = lambda height, move: 2 * (jnp.maximum(height + move, 0),)
        run = lambda moves: lax.scan(step, jnp.int32(0), moves)[1]
        return jax.vmap(run)(move.astype(jnp.int32))

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses a bit where the stack is likelier to go on than twice as likely to end; see the class."""
        n = self.size(length)
        height = np.zeros(
            n + 2
        )  # chances of the heights 0 .. n after the symbols so far, if actions have begun
        for symbols in range(1, n + 1):
            up, down = 2 / 3 * height[:-1], 1 / 3 * height[1:]
            height = np.append(0, up) + np.append(down, 0) + 1 / 3 * height[0] * (np.arange(n + 2) == 0)
            height[symbols] += 1 / n
        height = height[:-1]
        asked = height[::-1].cumsum()[::-1]  # P(height >= j), of slot j
        share = np.stack([(asked - height) / 2, (asked - height) / 2, height]).clip(0)
        chance = share / np.maximum(asked, 1e-300)
        entropy = -(share * np.log(np.maximum(chance, 1e-300))).sum()
        (ends,) = np.nonzero(chance[2] > chance[0])
        return {
            "cross_entropy": float(entropy / asked.sum()),
            "accuracy": float(share.max(axis=0).sum() / asked.sum()),
            "sequence_accuracy": float(height[ends[0]] * 2.0 ** -ends[0]) if len(ends) else 0.0,
        }
