"""Does a gated network know which bracket may close, with two kinds of brackets four deep?

    scripts/run experiments/train.py --config=configs/dyck.py --workdir=runs/dyck
    scripts/run experiments/evaluate.py --workdir=runs/dyck --lengths=64,1024,100000 --sequences=16 --batch=16
    scripts/run experiments/evaluate.py --workdir=runs/dyck --lengths=64 --words=worst

Time: 47 s of training on 2 cores that other work shared.
Result: of 16 sequences of 100,000 steps, half are right throughout, and accuracy a step is above 0.9999
(trivial baseline 0.44). Words that stay deep are harder: of 24 words u v v v ... 5 fail to 5,000 steps, the
first on `( ([])^11`, whose 23rd answer is wrong.

    scripts/run experiments/train.py --config=configs/dyck.py:ugrnn --workdir=runs/dyck_ugrnn

The article's unit. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/dyck.py:full --workdir=runs/dyck_full

Five deep, up to 128 steps, with 128 units. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/dyck.py:smoke --workdir=runs/dyck_smoke

Lengths up to 8 with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets Dyck-(2, 4) at lengths 1 to 64, and a label at every step."""
    _variants.check(variant, "full", "smoke", "ugrnn")
    config = default.get_config()
    config.task.name = "dyck"
    config.model.cell = "gru"
    config.model.hidden_size = 64
    config.train.batch = 64
    config.train.min_length = 1
    config.train.length = 64
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
    """Sets one more level of brackets."""
    config.task.options.depth = 5
    config.model.hidden_size = 128
    config.train.length = 128
    config.train.updates = 10_000
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    return _variants.smoke(config)
