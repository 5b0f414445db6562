"""Defines the recognition of sounds from raw samples: eight courses of pitch, in noise."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from r3nn._lookup import FieldError, check_int
from r3nn.tasks._kinds import Classification

_CLASSES = ("rising", "falling", "peak", "dip", "step up", "step down", "slow trill", "fast trill")
_SLOW, _FAST = 3, 12  # times that a trill goes up and down


@dataclasses.dataclass(frozen=True)
class Sounds(Classification):
    """Says at the last step which of eight ways a tone went, between a low pitch and one an octave above.

        0 rising    1 falling    2 peak: up, then down       3 dip: down, then up
        4 step up   5 step down  6 slow trill: 3 times low and high    7 fast trill: 12 times
        sample = sin(2 pi phase) + noise N(0, 1)

    The tone begins within the first quarter of the sequence and ends within the last, outside of it there is
    noise alone. Its low pitch is drawn from 0.01 to 0.03 cycles a sample: at 16,000 samples a second, 160 to
    480 Hz. 0 and 1 hold the same pitches for the same time, as do 2 and 3, 4 and 5, 6 and 7: their spectra
    are alike, and only the order tells them apart.

    A step is `frame` samples: inputs float32 [B, T, frame], targets int32 [B, T] of eight classes (0 before
    the last step). `steps(n)` are those of n samples.

    Example, length 8, a "step up" of low pitch 1/8 that begins with step 1 and ends behind step 6, without
    noise (so high a pitch is not drawn, but is quicker to write):

        x    0   .7   1   .7   0   0   0   0
        y    -   -    -   -    -   -   -   4

    Baseline: each class is as likely: cross-entropy ln 8, accuracy 1/8. A linear softmax on the mean spectrum
    knows the pairs at best: accuracy 1/2.

    Source: none; the data are made up here, so that raw audio needs no download.
    """

    frame: int = 1
    noise: float = 1.0

    out_size = len(_CLASSES)

    def __post_init__(self) -> None:
        check_int("frame", self.frame, 1)
        number = isinstance(self.noise, int | float) and not isinstance(self.noise, bool)
        if not number or not 0 <= self.noise < math.inf:
            raise FieldError("noise", f"noise must be a number at least 0, got {self.noise!r}.")

    @property
    def in_size(self) -> int:
        """Returns the samples of a step."""
        return self.frame

    def steps(self, n: int) -> int:
        """Counts the steps of n samples."""
        return -(-n // self.frame)

    def example(
        self, key: jax.Array, length: jax.Array, max_length: int
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Does what `Task.example` says."""
        keys = jax.random.split(key, 4)
        kind = jax.random.randint(keys[0], (), 0, self.out_size, jnp.int32)
        low, phase, begin, end = jax.random.uniform(keys[1], (4,), jnp.float32)
        low, begin, end = 0.01 + 0.02 * low, 0.25 * begin, 1 - 0.25 * end
        t = jnp.arange(max_length * self.frame, dtype=jnp.int32)
        place = (t / (length * self.frame) - begin) / (end - begin)  # of a sample in its tone, from 0 to 1
        pitch = low * (1 + course(kind, place.clip(0, 1)))
        tone = jnp.where((place >= 0) & (place < 1), _oscillate(pitch, phase), 0)
        noise = jax.random.normal(keys[2], (max_length, self.frame), jnp.float32)
        t = jnp.arange(max_length, dtype=jnp.int32)
        last = t == length - 1
        return tone.reshape(max_length, self.frame) + self.noise * noise, jnp.where(last, kind, 0), last

    def counted(self, max_length: int) -> int:
        """Counts the last step."""
        del max_length
        return 1

    def baseline(self, length: int) -> dict[str, float]:
        """Guesses a class, whatever the length; see the class."""
        del length
        chance = 1 / self.out_size
        return {"cross_entropy": math.log(self.out_size), "accuracy": chance, "sequence_accuracy": chance}


def course(kind: jax.Array, place: jax.Array) -> jax.Array:
    """Returns the pitch, 0 low and 1 high, at places [T] from 0 to 1 of a tone of this class, float32 [T]."""
    peak, high = 1 - jnp.abs(2 * place - 1), place >= 0.5
    trill = lambda times: jnp.floor(2 * times * place) % 2
    courses = (place, 1 - place, peak, 1 - peak, high, ~high, trill(_SLOW), trill(_FAST))
    return jnp.select([kind == k for k in range(len(courses))], [c.astype(jnp.float32) for c in courses])


def _oscillate(pitch: jax.Array, phase: jax.Array) -> jax.Array:
    """Makes a tone [T] of pitches [T], in cycles a sample, below 1/2.

    Phases are whole numbers of which 2^32 are one cycle: their sum wraps around by itself, and it is exact
    however long the tone and whatever the order of summation.
    """
    steps = (pitch * 2.0**32).astype(jnp.uint32)
    phases = jnp.cumsum(steps, dtype=jnp.uint32)
    return jnp.sin(2 * jnp.pi * (phases.astype(jnp.float32) / 2.0**32 + phase))
