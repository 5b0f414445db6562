"""Searches for words on which a trained network fails, though it is right on random ones.

A network that tracks a state may be right on every random word of 5,000 steps, and wrong on `1 0 0 0 ...`:
chance hardly ever makes what is periodic, rare or constant. The search tries words by families:

    periodic     u v v v ..., |u| and |v| up to `longest`
    powers       one token again and again
    commutators  a b a^-1 b^-1 again and again, where every token permutes the states
    identity     a token that leaves the state as it is, again and again, behind a prefix up to one longer
    rare         one token all the time, but another one every 2, 5, 17, 100 or 1,000 steps
    neighbours   a random word, and the same with one token substituted
    beam         words that grow by a token at a time, by the smallest margin of the right class

Axes: B words at a time, T steps of a chunk, O classes, S states and V tokens of the machine.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from r3nn._lookup import check_int
from r3nn.tasks import Automaton

Array = jax.Array
Word = tuple[tuple[int, ...], tuple[int, ...]]  # u, v

RARE = (2, 5, 17, 100, 1000)  # a token comes every so many steps
LONGEST_LOOP = 1024  # of a commutator whose inverses are powers
NEVER = np.int32(2**31 - 1)
BEAM_STEPS = 16  # of one call of the device
_UNROLL = 8


class Answers(NamedTuple):
    """Holds a network as two pure functions, which can be jitted: for a `Model` that predicts at every step
    `Answers(lambda params, size: model.start(params, (size,)), model.chunk)`.

    Attributes:
      start: (params, B) -> what is carried before the first step.
      advance: (params, carry, tokens int32 [T, B]) -> (carry, logits [T, B, O]).
    """

    start: Callable
    advance: Callable


class Failure(NamedTuple):
    """Holds a word on which the network failed, alone in its batch, from the start.

    Attributes:
      tokens: int32 [step + 1], up to the step of the failure.
      step: the first at which the answer is wrong, from 0 on.
      right: the class that is right there.
      answer: the class that was answered; of logits that are not numbers, any.
      before: the tokens before those that repeat.
      period: the tokens that repeat; 0 where none do.
    """

    tokens: np.ndarray
    step: int
    right: int
    answer: int
    before: int
    period: int


class Family(NamedTuple):
    """Holds what became of the words of a family.

    Attributes:
      tried: words; of the family "neighbours", pairs of words, both of which must be right; of "beam" each
        word that was made on the way.
      failing: how many of them failed.
      share: failing / tried.
      steps: to which they were tried.
      first: int32 [failing], ascending: the first failing step of each that failed.
      shortest: the one that failed first, of those that failed again when they were replayed alone. Those
        that did not are not counted as failing.
    """

    tried: int
    failing: int
    share: float
    steps: int
    first: np.ndarray
    shortest: Failure | None

    def right_to(self, share: float = 0.99) -> int:
        """Returns the greatest length, at most `steps`, up to which at least this share of the words has no
        failure."""
        spared = int(np.floor((1 - share) * self.tried + 1e-9))
        return int(self.first[spared]) if self.failing > spared else self.steps


class FailingWords(NamedTuple):
    """Holds, by name, the families of which any word was tried, and the shortest word of all that fails."""

    families: dict[str, Family]
    shortest: Failure | None


class Search(NamedTuple):
    """Says how long and how wide to search.

    Attributes:
      longest: of u and of v.
      steps: of every word but those of the beam.
      most: words of a family; where there are more, so many are drawn.
      pairs: of neighbours.
      beam: words that are kept at each step.
      beam_steps: of the beam.
      seed: of all that is drawn.
      batch: words at a time.
      chunk: steps at a time.
    """

    longest: int = 2
    steps: int = 5000
    most: int = 2000
    pairs: int = 128
    beam: int = 64
    beam_steps: int = 256
    seed: int = 0
    batch: int = 256
    chunk: int = 256


def failing_words(machine: Automaton, answers: Answers, params: Any, **options: int) -> FailingWords:
    """Searches for words on which a network does not answer as the machine does.

    A word is tried only if the machine allows all of its steps; where the machine asks for nothing, no answer
    is wrong. A logit that is not a number is never right. What is drawn follows from the seed alone.

    Args:
      machine: says what is right.
      answers: the network, as `Answers`.
      params: what its functions take.
      options: those of `Search`.

    Raises:
      ValueError: an option is unknown or out of range, or the machine allows no step.
    """
    unknown = sorted(options.keys() - set(Search._fields))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no option of failing_words: {', '.join(Search._fields)} are.")
    search = Search(**options)
    for name, value in search._asdict().items():
        least = 0 if name in ("pairs", "beam", "beam_steps", "seed") else 1
        check_int(name, value, least, 2**32 - 1 if name == "seed" else 2**30)
    if (machine.next[machine.start] < 0).all():
        raise ValueError("machine must allow a token at its start, and allows none.")
    return _Run(machine, answers, params, search).all()


# Which words.


def short_words(tokens: int, shortest: int, longest: int) -> Iterator[tuple[int, ...]]:
    """Lists all words of these lengths, shorter ones first."""
    for length in range(shortest, longest + 1):
        yield from itertools.product(range(tokens), repeat=length)


def _count(tokens: int, shortest: int, longest: int) -> int:
    return sum(tokens**length for length in range(shortest, longest + 1))


def _drawn(rng: np.random.Generator, tokens: int, shortest: int, longest: int) -> tuple[int, ...]:
    """Draws a word: its length first, then its tokens."""
    return tuple(rng.integers(0, tokens, rng.integers(shortest, longest + 1)).tolist())


def _several(rng: np.random.Generator, most: int, draw: Callable) -> list:
    """Draws `most` different values, or fewer where ten times as many drawings do not give them."""
    found = dict.fromkeys(draw(rng) for _ in range(most))
    for _ in range(9 * most):
        if len(found) >= most:
            break
        found[draw(rng)] = None
    return list(found)


def periodic(machine: Automaton, search: Search, rng: np.random.Generator) -> list[Word]:
    """Lists all u v v v ... as (u, v), or, where there are too many, some of them drawn at random."""
    tokens, longest = machine.next.shape[1], search.longest
    if _count(tokens, 0, longest) * _count(tokens, 1, longest) <= search.most:
        return [*itertools.product(short_words(tokens, 0, longest), short_words(tokens, 1, longest))]
    draw = lambda rng: (_drawn(rng, tokens, 0, longest), _drawn(rng, tokens, 1, longest))
    return _several(rng, search.most, draw)


def powers(machine: Automaton, search: Search, rng: np.random.Generator) -> list[Word]:
    """Lists a word for each token."""
    return [((), (token,)) for token in range(machine.next.shape[1])][: search.most]


def commutators(machine: Automaton, search: Search, rng: np.random.Generator) -> list[Word]:
    """Lists a loop for each two tokens; an inverse that is no token is a power of the token."""
    states, tokens = machine.next.shape
    if not (np.sort(machine.next, axis=0) == np.arange(states)[:, None]).all():
        return []
    columns = {column.tobytes(): token for token, column in reversed([*enumerate(machine.next.T)])}

    @functools.cache
    def inverse(token: int) -> tuple[int, ...] | None:
        column = machine.next[:, token]
        if (found := columns.get(np.argsort(column).astype(column.dtype).tobytes())) is not None:
            return (found,)
        power, order = column, 1
        while (power != np.arange(states)).any():
            power, order = column[power], order + 1
            if order > LONGEST_LOOP:  # an order may be as large as the least common multiple of many cycles
                return None
        return (token,) * (order - 1)

    pairs = [(a, b) for a, b in itertools.product(range(tokens), repeat=2) if a != b]
    if len(pairs) > search.most:
        pairs = [pairs[i] for i in np.sort(rng.choice(len(pairs), search.most, replace=False))]
    loops = [(a, b, *inverse(a), *inverse(b)) for a, b in pairs if inverse(a) and inverse(b)]
    return [((), loop) for loop in loops if len(loop) <= LONGEST_LOOP]


def identity(machine: Automaton, search: Search, rng: np.random.Generator) -> list[Word]:
    """Lists (prefix, token) where the token leaves the state behind the prefix as it is."""
    tokens, longest = machine.next.shape[1], search.longest + 1
    if _count(tokens, 0, longest) <= search.most:
        prefixes = short_words(tokens, 0, longest)
    else:
        prefixes = _several(rng, search.most, lambda rng: _drawn(rng, tokens, 0, longest))
    found = []
    for prefix in prefixes:
        state = functools.reduce(lambda s, x: machine.next[s, x] if s >= 0 else s, prefix, machine.start)
        if state >= 0:
            found += [(prefix, (token,)) for token in np.flatnonzero(machine.next[state] == state).tolist()]
    if len(found) > search.most:
        found = [found[i] for i in np.sort(rng.choice(len(found), search.most, replace=False))]
    return found


def rare(machine: Automaton, search: Search, rng: np.random.Generator) -> list[Word]:
    """Lists loops of one token k - 1 times, then another."""
    tokens = range(machine.next.shape[1])
    cases = [(k, x, y) for k in RARE if k <= search.steps for x in tokens for y in tokens if x != y]
    if len(cases) > search.most:
        cases = [cases[i] for i in np.sort(rng.choice(len(cases), search.most, replace=False))]
    return [((), (x,) * (k - 1) + (y,)) for k, x, y in cases]


PERIODIC = (periodic, powers, commutators, identity, rare)


def neighbours(machine: Automaton, search: Search, seed: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Draws random words, each with the same word with one token substituted: yields them chunk by chunk,
    int32 [pairs, 2, <= chunk], so that the memory does not grow with the steps.

    The logarithm of the substituted place is uniform, so that it is early or late.
    """
    rng, rows, tokens = np.random.default_rng(seed), np.arange(search.pairs), machine.next.shape[1]
    behind = np.random.default_rng(seed)
    behind.bit_generator.advance(search.steps * search.pairs)  # of the numbers from which the words are made
    places = np.exp(behind.uniform(0, np.log(search.steps + 1), search.pairs)).astype(int) - 1
    shift = behind.integers(1, tokens, search.pairs) if tokens > 1 else np.zeros_like(rows)
    allowed, state = machine.next >= 0, np.full(search.pairs, machine.start)
    ways, choices = np.argsort(~allowed, axis=1, kind="stable"), allowed.sum(axis=1)
    for at in range(0, search.steps, search.chunk):
        chances = rng.random((min(search.chunk, search.steps - at), search.pairs))
        words = (chances * tokens).astype(np.int32)
        for t in () if allowed.all() else range(len(words)):
            words[t] = ways[state, (chances[t] * choices[state]).astype(int)]
            state = np.maximum(machine.next[state, words[t]], 0)  # a word without a way on is left out later
        others, t = words.copy(), places - at
        here = (t >= 0) & (t < len(words))
        others[t[here], rows[here]] = (words[t[here], rows[here]] + shift[here]) % tokens
        yield np.stack([words, others], axis=-1).transpose(1, 2, 0)


