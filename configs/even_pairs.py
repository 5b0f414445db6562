"""Does a multiplicative network compare the last bit with the first, far beyond the lengths of its training?

    scripts/run experiments/train.py --config=configs/even_pairs.py --workdir=runs/even_pairs
    scripts/run experiments/evaluate.py --workdir=runs/even_pairs --lengths=40,500,10000 --words=worst \
        --config.task.options.words=random

Time: 12 s of training on 2 cores that other work shared.
Result: all of 1,024 random sequences are right at 40, 500 and 10,000 steps; none of 42 words u v v v ...
(|u|, |v| <= 2) fails to 5,000 steps, and no other is found that does.

    scripts/run experiments/train.py --config=configs/even_pairs.py:ugrnn --workdir=runs/even_pairs_ugrnn

The article's unit, with noise of 0.1 on its state. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/even_pairs.py:full --workdir=runs/even_pairs_full

The published protocol (Deletang et al. 2023): 256 units, batch 128, Adam at 1e-3, random words of lengths 1
to 40, evaluation at 41 to 500. Published: RNN and LSTM 100 %, Transformer 96.4 %. Not run here yet: neither
time nor result is measured.

    scripts/run experiments/train.py --config=configs/even_pairs.py:smoke --workdir=runs/even_pairs_smoke

Lengths up to 8 with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets lengths 1 to 40, mixed words, and the label of the last step alone."""
    _variants.check(variant, "full", "smoke", "ugrnn")
    config = default.get_config()
    config.task.name = "even_pairs"
    config.task.options.words = "mixed"
    config.model.cell = "mrnn"
    config.model.hidden_size = 64
    config.model.predict = "last"
    config.train.batch = 64
    config.train.min_length = 1
    config.train.length = 40
    config.train.updates = 1500
    config.optimizer.lr = 3e-3
    return {"full": full, "smoke": _variants.smoke, "ugrnn": ugrnn}[variant](config) if variant else config


def ugrnn(config):
    """Sets the article's unit, with noise on its state."""
    config.model.cell = "ugrnn"
    config.model.state_noise = 0.1
    return config


def full(config):
    """Sets the published sizes."""
    config.task.options.words = "random"
    config.model.cell = "elman"
    config.model.hidden_size = 256
    config.train.batch = 128
    config.train.updates = 100_000
    config.train.log_every = 500
    config.train.eval_every = 1000
    config.train.checkpoint_every = 10_000
    config.optimizer.lr = 1e-3
    return config
