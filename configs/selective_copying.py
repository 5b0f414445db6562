"""Does a gated network keep sixteen symbols that stand anywhere in 96 steps of noise, and in more?

    scripts/run experiments/train.py --config=configs/selective_copying.py --workdir=runs/selective_copying
    scripts/run experiments/evaluate.py --workdir=runs/selective_copying --lengths=64,128,288,1056 \
        --sequences=256

Time: 8 minutes of training on 2 cores that other work shared.
Result: accuracy 0.992 on the final test when training stops, after 2,700 updates; of 256 sequences of each
length 0.995 at L = 96, 0.856 at 256, 0.24 at 1,024 (trivial baseline 0.071).

Training has three stages, at an L of 4, 32 and 96, each of which ends on success; storing is learned in the
first, in 2,000 updates. A GRU below says where to store, and M2RNN above it has a matrix to store in.

    scripts/run experiments/train.py --config=configs/selective_copying.py \
        --workdir=runs/selective_copying_256 --config.train.init_from=runs/selective_copying \
        --config.curriculum.lengths= --config.curriculum.end_fraction=1.0 --config.train.length=288 \
        --config.train.updates=250 --config.train.eval_every=50 --config.train.eval_batch=256 \
        --config.optimizer.lr=2e-3 --config.optimizer.schedule=cosine
    scripts/run experiments/evaluate.py --workdir=runs/selective_copying_256 --lengths=288,544,1056 \
        --sequences=256

From that net on, at L = 256: accuracy 0.995 on the final test after 150 updates, in 2 minutes; of 256
sequences of each length 0.991 at L = 256, 0.942 at 512, 0.474 at 1,024.

Published, at 4,096: S4 18.3, Mamba 99.8 (Gu & Dao 2023), three layers of minGRU 99.5 and of minLSTM 96.0
(Feng et al. 2024), after 400,000 updates; nothing for GRU and LSTM.

    scripts/run experiments/train.py --config=configs/selective_copying.py:full \
        --workdir=runs/selective_copying_full

L = 4,096. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/selective_copying.py:smoke \
        --workdir=runs/selective_copying_smoke

An L of 4 with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets L = 96, in stages by length."""
    _variants.check(variant, "full", "smoke")
    config = default.get_config()
    config.task.name = "selective_copying"
    config.model.cell = "gru"
    config.model.depth = 2
    config.model.depth_cell = "m2rnn"
    config.model.hidden_size = 64
    config.model.predict = "counted"
    config.curriculum.lengths = "36,64"
    config.curriculum.end_fraction = 0.03
    config.train.batch = 32
    config.train.length = 128  # L = 96, + 2 x 16
    config.train.updates = 3000
    config.train.target = 0.99
    config.optimizer.lr = 3e-3
    return {"full": full, "smoke": smoke}[variant](config) if variant else config


def full(config):
    """Sets the published length."""
    config.curriculum.lengths = "40,64,128,288,1056"
    config.train.length = 4128
    config.train.updates = 400_000
    config.train.log_every = 500
    config.train.eval_every = 1000
    config.train.checkpoint_every = 10_000
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    config.curriculum.end_fraction = 1.0
    return _variants.smoke(config, 36)
