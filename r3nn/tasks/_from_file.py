"""Defines the task of a machine that a file holds."""

import dataclasses
import functools
import hashlib
import json
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from r3nn._lookup import FieldError, check_choice
from r3nn.tasks._base import Automaton
from r3nn.tasks._tracking import Tracking
from r3nn.tasks._words import BLOCK

_MAX_STATES, _MAX_SYMBOLS, _MAX_OUTPUT = 1500, 1000, 1000
_NEVER = -np.inf


class _Found(NamedTuple):
    """Holds what a file says: the machine, whether it accepts or rejects words, and its symbols' names."""

    machine: Automaton
    accepts: bool
    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class FromFile(Tracking):
    """What does the machine say that a file holds?

    `file` is read, and never run. A name that ends in .att is that of an acceptor in the format of MLRegTest
    and OpenFst: a line "from to in out", separated by tabs, for each transition, and a line with one number
    for each final state. The machine starts where its first line does; where nothing leads on, the word is
    rejected. Symbols are numbered in order of appearance. Any other file is a JSON object:

        {"next": [[0, 1], [1, 2], [2, 0]], "output": [0, 1, 2], "start": 0}

    next[s][v] is the state behind symbol v in state s, output[s] the class of a step that leads to s. This
    one, which counts ones modulo 3, is the machine where `file` is "".

    A machine with outputs is a task like `parity`: `labels` and `words` are as there. Of an acceptor the
    class of the last step counts, 1 for accepted, 0 for rejected. Half of the words are accepted ones, each
    as likely among those of that length. `negatives` says how the others are drawn: "any" in the same way
    among the rejected ones; "near" from an accepted one, by another symbol at one place such that the machine
    rejects it, each such change as likely, or as "any" where there is none. Of a length of which the machine
    accepts no word all words are rejected ones, and the other way round.

    Inputs ids int32 [B, T] of the symbols, targets int32 [B, T] of the classes. The content of the file, by
    its SHA-256, is part of the value, so that another content is another task.

    Example, the machine above, labels="every", length 5:

        x    1   0   1   1   0
        y    1   1   2   0   0

    Baseline: of a machine with outputs, the class that is likeliest after so many steps, computed from the
    machine; of an acceptor, the two are as likely: cross-entropy ln 2, accuracy 1/2.

    Source: van der Poel et al. 2024, "MLRegTest: A Benchmark for the Machine Learning of Regular Languages",
    for acceptors and their near negatives.
    """

    file: str = dataclasses.field(default="", kw_only=True)
    negatives: str = dataclasses.field(default="any", kw_only=True)
    sha256: str = dataclasses.field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("negatives", self.negatives, ("any", "near"))
        object.__setattr__(self, "sha256", _load(self.file))
        if self.accepts:
            for name, value, only in [("labels", self.labels, "last"), ("words", self.words, "random")]:
                if value != only:
                    raise FieldError(name, f"{name} must be {only} for an acceptor (.att), got {value!r}.")
        elif self.negatives != "any":
            raise FieldError(
                "negatives", f"negatives={self.negatives}: must be any, as {self.file} rejects no words."
            )

    @property
    def accepts(self) -> bool:
        """Says whether the machine accepts or rejects whole words."""
        return _found(self.file, self.sha256).accepts

    @property
    def block(self) -> int | None:
        """Returns the steps of a block; None for an acceptor, whose words are drawn whole."""
        return None if self.accepts else BLOCK

    @property
    def out_size(self) -> int:
        """Counts the classes: two of an acceptor, else one more than the largest output."""
        return 2 if self.accepts else super().out_size

    def automaton(self) -> Automaton:
        """Returns the machine that the file holds."""
        return _found(self.file, self.sha256).machine

    def decode(self, ids: np.ndarray) -> str:
        """Does what `Task.decode` says, in the symbols of the file."""
        names = _found(self.file, self.sha256).names
        return " ".join(names[i] for i in ids) if names else super().decode(ids)

    def piece(self, key, state, at, count, length):
        """Does what `Task.piece` says. Raises: NotImplementedError for an acceptor."""
        if self.accepts:
            raise NotImplementedError("an acceptor draws whole words: its `block` is None.")
        return super().piece(key, state, at, count, length)

    def example(self, key, length, max_length):
        """Does what `Task.example` says."""
        if not self.accepts:
            return super().example(key, length, max_length)
        machine, table = self.automaton(), jnp.asarray(_logs(self, max_length))  # [2, T + 1, S]
        following, output = jnp.asarray(machine.next), jnp.asarray(machine.output)
        label, draw, change = jax.random.split(key, 3)
        there = table[:, length, machine.start] > _NEVER  # rejected and accepted words of this length
        wanted = jnp.where(there.all(), jax.random.bernoulli(label), there[1])
        near = self.negatives == "near"
        drawn = self._word(draw, length, max_length, wanted | (near & there[1]))
        if near:
            other, found = self._neighbour(change, drawn, length)
            drawn = jnp.where(
                wanted, drawn, jnp.where(found, other, self._word(draw, length, max_length, jnp.bool_(False)))
            )
        step = lambda state, symbol: 2 * (following[state, symbol],)
        _, states = lax.scan(step, jnp.int32(machine.start), drawn)
        return drawn, output[states], jnp.arange(max_length, dtype=jnp.int32) == length - 1

    def _word(self, key, length, count, accepted):
        """Draws one of the accepted, or the rejected, words of a length, each as likely, int32 [count].

        A symbol is as likely as the words that begin with those before and it are many.
        """
        machine = self.automaton()
        following = jnp.asarray(machine.next)
        table = jnp.asarray(_logs(self, count))[accepted.astype(jnp.int32)]
        noise = jax.random.gumbel(key, (count, self.vocab), jnp.float32)

        def step(state, now):
            noise, t = now
            left = jnp.maximum(length - 1 - t, 0)
            symbol = jnp.argmax(table[left, following[state]] + noise).astype(jnp.int32)
            return following[state, symbol], symbol

        times = jnp.arange(count, dtype=jnp.int32)
        return lax.scan(step, jnp.int32(machine.start), (noise, times))[1]

    def _neighbour(self, key, word, length):
        """Returns (a rejected word that differs at one place, int32 [T]; whether there is any)."""
        machine = self.automaton()
        following, output = jnp.asarray(machine.next), jnp.asarray(machine.output)
        t = jnp.arange(len(word), dtype=jnp.int32)
        ahead = lambda state, symbol: (following[state, symbol], state)
        _, before = lax.scan(ahead, jnp.int32(machine.start), word)  # the state in which each symbol comes

        def back(answers, now):  # answers: of the word's end, from each state behind this step, [S]
            symbol, state, t = now
            changed = answers[following[state]]  # [V]
            return jnp.where(t < length, answers[following[:, symbol]], answers), changed

        _, changed = lax.scan(back, output, (word, before, t), reverse=True)  # [T, V]
        fits = (changed == 0) & (t < length)[:, None]
        chance = jax.random.uniform(key, changed.shape, jnp.float32)
        place = jnp.argmax(jnp.where(fits, chance, -1)).astype(jnp.int32)
        place, symbol = jnp.divmod(place, changed.shape[1])
        return jnp.where(t == place, symbol.astype(jnp.int32), word), fits.any()

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses what is likeliest; see the class."""
        if not self.accepts:
            return super().baseline(length)
        chance = 0.5 if (_logs(self, length)[:, length, self.automaton().start] > _NEVER).all() else 1.0
        return {
            "cross_entropy": float(np.log(2)) if chance < 1 else 0.0,
            "accuracy": chance,
            "sequence_accuracy": chance,
        }


@functools.lru_cache(16)
def _logs(task: FromFile, steps: int) -> np.ndarray:
    """Returns the logarithm of the share of the words of 0 .. `steps` symbols, from each state, that are
    rejected [0] and accepted [1], float32 [2, steps + 1, S]; -inf for none."""
    machine = task.automaton()
    result = np.empty((2, steps + 1, len(machine.output)))
    with np.errstate(divide="ignore"):
        result[:, 0] = np.log([machine.output == 0, machine.output == 1])
        for n in range(steps):
            each = result[:, n][:, machine.next]  # [2, S, V]
            most = each.max(axis=2)
            safe = np.where(np.isfinite(most), most, 0)
            result[:, n + 1] = safe + np.log(np.exp(each - safe[..., None]).mean(axis=2))
    return result.astype(np.float32)


_READ: dict[str, _Found] = {}  # by SHA-256 and kind


def _found(file: str, sha256: str) -> _Found:
    """Returns the content that a file had when the task was made."""
    if (key := sha256 + pathlib.Path(file).suffix) not in _READ and _load(file) != sha256:
        raise FieldError("file", f"file {file!r} has another content than when its task was made.")
    return _READ[key]


def _load(file: str) -> str:
    """Reads a file, unless its content is known -> its SHA-256. Raises: FieldError."""
    if not isinstance(file, str):
        raise FieldError("file", f"file must be the path of a JSON or an .att file, got {file!r}.")
    try:
        content = pathlib.Path(file).expanduser().read_bytes() if file else _EXAMPLE
    except OSError as error:
        raise FieldError("file", f"file {file!r} cannot be read: {error.strerror}.") from None
    sha256 = hashlib.sha256(content).hexdigest()
    suffix = pathlib.Path(file).suffix
    if sha256 + suffix not in _READ:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise FieldError("file", f"file {file!r} must be text, and is not UTF-8.") from None
        _READ[sha256 + suffix] = (_att if suffix == ".att" else _json)(file, text)
    return sha256


_EXAMPLE = b'{"next": [[0, 1], [1, 2], [2, 0]], "output": [0, 1, 2], "start": 0}'


def _json(file: str, text: str) -> _Found:
    """Reads a machine with outputs. Raises: FieldError."""

    def check(good, what, value, must):
        if not good:
            raise FieldError("file", f"file {file!r}: {what} must be {must}, got {str(value)[:40]}.")

    whole = lambda value, low, high: type(value) is int and low <= value <= high
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FieldError("file", f"file {file!r} is no JSON: {error}.") from None
    check(isinstance(found, dict), "the whole", found, "an object with next, output and start")
    for name in found:
        check(name in ("next", "output", "start"), "a field", name, "one of next, output, start")
    following, output, start = found.get("next"), found.get("output"), found.get("start", 0)
    rows = following if isinstance(following, list) else []
    S = len(rows)
    check(1 <= S <= _MAX_STATES, "next", following, f"a list of 1 to {_MAX_STATES} lists, one a state")
    V = len(rows[0]) if isinstance(rows[0], list) else 0
    for s, row in enumerate(rows):
        good = isinstance(row, list) and 1 <= len(row) <= _MAX_SYMBOLS and len(row) == V
        check(good, f"next[{s}]", row, "a list with a state for each symbol, as many as in next[0]")
        for v, state in enumerate(row):
            check(whole(state, 0, S - 1), f"next[{s}][{v}]", state, f"a state from 0 to {S - 1}")
    check(
        isinstance(output, list) and len(output) == S, "output", output, f"a list of {S} classes, one a state"
    )
    for s, value in enumerate(output):
        check(whole(value, 0, _MAX_OUTPUT), f"output[{s}]", value, f"a class from 0 to {_MAX_OUTPUT}")
    check(whole(start, 0, S - 1), "start", start, f"a state from 0 to {S - 1}")
    return _Found(Automaton(np.array(rows, np.int32), np.array(output, np.int32), start), False, ())


def _att(file: str, text: str) -> _Found:
    """Reads an acceptor. Raises: FieldError."""
    arcs, final, states, symbols, first = {}, set(), {}, {}, None
    must = 'must be "from to in out", separated by tabs, or a final state, from and to being numbers'
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("\t") if "\t" in line else line.split()
        if not line.strip():
            continue
        ids = words[: 2 if len(words) == 4 else 1]
        if len(words) not in (1, 4) or not all(word.strip().isdecimal() for word in ids):
            raise FieldError("file", f"file {file!r}, line {number} {must}, got {line[:40]!r}.")
        numbers = [states.setdefault(int(word), len(states)) for word in ids]
        if len(words) == 1:
            final.add(numbers[0])
            continue
        first = numbers[0] if first is None else first
        arc = numbers[0], symbols.setdefault(words[2], len(symbols))
        if arcs.setdefault(arc, numbers[1]) != numbers[1]:
            raise FieldError(
                "file", f"file {file!r}, line {number}: state {words[0]} has two ways on {words[2]!r}."
            )
    if not arcs or len(states) >= _MAX_STATES or len(symbols) > _MAX_SYMBOLS:
        least = f"must have from 1 to {_MAX_STATES - 1} states and {_MAX_SYMBOLS} symbols, with a transition"
        raise FieldError("file", f"file {file!r} {least}, got {len(states)} states, {len(arcs)} transitions.")
    sink = len(states)
    table = np.full((sink + 1, len(symbols)), sink, np.int32)
    for (state, symbol), after in arcs.items():
        table[state, symbol] = after
    output = np.isin(np.arange(sink + 1), list(final)).astype(np.int32)
    return _Found(Automaton(table, output, first), True, tuple(symbols))