# Whether the network is right on them.


class _Tables(NamedTuple):
    """Holds the machine on the device."""

    next: Array  # int32 [S, V], 0 where nothing is allowed
    output: Array  # int32 [S]


class _Words(NamedTuple):
    """Holds B words as tables from which their tokens are read: the first `before`, then the next `period`
    again and again."""

    table: np.ndarray  # int32 [B, W]
    before: np.ndarray  # int32 [B]
    period: np.ndarray  # int32 [B]


class _Seen(NamedTuple):
    """Says where each of B words failed first (NEVER: nowhere yet), what was right there, what was said."""

    first: Array
    right: Array
    answer: Array


@functools.partial(jax.jit, static_argnames=("advance", "chunk"))
def _advance(advance, chunk: int, tables: _Tables, params, carried, words: _Words, at, begin, steps):
    """Runs network and machine on a chunk of B words.

    carried: (the network's carry, states [B], `_Seen`). at: int32 [], the first step of the chunk. begin: the
    step that the tables begin with. steps: of the words; nothing behind them is wrong.
    """
    carry, state, seen = carried
    t = at + jnp.arange(chunk, dtype=jnp.int32)
    index = (t - begin)[:, None]
    index = jnp.where(index < words.before, index, words.before + (index - words.before) % words.period)
    tokens = jnp.take_along_axis(words.table, index.T, axis=1).T

    def step(state, token):
        state = tables.next[state, token]
        return state, state

    state, states = lax.scan(step, state, tokens, unroll=_UNROLL)
    carry, logits = advance(params, carry, tokens)
    right, answer, wrong = _judged(tables, states, logits)
    wrong &= (t < steps)[:, None]
    place = wrong.argmax(axis=0)[None]
    pick = lambda leaf: jnp.take_along_axis(leaf, place, axis=0)[0]
    now = _Seen(at + place[0].astype(jnp.int32), pick(right), pick(answer))
    fresh = wrong.any(axis=0) & (seen.first == NEVER)
    return carry, state, jax.tree.map(lambda new, old: jnp.where(fresh, new, old), now, seen)


