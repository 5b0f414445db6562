"""Handles noise by Flax's conventions: `make_rng("dropout")`, and `deterministic`."""

from flax import linen as nn


def noise_key(module: nn.Module, noisy: bool, key=None, deterministic: bool | None = None):
    """Returns the `key` for `unroll`: the given one, or one of the stream "dropout"; None where there is no
    noise.

    deterministic: None: as the module has it. Raises: flax.errors.InvalidRngError where there is noise and
    nothing to draw it from.
    """
    deterministic = module.deterministic if deterministic is None else deterministic
    if deterministic or not noisy:
        return None
    return module.make_rng("dropout") if key is None else key
