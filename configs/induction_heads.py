"""Does a GRU find the symbol that stood behind the special one, at lengths beyond its training?

    scripts/run experiments/train.py --config=configs/induction_heads.py --workdir=runs/induction_heads
    scripts/run experiments/evaluate.py --workdir=runs/induction_heads --lengths=128,256,512,1024,2048

Time: 2.5 minutes of training on 2 cores that much other work shared.
Result: accuracy 1 at 128 steps, from update 300 on, and at 256; 0.947 at 512, 0.76 at 1,024, 0.51 at 2,048
(trivial baseline 0.067).

Training has three stages, by length, each of which ends on success. Published (Gu & Dao 2023): two layers of
Mamba, trained at 256, right up to 2^20 steps; attention up to twice the length of training.

    scripts/run experiments/train.py --config=configs/induction_heads.py:full \
        --workdir=runs/induction_heads_full

The published length, 256. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/induction_heads.py:smoke \
        --workdir=runs/induction_heads_smoke

Lengths up to 8 with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets 16 kinds of symbols, and lengths up to 128."""
    _variants.check(variant, "full", "smoke")
    config = default.get_config()
    config.task.name = "induction_heads"
    config.model.cell = "gru"
    config.model.hidden_size = 64
    config.model.predict = "last"
    config.curriculum.lengths = "8,32"
    config.curriculum.end_fraction = 0.03
    config.train.batch = 64
    config.train.min_length = 3
    config.train.length = 128
    config.train.updates = 1500
    config.optimizer.lr = 3e-3
    return {"full": full, "smoke": smoke}[variant](config) if variant else config


def full(config):
    """Sets the published length."""
    config.curriculum.lengths = "8,32,128"
    config.train.length = 256
    config.train.updates = 20_000
    config.train.log_every = 100
    config.train.eval_every = 500
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    config.curriculum.end_fraction = 1.0
    return _variants.smoke(config)
