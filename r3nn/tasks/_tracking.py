"""Defines what tasks with an automaton share: tokens are drawn, and the machine's state says the target."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from r3nn._lookup import check_choice
from r3nn.tasks._base import Automaton, Batch
from r3nn.tasks._kinds import Classification
from r3nn.tasks._words import BLOCK, WORDS, blocks, draw_word

_UNROLL = 8  # steps of the machine in one round of its loop: each is little more than a look into a table
_SAME = 1e-13  # chances of the states that differ by less, in all, repeat


@dataclasses.dataclass(frozen=True)
class Machine(Classification):
    """A task of this kind has a machine, whose outputs are the targets, and chances of its tokens.

    A subclass gives `automaton`, and `chances` unless every token may follow every other. `vocab` and
    `out_size` follow from the machine. Sequences are drawn piece by piece, blocks of `block` steps. One whose
    sequences end in a way of their own gives `endings` too, and `own` where they do not come in every length.
    """

    block = BLOCK

    def automaton(self) -> Automaton:
        """Returns the machine that draws the tokens and gives the targets; a subclass names it."""
        raise NotImplementedError(f"{type(self).__name__}.automaton must be given.")

    def chances(self) -> np.ndarray:
        """Returns how likely each token comes next in a state, float64 [S, V], rows that sum to 1 or, where
        nothing follows, to 0."""
        allowed = self.automaton().next >= 0
        return allowed / np.maximum(allowed.sum(axis=1, keepdims=True), 1)

    @property
    def vocab(self) -> int:
        """Counts the tokens, V of the machine."""
        return self.automaton().next.shape[1]

    @property
    def out_size(self) -> int:
        """Counts the classes: one more than the largest output of the machine."""
        return int(self.automaton().output.max()) + 1

    def endings(self) -> tuple[np.ndarray, ...]:
        """Returns what `chances` is instead at each of the last steps; () where it is no other."""
        return ()

    def tokens(self, key: jax.Array, state: jax.Array, at: jax.Array, count: int, length: jax.Array):
        """Draws tokens of steps at .. at + count, and runs the machine -> (state behind them, tokens [count],
        states [count])."""
        table, bounds = (jnp.asarray(array) for array in _tables(self))
        drawn = blocks(key, at, count, 1)[:, 0]
        which = self._endings_at(at + jnp.arange(count, dtype=jnp.int32), length, len(bounds) - 1)

        def step(state, drawn):
            number, which = drawn
            token = (number >= bounds[which, state]).sum(dtype=jnp.int32)
            state = table[state, token]
            return state, (token, state)

        state, (tokens, states) = lax.scan(step, state, (drawn, which), unroll=_UNROLL)
        return state, tokens, states

    def _endings_at(self, t, length, count):
        """Numbers the chances that hold at steps t: 0 for `chances`, else the ending's number + 1."""
        return (t - self.own(length) + count + 1).clip(0, count)

    def counts(self, t: jax.Array, length: jax.Array) -> jax.Array:
        """Says at which steps t [count] the loss may count."""
        return t < length

    def piece(self, key, state, at, count, length):
        """Does what `Task.piece` says."""
        state, tokens, states = self.tokens(key, state, at, count, length)
        asked = jnp.asarray(self.automaton().output)[states]
        t = at + jnp.arange(count, dtype=jnp.int32)
        return state, (tokens, jnp.maximum(asked, 0), self.counts(t, length) & (asked >= 0))

    def example(self, key, length, max_length):
        """Does what `Task.example` says."""
        count = -(-max_length // BLOCK) * BLOCK
        start = jnp.int32(self.automaton().start)
        _, drawn = self.piece(key, start, jnp.int32(0), count, length)
        drawn = tuple(leaf[:max_length] for leaf in drawn)
        return (*drawn, self.own(length)) if self.own_lengths else drawn

    def latent(self, batch: Batch) -> jax.Array:
        """Returns the machine's state behind each step, int32 [B, T]."""
        table, start = jnp.asarray(self.automaton().next), jnp.int32(self.automaton().start)

        def run(tokens):
            def step(state, token):
                state = table[state, token]
                return state, state

            return lax.scan(step, start, tokens)[1]

        return jax.vmap(run)(batch.inputs)

    def counted(self, max_length: int) -> int:
        """Bounds the steps that count by all there are."""
        return max_length

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses at each step what is likeliest there; for sequence_accuracy, the same guesses all
        through."""
        return blind(self, length)


@dataclasses.dataclass(frozen=True)
class Tracking(Machine):
    """A state-tracking task: every token may come at any time, and each state has an answer.

    Attributes:
      labels: steps at which the loss counts, the "last" or "every" one.
      words: which sequences come, "random" (each token uniform) or "mixed" (with periodic, sparse and
        repeated ones; `r3nn/tasks/_words.py`). No baseline is known for mixed words.
    """

    labels: str = "last"
    words: str = dataclasses.field(default="random", kw_only=True)

    def __post_init__(self):
        check_choice("labels", self.labels, ("last", "every"))
        check_choice("words", self.words, WORDS)

    def tokens(self, key, state, at, count, length):
        """Does what `Machine.tokens` says."""
        del length
        table = jnp.asarray(self.automaton().next)
        tokens = draw_word(key, at, count, self.vocab, self.words)

        def step(state, token):
            state = table[state, token]
            return state, state

        state, states = lax.scan(step, state, tokens, unroll=_UNROLL)
        return state, tokens, states

    def counts(self, t, length):
        """Does what `Machine.counts` says."""
        return t < length if self.labels == "every" else t == length - 1

    def counted(self, max_length: int) -> int:
        """Bounds the steps that count: one, or all."""
        return 1 if self.labels == "last" else max_length

    def baseline(self, length: int) -> dict[str, float]:
        """Does as `Machine.baseline`, of random words."""
        return blind(self, length) if self.words == "random" else {}


@functools.cache
def _tables(task: Machine) -> tuple[np.ndarray, np.ndarray]:
    """Returns (next, int32 [S, V]; upper ends of the intervals of [0, 1) that mean each token but the last
    possible one, float32 [1 + endings, S, V], 2 for the others)."""
    chances = np.stack([task.chances(), *task.endings()])
    bounds = np.cumsum(chances, axis=2)
    last = chances.shape[2] - 1 - (chances[:, :, ::-1] > 0).argmax(axis=2)
    bounds[np.arange(chances.shape[2]) >= last[:, :, None]] = 2
    return np.maximum(task.automaton().next, 0), bounds.astype(np.float32)


def blind(task: Machine, length: int) -> dict[str, float]:
    """Computes the metrics of guessing at each step the class that is likeliest there, the first of several.

    The chances of the states follow from step to step by one matrix, [S, S].
    """
    machine, endings = task.automaton(), task.endings()
    moves = [_move(machine, chances) for chances in (task.chances(), *endings)]
    t = np.arange(task.own(length))
    counts, which = task.counts(t, length), task._endings_at(t, length, len(endings))
    ends = [*(1 + np.flatnonzero((np.diff(which) != 0) | (np.diff(counts) != 0))).tolist(), len(t)]
    guesser, begin = _Guesser(machine, task.out_size), 0
    for end in ends:
        (guesser.judged if counts[begin] else guesser.moved)(moves[which[begin]], end - begin)
        begin = end
    loss, hits, count = guesser.sums
    return {
        "cross_entropy": float(loss / count),
        "accuracy": float(hits / count),
        "sequence_accuracy": float(guesser.right.sum()),
    }


class _Guesser:
    """Follows the chances of a machine's states, and what guessing the likeliest class comes to.

    states: chances of each state, float64 [S]. right: chances that it is this one and all guesses before were
    right, [S]. sums: of the loss, of the hits and of the steps that count.
    """

    def __init__(self, machine: Automaton, classes: int):
        self.classes = np.eye(classes + 1)[machine.output][:, :-1]  # [S, O]; of output -1 no class
        self.silent = machine.output < 0
        self.states = np.eye(len(machine.output))[machine.start]
        self.right, self.sums = self.states.copy(), np.zeros(3)

    def moved(self, move: np.ndarray, steps: int) -> None:
        """Moves on by some steps that do not count: a power of the matrix, by repeated squaring."""
        power = np.linalg.matrix_power(move, steps)
        self.states, self.right = self.states @ power, self.right @ power

    def judged(self, move: np.ndarray, steps: int) -> None:
        """Moves on by some steps that count, one by one until the chances are again what they were.

        From then on they repeat, for no step makes two distributions differ more; so do the guesses. They are
        compared with those of the last step whose number is a power of 2 (Brent's search for a cycle).
        """
        at, settled = 0, False
        while at < steps:
            if not settled and at & (at - 1) == 0:
                begin, before, sums, guesses = at, self.states, self.sums, []
            guesses.append(self._step(move))
            at += 1
            if not settled and np.abs(self.states - before).sum() < _SAME:
                settled, times = True, (steps - at) // (at - begin)
                self.sums = self.sums + times * (self.sums - sums)
                if times and self.right.any():
                    period = functools.reduce(np.matmul, (move * self._kept(guess) for guess in guesses))
                    self.right = self.right @ np.linalg.matrix_power(period, times)
                at += times * (at - begin)

    def _step(self, move: np.ndarray) -> int:
        """Moves on by a step, and guesses -> the class; -1 where none is asked for in any state."""
        self.states = self.states @ move
        mass, guess = self.states @ self.classes, -1
        if mass.any():
            guess = int((mass > mass.max() * (1 - 1e-9)).argmax())
            chance = mass[mass > 0] / mass.sum()
            loss = mass.sum() * -(chance * np.log(chance)).sum()
            self.sums = self.sums + (loss, mass[guess], mass.sum())
        self.right = self.right @ move * self._kept(guess)
        return guess

    def _kept(self, guess: int) -> np.ndarray:
        """Says in which states this guess is right, or none is asked for, [S]."""
        return self.silent + (self.classes[:, guess] if guess >= 0 else 0.0)


def _move(machine: Automaton, chances: np.ndarray) -> np.ndarray:
    """Returns the chance of getting from one state to another in a step, [S, S]."""
    move = np.zeros((len(chances), len(chances)))
    for state, token in zip(*np.nonzero(chances), strict=True):
        move[state, machine.next[state, token]] += chances[state, token]
    return move
