"""Defines the task of a text: which character comes next?"""

import dataclasses
import functools
import hashlib
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from r3nn import losses
from r3nn._lookup import FieldError
from r3nn.tasks._base import Tally
from r3nn.tasks._finite import SPLITS, Finite, class_baseline, digest, path_of
from r3nn.tasks._kinds import Classification

_SHARES = (0.9, 0.95)  # of the text, in order: where the held-out and the test split begin


class _Text(NamedTuple):
    """Holds a text as places in its alphabet, int32 [n]."""

    alphabet: str
    ids: np.ndarray


@dataclasses.dataclass(frozen=True)
class Characters(Finite, Classification):
    """Which character of a text comes next?

    `file` is any text in UTF-8; without one it is the help text of this Python (pydoc's topics, about 0.5 MB
    of English, which differs between versions of Python). The first 90 percent are the training split, the
    next 5 are held out, the last 5 are the test. Each is cut into windows of `length` characters, one behind
    another, and a window is a sequence: an epoch takes each once. A model that is trained by truncated
    backpropagation (config.train.tbptt) carries its state through a window.

    Inputs ids int32 [B, T], places in the alphabet, which is all characters of the file in order; targets
    int32 [B, T], the ids one step on. The content of the file, by its SHA-256, is part of the value.

    Example, the text "abcab", length 4:

        x    a   b   c   a
        y    b   c   a   b

    bits_per_character, the headline, is the mean cross-entropy in bits, over windows that the model enters
    with its initial state.

    Baseline: each character by its share in the training split.
    """

    file: str = ""
    sha256: str = dataclasses.field(default="", init=False, repr=False)

    metric = "bits_per_character"
    higher_is_better = False
    tie_breaker = None
    fractions = ("accuracy",)
    own_lengths = False
    every_step = True
    min_length = 1

    def __post_init__(self) -> None:
        if self.file:
            object.__setattr__(self, "sha256", digest("file", self.file))
            self._text()

    def _text(self) -> _Text:
        return _read(self.file, self.sha256)

    @property
    def vocab(self) -> int:
        """Counts the characters of the alphabet."""
        return len(self._text().alphabet)

    @property
    def out_size(self) -> int:
        """Counts the characters of the alphabet."""
        return self.vocab

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the text of each split, ids int32 [n]."""
        ids = self._text().ids
        at = [int(share * len(ids)) for share in _SHARES]
        return dict(zip(SPLITS, np.split(ids, at), strict=True))

    def rows(self, split: str, length: int) -> int:
        """Counts the windows of a split."""
        return max((len(self.arrays()[split]) - 1) // length, 0)

    def room(self, split: str, length: int) -> int:
        """Returns `length`: windows of all splits are equally long."""
        return length

    def row(self, data: Any, index: jax.Array, max_length: int) -> tuple[jax.Array, ...]:
        """Does what `Finite.row` says."""
        window = lax.dynamic_slice(data, (index * max_length,), (max_length + 1,))
        return window[:-1], window[1:], jnp.ones(max_length, bool), jnp.int32(max_length)

    def metrics(self, tally: Tally) -> dict[str, jax.Array]:
        """Computes bits_per_character and accuracy, over all steps."""
        nats = losses.mean(tally.loss, tally.count)
        return {
            "bits_per_character": nats / math.log(2),
            "accuracy": losses.mean(tally.correct, tally.count),
        }

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses by how often each character comes in the training split."""
        data = self.arrays()
        nats, right = class_baseline(data["train"], data["test"], self.vocab)
        return {"bits_per_character": nats / math.log(2), "accuracy": right}

    def decode(self, ids: np.ndarray) -> str:
        """Writes places in the alphabet as the text that they stand for."""
        return "".join(self._text().alphabet[i] for i in ids.tolist())


@functools.lru_cache(8)
def _read(file: str, sha256: str) -> _Text:
    """Reads a text with this content. Raises: FieldError."""
    if file:
        try:
            content = path_of("file", file).read_bytes()
            text = content.decode()
        except OSError as error:
            raise FieldError("file", f"file {file!r} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise FieldError("file", f"file {file!r} must be text, and is not UTF-8.") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise FieldError("file", f"file {file!r} has another content than when its task was made.")
    else:
        from pydoc_data.topics import topics

        text = "\n".join(topics[name] for name in sorted(topics))
    if len(text) < 100:
        raise FieldError("file", f"file {file!r} must have at least 100 characters, got {len(text)}.")
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    alphabet, ids = np.unique(points, return_inverse=True)
    return _Text("".join(map(chr, alphabet)), ids.astype(np.int32))
