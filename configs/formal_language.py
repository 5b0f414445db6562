"""Does a gated network tell the strings of a formal language from others, also from much longer ones?

    scripts/run experiments/train.py --config=configs/formal_language.py --workdir=runs/language

Time: seconds on 2 cores.
Result: every one of 200 test strings right, with seed 0; the trivial baseline is 0.49. Without a folder the
language is that of the strings of a and b with an even number of a, up to 20 symbols long.

    scripts/run experiments/train.py --config=configs/formal_language.py:full --workdir=runs/flare \
        --config.task.options.folder=flare/cycle-navigation

A language of FLaRe (Butoi et al. 2024), from a folder of one's own: 10,000 training strings of up to 40
symbols, 5,010 test strings of up to 500. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/formal_language.py:smoke --workdir=runs/language_smoke

8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets a multiplicative network on strings of up to 20 symbols."""
    _variants.check(variant, "full", "smoke")
    config = default.get_config()
    config.task.name = "formal_language"
    config.task.options.folder = ""
    config.model.cell = "mrnn"
    config.model.hidden_size = 32
    config.model.predict = "last"
    config.train.batch = 32
    config.train.length = 21
    config.train.updates = 600
    config.train.eval_every = 100
    config.optimizer.lr = 3e-3
    config.optimizer.clip = 1.0
    return {"full": full, "smoke": smoke}[variant](config) if variant else config


def full(config):
    """Sets the sizes of FLaRe."""
    config.model.cell = "lstm"
    config.model.hidden_size = 128
    config.train.batch = 64
    config.train.length = 41
    config.train.updates = 10_000
    config.train.eval_every = 500
    config.optimizer.lr = 1e-3
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    return _variants.smoke(config, 21)