def _judged(tables: _Tables, states: Array, logits: Array) -> tuple[Array, Array, Array]:
    """Returns (the right classes, those answered, which answers are wrong), each of the shape of states."""
    right, answer = tables.output[states], logits.argmax(axis=-1).astype(jnp.int32)
    return right, answer, (right >= 0) & ((answer != right) | jnp.isnan(logits).any(axis=-1))


class _Run:
    """Holds what all families of one search share: the machine's tables, the network, its parameters."""

    def __init__(self, machine: Automaton, answers: Answers, params: Any, search: Search):
        self.machine, self.answers, self.params, self.search = machine, answers, params, search
        self.total = bool((machine.next >= 0).all())
        arrays = np.maximum(machine.next, 0), machine.output
        self.tables = _Tables(*(jnp.asarray(array, jnp.int32) for array in arrays))
        self.start = jax.jit(answers.start, static_argnums=1)
        self.width = search.chunk  # of the tables of words, one for all families: one program for all

    def all(self) -> FailingWords:
        """Tries the words of all families -> what became of them."""
        lists = {}
        for number, family in enumerate(PERIODIC):
            words = family(self.machine, self.search, np.random.default_rng((self.search.seed, number)))
            lists[family.__name__] = [word for word in words if self._allows_loop(*word)]
        widest = max((len(u) + len(v) for words in lists.values() for u, v in words), default=1)
        self.width = max(self.search.chunk, widest)
        families = {name: self._periodic(words) for name, words in lists.items() if words}
        if self.search.pairs and (found := self._neighbours()):
            families["neighbours"] = found
        if self.search.beam and self.search.beam_steps:
            families["beam"] = self._beam()
        shortest = [family.shortest for family in families.values() if family.shortest]
        return FailingWords(families, min(shortest, key=lambda failure: failure.step, default=None))

    def _allows_loop(self, u: tuple[int, ...], v: tuple[int, ...]) -> bool:
        """Says whether the machine allows u v v v ..., to the last step."""
        if self.total:
            return True
        table, state, left = self.machine.next, self.machine.start, self.search.steps
        for token in u[:left]:
            state = table[state, token]
            if state < 0:
                return False
        left, met = left - len(u), set()
        while left > 0 and state not in met:
            met.add(state)
            for token in v[:left]:
                state = table[state, token]
                if state < 0:
                    return False
            left -= len(v)
        return True

    def _allows(self, drawn: Iterator[np.ndarray]) -> np.ndarray:
        """Says of pairs of words, drawn as by `neighbours`, whether the machine allows both, bool [pairs]."""
        allowed = np.ones((self.search.pairs, 2), bool)
        state = np.full(allowed.shape, self.machine.start)
        for words in () if self.total else drawn:
            for t in range(words.shape[2]):
                state = self.machine.next[state, words[:, :, t]]
                allowed &= state >= 0
                state = np.maximum(state, 0)
        return allowed.all(axis=1)

    def _tried(self, size: int, steps: int, chunk_of: Callable[[int], tuple[_Words, int]]) -> _Seen:
        """Tries `size` words at once until all have failed or come to their end.

        chunk_of: step -> (the tables of the chunk that begins there, the step that the tables begin with).
        """
        seen = _Seen(jnp.full(size, NEVER), jnp.zeros(size, jnp.int32), jnp.zeros(size, jnp.int32))
        states = jnp.full(size, self.machine.start, jnp.int32)
        carried = (self.start(self.params, size), states, seen)
        for at in range(0, steps, self.search.chunk):
            words, begin = chunk_of(at)
            bounds = np.int32(at), np.int32(begin), np.int32(steps)
            carried = _advance(
                self.answers.advance, self.search.chunk, self.tables, self.params, carried, words, *bounds
            )
            if (np.asarray(carried[-1].first) != NEVER).all():
                break
        return carried[-1]

    def _batches(self, count: int) -> Iterator[np.ndarray]:
        """Lists the numbers of the words of each batch; the last is filled up with the last word."""
        for first in range(0, count, self.search.batch):
            yield np.minimum(np.arange(first, first + self.search.batch), count - 1)

    def _in_table(self, rows: np.ndarray) -> _Words:
        """Puts a chunk of tokens [B, <= chunk] into tables of the common width."""
        table = np.zeros((len(rows), self.width), np.int32)
        table[:, : rows.shape[1]] = rows
        return _Words(table, *(np.full(len(rows), n, np.int32) for n in (self.search.chunk, 1)))

    def _written(self, words: np.ndarray) -> _Seen:
        """Tries words [N, T] that are written out, N of them at once."""
        chunk = self.search.chunk
        return self._tried(
            len(words), words.shape[1], lambda at: (self._in_table(words[:, at : at + chunk]), at)
        )

    def _periodic(self, words: list[Word]) -> Family:
        first = []
        for rows in self._batches(len(words)):
            tables = np.zeros((len(rows), self.width), np.int32)
            for place, row in enumerate(rows):
                u, v = words[row]
                tables[place, : len(u) + len(v)] = u + v
            lengths = (np.array([len(words[row][part]) for row in rows], np.int32) for part in (0, 1))
            batch = _Words(tables, *lengths)
            seen = self._tried(len(rows), self.search.steps, lambda at, batch=batch: (batch, 0))
            first.append(np.asarray(seen.first))
        first = np.concatenate(first)[: len(words)]

        def written(row: int, length: int) -> tuple[np.ndarray, int, int]:
            u, v = words[row]
            tokens = np.array(u + v * (1 + max(0, length - len(u)) // len(v)), np.int32)[:length]
            return tokens, len(u), len(v)

        return _family(*self._confirmed(first, written), self.search.steps)

    def _neighbours(self) -> Family | None:
        search, first = self.search, []
        drawn = lambda: neighbours(self.machine, search, (search.seed, len(PERIODIC)))
        pairs = np.flatnonzero(self._allows(drawn()))
        if not len(pairs):
            return None
        at_once = max(1, search.batch // 2)
        for group in np.split(pairs, range(at_once, len(pairs), at_once)):
            rows, chunks = np.minimum(np.arange(max(2, search.batch)), 2 * len(group) - 1), drawn()

            def chunk_of(at, group=group, rows=rows, chunks=chunks):
                return self._in_table(next(chunks)[group].reshape(2 * len(group), -1)[rows]), at

            seen = self._tried(len(rows), search.steps, chunk_of)
            first.append(np.asarray(seen.first)[: 2 * len(group)])

        def written(row: int, length: int) -> tuple[np.ndarray, int, int]:
            chunks = itertools.islice(drawn(), -(-length // search.chunk))
            word = np.concatenate([chunk[pairs[row // 2], row % 2] for chunk in chunks])
            return word[:length], length, 0

        first, shortest = self._confirmed(np.concatenate(first), written)
        return _family(first.reshape(-1, 2).min(axis=1), shortest, search.steps)

    def _confirmed(self, first: np.ndarray, written: Callable) -> tuple[np.ndarray, Failure | None]:
        """Replays the words that failed, the shortest first, until one fails again -> (first, NEVER for those
        that did not; that word).

        first: int32 [N]. written: (number of a word, length) -> (its tokens, before, period).
        """
        first = first.copy()
        for row in np.argsort(first, kind="stable")[: (first != NEVER).sum()]:
            tokens, before, period = written(row, int(first[row]) + 1)
            if failure := self._replayed(tokens, before, period):
                return first, failure
            first[row] = NEVER
        return first, None

    def _replayed(self, tokens: np.ndarray, before: int, period: int) -> Failure | None:
        """Tries one word alone, from the start."""
        first, right, answer = (int(leaf[0]) for leaf in self._written(tokens[None]))
        if first == NEVER:
            return None
        return Failure(np.array(tokens[: first + 1], np.int32), first, right, answer, before, period)

    # The beam.

    def _beam(self) -> Family:
        """Lets words grow until one fails; those go on whose smallest margin so far is the least."""
        search, tokens = self.search, self.machine.next.shape[1]
        axes = _batch_axes(self.answers.start, self.params)
        low = jnp.full(search.beam, jnp.inf, jnp.float32).at[0].set(np.finfo(np.float32).max)
        states = jnp.full(search.beam, self.machine.start, jnp.int32)
        kept = (self.start(self.params, search.beam), states, low)
        allowed = jnp.asarray(self.machine.next >= 0)
        chosen, tried = [], 0
        for at in range(0, search.beam_steps, BEAM_STEPS):
            kept, log = _grow(self.answers.advance, axes, self.tables, allowed, self.params, kept)
            log = [np.asarray(leaf)[: search.beam_steps - at] for leaf in log]
            for parent, made, wrong in zip(*log, strict=True):
                chosen.append(parent)
                tried += int(made)
                if wrong:
                    return self._grown(chosen, tokens, tried, int(wrong))
        return Family(tried, 0, 0.0, search.beam_steps, np.zeros(0, np.int32), None)

    def _grown(self, chosen: list[np.ndarray], tokens: int, tried: int, wrong: int) -> Family:
        """Follows the word that failed back to its start, and replays it."""
        word, place = [], 0
        for candidates in reversed(chosen):
            place, token = divmod(int(candidates[place]), tokens)
            word.append(token)
        failure = self._replayed(np.array(word[::-1], np.int32), len(word), 0)
        wrong = wrong if failure else 0
        first = np.full(wrong, len(word) - 1, np.int32)
        return Family(tried, wrong, wrong / tried, len(word), first, failure)


def _family(first: np.ndarray, shortest: Failure | None, steps: int) -> Family:
    """Counts the words, or pairs, that failed. first: int32 [N]."""
    found = np.sort(first[first != NEVER]).astype(np.int32)
    return Family(len(first), len(found), len(found) / len(first), steps, found, shortest)


def _batch_axes(start: Callable, params: Any) -> tuple[int | None, ...]:
    """Finds the axis of each leaf of the carry that grows with the batch; None where none does."""
    shapes = (jax.eval_shape(lambda params, size=size: start(params, size), params) for size in (2, 3))
    two, three = map(jax.tree.leaves, shapes)
    grown = lambda a, b: next((i for i, n in enumerate(a.shape) if n != b.shape[i]), None)
    return tuple(grown(a, b) for a, b in zip(two, three, strict=True))


@functools.partial(jax.jit, static_argnames=("advance", "axes"))
def _grow(advance, axes, tables: _Tables, allowed: Array, params, kept):
    """Makes BEAM_STEPS steps of the beam -> (what is kept, (the chosen candidates, how many were made, how
    many were wrong) at each step).

    Candidate n is word n // V of the beam with token n % V behind it. kept: (carry, states, smallest margin
    so far; infinite where there is no word) of the beam.
    """
    beam, tokens = len(kept[-1]), tables.next.shape[1]
    parent = jnp.repeat(jnp.arange(beam), tokens)
    token = jnp.tile(jnp.arange(tokens, dtype=jnp.int32), beam)

    def take(carry, rows):
        leaves, tree = jax.tree.flatten(carry)
        rows_of = lambda leaf, axis: leaf if axis is None else jnp.take(leaf, rows, axis=axis)
        return tree.unflatten([rows_of(leaf, axis) for leaf, axis in zip(leaves, axes, strict=True)])

    def step(kept, _):
        carry, states, low = kept
        there = allowed[states[parent], token] & (low[parent] < jnp.inf)
        states = tables.next[states[parent], token]
        carry, logits = advance(params, take(carry, parent), token[None])
        right, _, wrong = _judged(tables, states, logits[0])
        wrong &= there
        own = jax.nn.one_hot(right, logits.shape[-1], dtype=bool)
        logits = logits[0].astype(jnp.float32)
        other = jnp.where(own, -jnp.inf, logits).max(axis=-1)
        margin = jnp.where(right >= 0, jnp.where(own, logits, 0).sum(axis=-1) - other, jnp.inf)
        margin = jnp.where(wrong, -jnp.inf, jnp.clip(margin, max=np.finfo(np.float32).max))
        low = jnp.where(there, jnp.minimum(low[parent], margin), jnp.inf)
        best = jnp.lexsort((margin, low))[:beam]  # of the same smallest margin, the least one now
        kept = (take(carry, best), states[best], low[best])
        return kept, (best, there.sum(dtype=jnp.int32), wrong.sum(dtype=jnp.int32))

    return lax.scan(step, kept, length=BEAM_STEPS)
