"""Handles noise by Flax's conventions: an RNG stream, and `deterministic`."""

from flax import nnx

from r3nn.nnx._params import Params, draw_key


class Noisy(Params):
    """Holds the params of what may draw noise, as `nnx.Dropout` does: where `deterministic` is False, which
    train() and eval() set, from the stream `rngs`. A module that draws none holds none, so that its state is
    its params alone."""

    @property
    def noisy(self) -> bool:
        """Says whether the module's cells draw noise."""
        raise NotImplementedError(f"{type(self).__name__}.noisy must be given.")

    def _listen(self, rngs, deterministic: bool):
        """Forks the stream "dropout" of rngs: nnx.Rngs, a stream itself, or None."""
        if isinstance(rngs, nnx.Rngs):
            rngs = rngs["dropout"] if "dropout" in rngs or "default" in rngs else None
        self.rngs = nnx.data(rngs.fork() if self.noisy and rngs is not None else None)
        self.deterministic = deterministic

    def set_view(self, deterministic: bool | None = None):
        """Sets what `nnx.view` asks for. deterministic: if True, no noise is drawn: cells take its
        expectation."""
        if deterministic is not None:
            self.deterministic = deterministic

    def noise_key(self, key=None, deterministic: bool | None = None):
        """Returns the `key` for `unroll`: the given one, or the next of the stream; None where there is no
        noise.

        Raises: ValueError, in Flax's words, where there is noise and nothing to draw it from.
        """
        deterministic = self.deterministic if deterministic is None else deterministic
        if deterministic or not self.noisy:
            return None
        if key is None and self.rngs is None:
            name = type(self).__name__
            raise ValueError(
                f"`deterministic` is False, but no `rngs` argument was provided to {name}: make it with "
                "rngs=nnx.Rngs(0, dropout=1), give key=, or set it to eval()."
            )
        return draw_key(self.rngs) if key is None else key
