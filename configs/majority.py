"""Does an LSTM know which of two symbols came more often, on sequences longer than those of its training?

    scripts/run experiments/train.py --config=configs/majority.py --workdir=runs/majority
    scripts/run experiments/evaluate.py --workdir=runs/majority --lengths=40,256,1000

Time: 36 s of training on 2 cores that other work shared.
Result: accuracy 1 at 40 steps, 0.93 at 256, 0.77 at 1,000 (trivial baseline 0.55, 0.52, 0.51): it does not
count beyond the lengths of its training.

Not a regular language: a network has to count, without bounds.

    scripts/run experiments/train.py --config=configs/majority.py:ugrnn --workdir=runs/majority_ugrnn

The article's unit. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/majority.py:full --workdir=runs/majority_full

The published protocol (xLSTM, Beck et al. 2024): lengths 3 to 40, the label at the last step, test at 40 to
256. Published: scaled accuracy of LSTM .58, xLSTM[0:1] .75, Llama .37. Not run here yet: neither time nor
result is measured.

    scripts/run experiments/train.py --config=configs/majority.py:smoke --workdir=runs/majority_smoke

Lengths up to 8 with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets lengths up to 40, and a label at every step."""
    _variants.check(variant, "full", "smoke", "ugrnn")
    config = default.get_config()
    config.task.name = "majority"
    config.task.options.labels = "every"
    config.model.cell = "lstm"
    config.model.hidden_size = 64
    config.train.batch = 64
    config.train.min_length = 1
    config.train.length = 40
    config.train.updates = 1500
    config.optimizer.lr = 3e-3
    return {"full": full, "smoke": smoke, "ugrnn": ugrnn}[variant](config) if variant else config


def ugrnn(config):
    """Sets the article's unit."""
    config.model.cell = "ugrnn"
    return config


def full(config):
    """Sets the published protocol."""
    config.task.options.labels = "last"
    config.model.predict = "last"
    config.train.min_length = 3
    config.model.hidden_size = 256
    config.train.batch = 128
    config.train.updates = 100_000
    config.train.log_every = 500
    config.train.eval_every = 1000
    config.train.checkpoint_every = 10_000
    config.optimizer.lr = 1e-3
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    return _variants.smoke(config)
