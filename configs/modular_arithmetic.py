"""Does a multiplicative network compute sums of products modulo 5, at lengths beyond its training?

    scripts/run experiments/train.py --config=configs/modular_arithmetic.py --workdir=runs/modular_arithmetic
    scripts/run experiments/evaluate.py --workdir=runs/modular_arithmetic --lengths=40,100,256,1000

Time: 2 minutes of training on 2 cores that other work shared.
Result: accuracy 1 at 40, 100, 256 and 1,000 steps, of 1,024 sequences each (trivial baseline 0.2).

Training has four stages, by length, each of which ends on success; the state has noise of 0.05.

    scripts/run experiments/train.py --config=configs/modular_arithmetic.py:ugrnn \
        --workdir=runs/modular_arithmetic_ugrnn

The article's unit. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/modular_arithmetic.py:full \
        --workdir=runs/modular_arithmetic_full

The published protocol (Deletang et al. 2023): 256 units, batch 128, Adam at 1e-3, up to 40 symbols,
evaluation at 41 to 500. Published: RNN and LSTM 100 %, Transformer 24.2 %; scaled accuracy at 40 to 256: LSTM
99.9, gated DeltaNet 99.25. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/modular_arithmetic.py:smoke \
        --workdir=runs/modular_arithmetic_smoke

Lengths up to 8 with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets expressions of up to 39 symbols, and the label of the last step alone."""
    _variants.check(variant, "full", "smoke", "ugrnn")
    config = default.get_config()
    config.task.name = "modular_arithmetic"
    config.model.cell = "mrnn"
    config.model.hidden_size = 128
    config.model.predict = "last"
    config.model.state_noise = 0.05
    config.curriculum.lengths = "8,14,24"
    config.curriculum.end_fraction = 0.1
    config.train.batch = 128
    config.train.min_length = 2
    config.train.length = 40
    config.train.eval_batch = 2048  # fewer may all be right by chance, in a state that fails on longer ones
    config.train.updates = 2000
    config.optimizer.lr = 3e-3
    return {"full": full, "smoke": smoke, "ugrnn": ugrnn}[variant](config) if variant else config


def ugrnn(config):
    """Sets the article's unit."""
    config.model.cell = "ugrnn"
    return config


def full(config):
    """Sets the published sizes."""
    config.model.cell = "elman"
    config.model.state_noise = 0.0
    config.model.hidden_size = 256
    config.train.batch = 128
    config.train.updates = 100_000
    config.train.log_every = 500
    config.train.eval_every = 1000
    config.train.checkpoint_every = 10_000
    config.curriculum.lengths = ""
    config.optimizer.lr = 1e-3
    config.curriculum.end_fraction = 1.0
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    config.curriculum.end_fraction = 1.0
    return _variants.smoke(config)
