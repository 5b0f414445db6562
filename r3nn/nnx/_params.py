"""Makes modules of params."""

from flax import nnx

from r3nn import convert


class Params(nnx.Module):
    """Wraps a NamedTuple of params as a module: an attribute per field, which is an `nnx.Param`, None where
    absent, or such a module again. In a tuple the fields are called "0", "1" ...; `module[0]` reads them."""

    def __init__(self, params):
        self._hold(params)

    def _hold(self, params):
        parts = convert.fields(params)
        for name, value in parts.items():
            if hasattr(self, name):
                raise ValueError(
                    f"a parameter called {name!r} hides {type(self).__name__}.{name}: rename it."
                )
            setattr(self, name, _held(value))
        self._kind, self._names = type(params), tuple(parts)

    @property
    def params(self):
        """Returns the NamedTuple of params, of plain arrays."""
        return convert.build(self._kind, [_plain(getattr(self, name), name) for name in self._names])

    def __getitem__(self, index: int):
        return getattr(self, self._names[index])


def _held(value):
    if value is None:
        return None
    return Params(value) if isinstance(value, tuple) else nnx.Param(value)


def _plain(held, name):
    if isinstance(held, Params):
        return held.params
    if held is not None and not isinstance(held, nnx.Variable):
        # Flax's own cells would compute with it, and no optimizer would see it.
        how = f"{name}[...] = array, or {name} = nnx.Param(array)"
        raise TypeError(f"{name} holds no nnx.Param but {type(held).__name__}: assign {how}, array by array.")
    return None if held is None else held.get_value()


def draw_key(rngs, stream: str = "params"):
    """Returns the next key of a stream of `nnx.Rngs`, or of a stream itself. Raises: ValueError for None."""
    if rngs is None:
        raise ValueError(f"rngs is None: needed to draw {stream}, e.g. rngs=nnx.Rngs(0).")
    return rngs[stream]() if isinstance(rngs, nnx.Rngs) else rngs()
