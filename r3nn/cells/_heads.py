"""Defines `heads`: recurrent weights in blocks along the diagonal."""

import dataclasses

import jax

from r3nn._lookup import FieldError, check_int
from r3nn.cells._gated import Dense, GatedCell, check_dense


@dataclasses.dataclass(frozen=True)
class Heads(Dense):
    """Each gate reads h block by block, w [n, d, d] with n*d = H: h @ blockdiag(w)."""

    count: int

    kind = "heads"

    def draw(self, init, key, size, dtype):
        """Draws one gate's weights, each block by an initializer of shape [d, d]."""
        if size % self.count:
            what = f"hidden_size={size}: must be a multiple of the {self.count} heads."
            raise FieldError("hidden_size", what)
        d = size // self.count
        return jax.vmap(lambda key: init(key, (d, d), dtype))(jax.random.split(key, self.count))

    def product(self, h, w):
        """Computes what one gate reads, [..., H]."""
        blocks = h.reshape(*h.shape[:-1], self.count, 1, h.shape[-1] // self.count)
        return (blocks @ w).reshape(h.shape)


def heads(cell: GatedCell, count: int) -> GatedCell:
    """Returns the cell with block-diagonal recurrent weights: `count` heads, whose units see only each other.

    params.recurrent has [n, d, d] per gate, d = H / count; all else is the cell's. H²/count recurrent weights
    a gate, and on accelerators blocks that fit on chip.
    Source: Beck et al. 2024, arXiv 2405.04517, section 2.2 ("memory mixing" within heads).

    Args:
      cell: a gated cell whose recurrence is "dense", such as gru, lstm, slstm.
      count: n, at least 1; must divide the hidden size given at `init`.

    Raises: TypeError, ValueError for any other cell or count.
    """
    check_int("heads", count, 1)
    return dataclasses.replace(check_dense("heads", cell), reads=Heads(count))
