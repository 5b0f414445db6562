"""Does a gated network evaluate nested lists of MIN, MAX, MED and SM?

    scripts/run experiments/train.py --config=configs/listops.py --workdir=runs/listops
    scripts/run experiments/evaluate.py --workdir=runs/listops --lengths=32,64,128

Time: 2 minutes of training on 2 cores that other work shared.
Result: accuracy 0.61 at up to 128 steps (trivial baseline 0.12), 0.62 and 0.60 at up to 64 and 32.

Training has three stages, by length, each of which ends on success.

    scripts/run experiments/train.py --config=configs/listops.py:ugrnn --workdir=runs/listops_ugrnn

The article's unit. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/listops.py:full --workdir=runs/listops_full

Long Range Arena's sizes (Tay et al. 2021): 500 to 2,000 steps, ten deep. Published: S5 62.15, LSTM (Block)
49.5, Transformer 36.4. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/listops.py:smoke --workdir=runs/listops_smoke

Lengths up to 16 with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets lists of up to 127 symbols, four deep."""
    _variants.check(variant, "full", "smoke", "ugrnn")
    config = default.get_config()
    config.task.name = "listops"
    config.task.options.arguments = 6
    config.task.options.depth = 4
    config.model.cell = "gru"
    config.model.hidden_size = 128
    config.model.predict = "last"
    config.curriculum.lengths = "24,56"
    config.curriculum.success = 0.8
    config.train.batch = 64
    config.train.length = 128
    config.train.updates = 3000
    config.optimizer.lr = 2e-3
    config.optimizer.clip = 1.0
    return {"full": full, "smoke": smoke, "ugrnn": ugrnn}[variant](config) if variant else config


def ugrnn(config):
    """Sets the article's unit."""
    config.model.cell = "ugrnn"
    return config


def full(config):
    """Sets the published sizes."""
    config.task.options.arguments = 10
    config.task.options.depth = 10
    config.task.options.shortest = 500
    config.curriculum.lengths = ""
    config.curriculum.success = 0.97
    config.train.batch = 32
    config.train.length = 2000
    config.train.updates = 80_000
    config.train.log_every = 500
    config.train.eval_every = 2000
    config.train.checkpoint_every = 10_000
    config.optimizer.lr = 1e-3
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    config.curriculum.success = 0.97
    return _variants.smoke(config, 16)
