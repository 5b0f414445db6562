"""Does an LSTM count: as many b as there were a, far beyond the numbers of its training?

    scripts/run experiments/train.py --config=configs/anbn.py --workdir=runs/anbn
    scripts/run experiments/evaluate.py --workdir=runs/anbn --lengths=100,200,400

Time: 4 minutes of training on 2 cores that other work shared.
Result: sequence accuracy 1 at up to 100 steps (trivial baseline 0.04), 0.68 at up to 200 and 0.35 at up to
400: it counts exactly to about 67, where training ended at 50.

    scripts/run experiments/train.py --config=configs/anbn.py:ugrnn --workdir=runs/anbn_ugrnn

The article's unit. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/anbn.py:full --workdir=runs/anbn_full

The same with a third letter, a^n b^n c^n. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/anbn.py:smoke --workdir=runs/anbn_smoke

Lengths up to 8 with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets n from 1 to 50."""
    _variants.check(variant, "full", "smoke", "ugrnn")
    config = default.get_config()
    config.task.name = "anbn"
    config.model.cell = "lstm"
    config.model.hidden_size = 64
    config.train.batch = 64
    config.train.min_length = 2
    config.train.length = 100
    config.train.updates = 2000
    config.optimizer.lr = 3e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.end_fraction = 0.03
    return {"full": full, "smoke": smoke, "ugrnn": ugrnn}[variant](config) if variant else config


def ugrnn(config):
    """Sets the article's unit."""
    config.model.cell = "ugrnn"
    return config


def full(config):
    """Sets the three letters."""
    config.task.name = "anbncn"
    config.train.min_length = 3
    config.train.length = 150
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    return _variants.smoke(config)
