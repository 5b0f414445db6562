"""Which cells learn to multiply permutations, the word problem of S3, at equal parameters over five seeds?

    scripts/run experiments/sweep.py --config=configs/compare_cells.py --workdir=runs/cells --workers=2

The table and runs/cells/figures/compare.png answer it: for each cell how many of its seeds reach the target,
after how many updates, and how far the others come. The seeds of a cell share one program. Cells that are
affine in their state are expected at the bottom. One learning rate serves all: a cell that does badly here
may do better at another.

    scripts/run experiments/sweep.py --config=configs/compare_cells.py:smoke --workdir=runs/cells_smoke

Lengths up to 8 with 600 parameters and 20 updates: whether all cells run; nothing is learned.

Time: 25 minutes on 2 cores that other work shared.
Result: of 22 cells (janet, star, brc, nbrc, antisymmetric, unicornn, deltanet, gated_deltanet, pd_ssm and lrc
are not among them), measured before the words were drawn in blocks: all five seeds reach the target with the
three multiplicative cells after 100 to 300 updates (median), and with the other nine dense ones, after 600 to
1300, elman last. None does in 3000 with the diagonal and independent cells, the affine ones, cornn, scornn
and m2rnn: median sequence accuracy below 0.01.
"""

from configs import _variants, s3
from configs._space import grid
from r3nn import CELLS


def get_config(variant=""):
    """Sets random words of 1 to 16 steps, 8,000 parameters, a label at every step."""
    _variants.check(variant, "smoke")
    config = s3.get_config("random")
    config.model.params = 600 if variant else 8000
    if variant:
        config = _variants.smoke(config)
        config.train.updates = 20
        return config
    config.train.batch = 32
    config.train.length = 16
    config.train.updates = 3000
    config.train.target = 0.99
    config.optimizer.schedule = "cosine"
    return config


def get_sweep():
    """Tries every cell with every seed."""
    return {"model.cell": grid(CELLS), "seed": grid(range(5))}
