"""Measures how far gradients reach in fresh networks, for every cell, as it starts and with chrono's biases.

    scripts/run scripts/horizons.py

Prints the table of r3nn/model/README.md: the least lag at which |dy_T/ds_t| has fallen to 1/1000, of 1,000
steps of the adding problem, with 64 units and four sequences, in float64, and the same with biases spread
over time constants up to 1,000 steps, where the cell takes such. It takes minutes; --cells=gru,lstm picks.
"""

import sys

import jax
import jax.numpy as jnp
from absl import app, flags

from r3nn import CELLS, TASKS
from r3nn.analysis import decay, gradient_flow
from r3nn.analysis.gradient_flow import Decay

T, B, H = 1000, 4, 64
CHRONO = 1000.0
_CELLS = flags.DEFINE_string("cells", "", "names of cells, with commas between; all by default")


def reach(name: str, xs: jax.Array, **options) -> Decay:
    """Measures a fresh cell on inputs [T, B, 2]."""
    cell = CELLS[name]
    params = cell.init(jax.random.key(0), 2, H, **options)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)
    return decay(gradient_flow(cell, params, xs)[0].size)


def written(found: Decay | None) -> str:
    """Writes the cells of a row."""
    if found is None:
        return "does not apply | "
    horizon = f"beyond {T - 1:,}" if found.horizon is None else f"{found.horizon:,}"
    return f"{horizon} | {found.rate:.4f}"


def main(argv: list[str]) -> None:
    """Prints a row for each cell."""
    names = _CELLS.value.split(",") if _CELLS.value else list(CELLS)
    unknown = [name for name in names if name not in CELLS]
    if unknown or argv[1:]:
        sys.exit(
            f"--cells={','.join([*unknown, *argv[1:]])}: must be names of cells, such as {', '.join(CELLS)}."
        )
    print(
        "| cell | horizon | nats a step | with chrono = 1,000 | nats a step |",
        "|---|---|---|---|---|",
        sep="\n",
    )
    with jax.enable_x64(True):
        xs = TASKS["adding"].sample(jax.random.key(1), B, T, T).inputs.swapaxes(0, 1).astype(jnp.float64)
        for name in names:
            usual = reach(name, xs)
            try:
                spread = reach(name, xs, chrono=CHRONO)
            except (TypeError, ValueError):
                spread = None
            print(f"| `{name}` | {written(usual)} | {written(spread)} |", flush=True)


if __name__ == "__main__":
    app.run(main)
