"""Does a gated network keep ten symbols that stand anywhere in 100 steps of noise?

    scripts/run experiments/train.py --config=configs/denoise.py --workdir=runs/denoise
    scripts/run experiments/evaluate.py --workdir=runs/denoise --lengths=60,120,220,420 --sequences=512

Time: 23 minutes of training on 2 cores of which other work left a fifth.
Result: accuracy 0.998 of the recalled symbols when training stops, after 1,200 updates; of 512 sequences of
each length 0.999 at T = 100, 0.988 at 200, 0.758 at 400 (trivial baseline 0.125).

Training has four stages, by length, each of which ends on success. A GRU below says where to store, and M2RNN
above it has a matrix to store in. Published (Jing et al. 2017): a gated orthogonal network learns it at 200,
GRU and LSTM late, orthogonal networks without gates not.

    scripts/run experiments/train.py --config=configs/denoise.py:full --workdir=runs/denoise_full

T = 400. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/denoise.py:smoke --workdir=runs/denoise_smoke

A T of 4 with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets T = 100, and the loss on the recalled symbols alone."""
    _variants.check(variant, "full", "smoke")
    config = default.get_config()
    config.task.name = "denoise"
    config.model.cell = "gru"
    config.model.depth = 2
    config.model.depth_cell = "m2rnn"
    config.model.hidden_size = 64
    config.model.predict = "counted"
    config.curriculum.lengths = "24,40,70"
    config.curriculum.end_fraction = 0.03
    config.train.batch = 64
    config.train.length = 120  # T + 2 x 10
    config.train.updates = 2000
    config.train.target = 0.998
    config.optimizer.lr = 3e-3
    return {"full": full, "smoke": smoke}[variant](config) if variant else config


def full(config):
    """Sets T = 400."""
    config.curriculum.lengths = "24,40,70,120,220"
    config.train.length = 420
    config.train.updates = 10_000
    config.train.log_every = 100
    config.train.eval_every = 500
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    config.curriculum.end_fraction = 1.0
    return _variants.smoke(config, 24)
