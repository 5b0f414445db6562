"""Does a linear unit with complex eigenvalues repeat at every step the symbol of 32 steps ago?

    scripts/run experiments/train.py --config=configs/repeat_previous.py --workdir=runs/repeat_previous

Time: 1.3 minutes of training on 2 cores that much other work shared.
Result: accuracy 0.9999 when training stops, after 200 updates (trivial baseline 0.25). With
--config.task.options.delay=8 it is 1 after 100 updates, in 2 s.

Published, by reinforcement (Morad et al. 2023): reward -.315 for GRU, .789 for LMU, of at most 1.

    scripts/run experiments/train.py --config=configs/repeat_previous.py:full \
        --workdir=runs/repeat_previous_full

The hardest of the published sizes (Morad et al. 2023), 64 steps ago, of 156, with 256 units. Stopped by hand
after 500 updates, in 2.5 minutes: held-out accuracy 0.9992.

    scripts/run experiments/train.py --config=configs/repeat_previous.py:smoke \
        --workdir=runs/repeat_previous_smoke

The symbol of two steps ago, with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets the middle of the published sizes: 32 steps ago, of 104."""
    _variants.check(variant, "full", "smoke")
    config = default.get_config()
    config.task.name = "repeat_previous"
    config.task.options.delay = 32
    config.model.cell = "lru"
    config.model.init.r_min = 0.9
    config.model.hidden_size = 128
    config.train.batch = 64
    config.train.length = 104
    config.train.updates = 1500
    config.train.target = 0.9999
    config.optimizer.lr = 3e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.end_fraction = 0.03
    return {"full": full, "smoke": smoke}[variant](config) if variant else config


def full(config):
    """Sets the hardest of the published sizes."""
    config.task.options.delay = 64
    config.train.length = 156
    config.model.hidden_size = 256
    config.train.updates = 10_000
    config.train.log_every = 100
    config.train.eval_every = 500
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    config.task.options.delay = 2
    return _variants.smoke(config)
