"""Does a multiplicative network learn the machine that a file holds?

    scripts/run experiments/train.py --config=configs/automaton.py --workdir=runs/automaton
    scripts/run experiments/evaluate.py --workdir=runs/automaton --lengths=40,500,10000 --words=worst

Time: 10 s of training on 2 cores that other work shared.
Result: accuracy 1 at 40, 500 and 10,000 steps, of mixed words; no failing word is found, to 5,000 steps.

By default the machine counts ones modulo 3; --config.task.options.file=PATH names another, in JSON or, for an
acceptor, as MLRegTest's .att text (then also --config.task.options.labels=last
--config.task.options.words=random).

    scripts/run experiments/train.py --config=configs/automaton.py:ugrnn --workdir=runs/automaton_ugrnn

The article's unit. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/automaton.py:full --workdir=runs/automaton_full

The published protocol of formal languages: 256 units, batch 128, Adam at 1e-3, random words. Not run here
yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/automaton.py:smoke --workdir=runs/automaton_smoke

Lengths up to 8 with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets lengths 1 to 40, mixed words, and a label at every step."""
    _variants.check(variant, "full", "smoke", "ugrnn")
    config = default.get_config()
    config.task.name = "automaton"
    config.task.options.labels = "every"
    config.task.options.words = "mixed"
    config.model.cell = "mrnn"
    config.model.hidden_size = 64
    config.train.batch = 64
    config.train.min_length = 1
    config.train.length = 40
    config.train.updates = 1000
    config.optimizer.lr = 3e-3
    return {"full": full, "smoke": smoke, "ugrnn": ugrnn}[variant](config) if variant else config


def ugrnn(config):
    """Sets the article's unit."""
    config.model.cell = "ugrnn"
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


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    return _variants.smoke(config)
