"""Defines denoise and selective copying: ten symbols, or sixteen, among noise that is to be forgotten."""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from r3nn.tasks._copy_memory import CopyMemory


@dataclasses.dataclass(frozen=True)
class Denoise(CopyMemory):
    """Repeats K symbols that stand anywhere among noise, in their order.

    It is `copy_memory` with its options, S = `symbols`, K = `recall`, but for the places of the symbols: any
    K of the steps before the first delimiter #, each choice as likely. The noise is the blank, 0:

        layout        x                                            y
        delimiter     d_1 .. d_K among T - 1 blanks  #  K blanks   T + K blanks  d_1 .. d_K
        markers       d_1 .. d_K among T blanks      K times #     the same

    A network has to store by what stands there rather than by when, and to leave the rest. A sequence has
    `steps(T)` = T + 2K steps. Inputs ids int32 [B, T] of S + 2 kinds, targets int32 [B, T] of S + 1 classes.

    Example, K = 2, length 8 (T = 4), in the two layouts:

        x    0   3   0   0   7   9   0   0
        x    0   3   0   0   7   0   9   9
        y    0   0   0   0   0   0   3   7

    Baseline: that of `copy_memory`: ln S nats, accuracy 1/S, all of them S^-K.

    Source: Jing et al. 2017, "Gated orthogonal recurrent units: on learning to forget", with one delimiter.
    """

    def drawn(self, key, room, max_length):
        """Does what `CopyMemory.drawn` says."""
        key, key_places = jax.random.split(key)
        data, _ = super().drawn(key, room, max_length)
        t = jnp.arange(max_length, dtype=jnp.int32)
        lots = jnp.where(t < room, jax.random.uniform(key_places, (max_length,), jnp.float32), -1)
        return data, jnp.sort(lax.top_k(lots, self.recall)[1])


@dataclasses.dataclass(frozen=True)
class SelectiveCopying(Denoise):
    """Repeats 16 symbols of 14 kinds that stand anywhere among noise: denoise with a marker a symbol.

    It has the options of `denoise`, with other defaults. S = `symbols`, K = `recall`; noise is 0, the symbols
    are 1..S, the marker, #, is S + 1:

        x = d_1 .. d_K among L blanks   # .. #
        y =            -                d_1 .. d_K        d_k ~ U{1 .. S}

    The source's L is the number of blanks: a sequence has `steps(L)` = L + 2K steps. Inputs ids int32 [B, T]
    of S + 2 kinds, targets int32 [B, T] of S + 1 classes; the loss counts at the markers.

    Example, K = 2, length 8 (L = 4), with S = 14:

        x    0   3   0   0  14   0  15  15
        y    -   -   -   -   -   -   3  14

    Baseline: the symbols are guessed: ln S nats, accuracy 1/S = 7.1 %, all of them S^-K.

    Source: Gu & Dao 2023, "Mamba: linear-time sequence modeling with selective state spaces", whose L is
    4,096; Poli et al. 2024, "Mechanistic design and scaling of hybrid architectures", has a total of 256.
    """

    symbols: int = 14
    recall: int = 16
    layout: str = "markers"
