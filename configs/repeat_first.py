"""Does an LSTM keep the first symbol of a sequence, far beyond the lengths of its training?

    scripts/run experiments/train.py --config=configs/repeat_first.py --workdir=runs/repeat_first
    scripts/run experiments/evaluate.py --workdir=runs/repeat_first --lengths=52,416,832,10000 --sequences=256

Time: 12 s of training on 2 cores that other work shared.
Result: accuracy 1 at 52, 416, 832 and 10,000 steps, of 256 sequences each (trivial baseline 0.25).

Published (Morad et al. 2023): in the hardest of the three lengths, 832, a GRU has .940 of the reward.

    scripts/run experiments/train.py --config=configs/repeat_first.py:full --workdir=runs/repeat_first_full

The published length, 832. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/repeat_first.py:smoke --workdir=runs/repeat_first_smoke

Lengths up to 8 with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets the least of the published lengths, 52."""
    _variants.check(variant, "full", "smoke")
    config = default.get_config()
    config.task.name = "repeat_first"
    config.model.cell = "lstm"
    config.model.hidden_size = 64
    config.train.batch = 64
    config.train.min_length = 2
    config.train.length = 52
    config.train.updates = 600
    config.optimizer.lr = 3e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.end_fraction = 0.03
    return {"full": full, "smoke": smoke}[variant](config) if variant else config


def full(config):
    """Sets the greatest of the published lengths."""
    config.train.length = 832
    config.train.updates = 10_000
    config.train.log_every = 100
    config.train.eval_every = 500
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    return _variants.smoke(config)
