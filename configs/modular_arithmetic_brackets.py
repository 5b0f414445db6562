"""Does a gated network compute expressions with brackets modulo 5, which take a stack?

    scripts/run experiments/train.py --config=configs/modular_arithmetic_brackets.py \
        --workdir=runs/modular_arithmetic_brackets
    scripts/run experiments/evaluate.py --workdir=runs/modular_arithmetic_brackets --lengths=40,100,256

Time: 11 minutes of training on 2 cores that other work shared.
Result: at 40 steps accuracy 0.717, scaled 0.65 (trivial baseline 0.29), and still rising after 4,000 updates;
0.35 at 100 and 0.26 at 256: the stack is not learned beyond the lengths of training.
Two levels of gru, 6,000 updates: 0.74 at 40 steps, 0.34 at 100, 0.23 at 256.

Training has four stages, by length, each of which ends on success.

    scripts/run experiments/train.py --config=configs/modular_arithmetic_brackets.py:ugrnn \
        --workdir=runs/modular_arithmetic_brackets_ugrnn

The article's unit. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/modular_arithmetic_brackets.py:full \
        --workdir=runs/modular_arithmetic_brackets_full

The published protocol (Deletang et al. 2023): 256 units, batch 128, Adam at 1e-3, up to 40 symbols,
evaluation at 41 to 500. Published: RNN 41.3 %, LSTM 59.2 %; scaled accuracy at 40 to 256: LSTM .76, gated
DeltaNet .935. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/modular_arithmetic_brackets.py:smoke \
        --workdir=runs/modular_arithmetic_brackets_smoke

Lengths up to 8 with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets expressions of up to 39 symbols, and the label of the last step alone."""
    _variants.check(variant, "full", "smoke", "ugrnn")
    config = default.get_config()
    config.task.name = "modular_arithmetic_brackets"
    config.model.cell = "mlstm"
    config.model.hidden_size = 128
    config.model.predict = "last"
    config.curriculum.lengths = "8,14,24"
    config.curriculum.success = 0.9
    config.curriculum.end_fraction = 0.1
    config.train.batch = 128
    config.train.min_length = 2
    config.train.length = 40
    config.train.eval_batch = 2048  # fewer may all be right by chance, in a state that fails on longer ones
    config.train.updates = 4000
    config.optimizer.lr = 3e-3
    return {"full": full, "smoke": smoke, "ugrnn": ugrnn}[variant](config) if variant else config


def ugrnn(config):
    """Sets the article's unit."""
    config.model.cell = "ugrnn"
    return config


def full(config):
    """Sets the published sizes."""
    config.model.cell = "lstm"
    config.model.hidden_size = 256
    config.train.batch = 128
    config.train.updates = 100_000
    config.train.log_every = 500
    config.train.eval_every = 1000
    config.train.checkpoint_every = 10_000
    config.curriculum.lengths = ""
    config.optimizer.lr = 1e-3
    config.curriculum.success = 0.97
    config.curriculum.end_fraction = 1.0
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    config.curriculum.success = 0.97
    config.curriculum.end_fraction = 1.0
    return _variants.smoke(config)
