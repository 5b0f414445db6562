"""Does the article's unit learn parity at lengths up to 40, and keep it at lengths far beyond?

    scripts/run experiments/train.py --config=configs/parity.py --workdir=runs/parity
    scripts/run experiments/evaluate.py --workdir=runs/parity --lengths=40,100,500

Time: 2 s of training on 2 cores, after 10 s to start and compile.
Result: stops after 300 updates at accuracy 1 (trivial baseline 0.5), and stays there at 100 and 500 steps.

    scripts/run experiments/train.py --config=configs/parity.py:full --workdir=runs/parity_full

The published protocol (Deletang et al. 2023): 256 units, batch 128, Adam at 1e-3, lengths 1 to 40,
evaluation at 41 to 500. Published: RNN and LSTM 100 %, Transformer 52 %. Not run here yet: neither time nor
result is measured.

    scripts/run experiments/train.py --config=configs/parity.py:smoke --workdir=runs/parity_smoke

Lengths up to 8 with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets lengths 1 to 40, and the label of the last step alone."""
    _variants.check(variant, "full", "smoke")
    config = default.get_config()
    config.task.name = "parity"
    config.task.options.labels = "last"
    config.model.cell = "ugrnn"
    config.model.hidden_size = 64
    config.model.predict = "last"
    config.train.batch = 64
    config.train.min_length = 1
    config.train.length = 40
    config.train.updates = 3000
    config.train.target = 1.0
    config.optimizer.lr = 3e-3
    return {"": lambda same: same, "full": full, "smoke": smoke}[variant](config)


def full(config):
    """Sets the published sizes."""
    config.model.hidden_size = 256
    config.train.batch = 128
    config.train.updates = 100_000
    config.train.log_every = 500
    config.train.eval_every = 1000
    config.train.checkpoint_every = 10_000
    config.train.target = 0.0
    config.optimizer.lr = 1e-3
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    config.model.hidden_size = 8
    config.train.batch = 8
    config.train.length = 8
    config.train.updates = 40
    config.train.log_every = 20
    config.train.eval_every = 20
    config.train.eval_batch = 32
    return config
